/* uv_files.c - files.c and bulk.c for libuv: `one` and `many` reads at a time, by its thread pool;
 * `write` and `sendfile` to sink.c. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "../bench.h"

enum { PAGE = 4096, PIECE = 64 * 1024, MANY = 32, WRITES = 4 };

static size_t left; /* reads to be begun, or bytes to be sent */

/* ---- reads ---- */

struct reader {
    uv_fs_t request;
    uint32_t random;
    char page[PAGE];
};

static uv_file file;
static uint32_t pages;

static void has_read(uv_fs_t *request);

static void read_page(struct reader *reader)
{
    uv_buf_t page = uv_buf_init(reader->page, PAGE);

    if (left == 0)
        return;
    left--;
    uv_fs_read(uv_default_loop(), &reader->request, file, &page, 1,
               (int64_t)(bench_random(&reader->random) % pages) * PAGE, has_read);
}

static void has_read(uv_fs_t *request)
{
    bench_require(request->result == PAGE, "a read");
    uv_fs_req_cleanup(request);
    read_page((struct reader *)request);
}

static void read_by(size_t readers, size_t count)
{
    static struct reader all[MANY];
    struct stat status;

    file = open(getenv("BENCH_FILE"), O_RDONLY | O_CLOEXEC);
    bench_require(file >= 0 && fstat(file, &status) == 0, "BENCH_FILE");
    pages = (uint32_t)(status.st_size / PAGE);
    left = count;
    double wall = bench_wall_ns(), start = bench_cpu_ns();
    for (size_t i = 0; i < readers; i++) {
        all[i].random = (uint32_t)i + 1;
        read_page(&all[i]);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    bench_print("us", (bench_wall_ns() - wall) / 1000 / (double)count);
    bench_print("cpu_us", (bench_cpu_ns() - start) / 1000 / (double)count);
}

static void one(size_t count)
{
    read_by(1, count);
}

static void many(size_t count)
{
    read_by(MANY, count);
}

/* ---- bulk ---- */

static uv_tcp_t socket_;
static uv_connect_t connecting;
static char piece[PIECE];

static void written(uv_write_t *request, int status)
{
    uv_buf_t data = uv_buf_init(piece, PIECE);

    if (status == UV_ECANCELED)
        return; /* by the close, after the last has begun: all are with the kernel by then */
    bench_require(status == 0, "a write");
    if (left >= PIECE) {
        left -= PIECE;
        uv_write(request, (uv_stream_t *)&socket_, &data, 1, written);
    } else if (!uv_is_closing((uv_handle_t *)&socket_)) {
        uv_close((uv_handle_t *)&socket_, NULL);
    }
}

static void connected(uv_connect_t *request, int status)
{
    static uv_write_t writes[WRITES];

    (void)request;
    bench_require(status == 0, "uv_tcp_connect");
    for (int i = 0; i < WRITES; i++)
        written(&writes[i], 0);
}

static void writes(size_t count)
{
    struct sockaddr_in to;

    left = count;
    uv_ip4_addr("127.0.0.1", atoi(getenv("BENCH_PORT")), &to);
    uv_tcp_init(uv_default_loop(), &socket_);
    uv_tcp_connect(&connecting, &socket_, (struct sockaddr *)&to, connected);
    double start = bench_cpu_ns();
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    bench_print("cpu_s", (bench_cpu_ns() - start) / 1e9 / ((double)count / (1 << 30)));
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "one", one },
                                               { "many", many },
                                               { "write", writes } };

    return BENCH_MAIN(argc, argv, cases);
}
