/* bare_files.c - files.c without any loop: pread(2), one after the other. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../bench.h"

enum { PAGE = 4096 };

int main(int argc, char **argv)
{
    size_t count = argc > 2 ? (size_t)strtod(argv[2], NULL) : 0;
    int file = open(getenv("BENCH_FILE"), O_RDONLY | O_CLOEXEC);
    uint32_t random = 1;
    struct stat status;
    char page[PAGE];

    bench_require(file >= 0 && fstat(file, &status) == 0 && count > 0, "BENCH_FILE");
    uint32_t pages = (uint32_t)(status.st_size / PAGE);
    double wall = bench_wall_ns(), start = bench_cpu_ns();
    for (size_t i = 0; i < count; i++)
        bench_require(pread(file, page, PAGE, (off_t)(bench_random(&random) % pages) * PAGE) ==
                          PAGE,
                      "pread");
    bench_print("us", (bench_wall_ns() - wall) / 1000 / (double)count);
    bench_print("cpu_us", (bench_cpu_ns() - start) / 1000 / (double)count);
    return 0;
}
