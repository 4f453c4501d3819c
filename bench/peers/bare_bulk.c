/* bare_bulk.c - bulk.c with a blocking socket and nothing else. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../bench.h"

enum { PIECE = 64 * 1024 };

static void write_all(int fd, size_t size)
{
    static char piece[PIECE];

    for (size_t sent = 0; sent < size; sent += PIECE)
        bench_require(send(fd, piece, PIECE, MSG_NOSIGNAL) == PIECE, "send");
}

static void send_files(int fd, size_t size)
{
    int file = open(getenv("BENCH_FILE"), O_RDONLY | O_CLOEXEC);
    off_t offset = 0, length = lseek(file, 0, SEEK_END);

    for (size_t sent = 0; sent < size;) {
        if (offset == length)
            offset = 0;
        ssize_t n = sendfile(fd, file, &offset, (size_t)(length - offset));
        bench_require(n > 0, "sendfile");
        sent += (size_t)n;
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    size_t size = argc > 2 ? (size_t)strtod(argv[2], NULL) : 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)atoi(getenv("BENCH_PORT")));
    bench_require(size > 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
    double start = bench_cpu_ns();
    if (strcmp(argv[1], "sendfile") == 0)
        send_files(fd, size);
    else
        write_all(fd, size);
    close(fd);
    bench_print("cpu_s", (bench_cpu_ns() - start) / 1e9 / ((double)size / (1 << 30)));
    return 0;
}
