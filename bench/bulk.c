/* bulk.c - much data to one peer: `bulk write BYTES`, in pieces of 64 KiB; `bulk sendfile BYTES`,
 * from BENCH_FILE, as often as needed.  The peer is sink.c.  CPU seconds for each GiB. */
#include <asyncio.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "bench.h"

enum { PIECE = 64 * 1024 };

struct job {
    size_t size;
    int (*send)(asyncio_stream *stream, size_t size);
};

static int write_all(asyncio_stream *stream, size_t size)
{
    static char piece[PIECE];
    int r = 0;

    for (size_t sent = 0; sent < size && r >= 0; sent += PIECE)
        r = asyncio_stream_write(stream, piece, PIECE);
    return r;
}

static int send_files(asyncio_stream *stream, size_t size)
{
    int file = open(getenv("BENCH_FILE"), O_RDONLY | O_CLOEXEC);
    int64_t sent = 0;
    int r = file >= 0 ? 0 : -ENOENT;

    for (size_t done = 0; done < size && r >= 0; done += (size_t)sent)
        r = asyncio_stream_sendfile(stream, &sent, file, NULL);
    close(file);
    return r;
}

static int run(void *arg)
{
    const struct job *job = arg;
    asyncio_stream *stream;
    char port[16];

    snprintf(port, sizeof port, "%s", getenv("BENCH_PORT"));
    int r = asyncio_open_connection(&stream, "127.0.0.1", (unsigned)atoi(port), NULL);
    if (r < 0)
        return r;
    double start = bench_cpu_ns();
    r = job->send(stream, job->size);
    asyncio_stream_close(stream);
    int ended = asyncio_stream_wait_closed(stream);
    double gib = (double)job->size / (1 << 30);
    bench_print("cpu_s", (bench_cpu_ns() - start) / 1e9 / gib);
    asyncio_stream_free(stream);
    return r < 0 ? r : ended;
}

static void writes(size_t count)
{
    bench_require(asyncio_run(run, &(struct job){ count, write_all }) == 0, "the run");
}

static void sendfile(size_t count)
{
    bench_require(asyncio_run(run, &(struct job){ count, send_files }) == 0, "the run");
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "write", writes }, { "sendfile", sendfile } };

    return BENCH_MAIN(argc, argv, cases);
}
