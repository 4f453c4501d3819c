/* posix_spawn.c - process.c with the C library's posix_spawn(3), and no loop. */
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"

static void small(size_t count)
{
    static char program[] = "/bin/true";
    char *const argv[] = { program, NULL };
    double start = bench_wall_ns(), start_ns = 0;

    for (size_t i = 0; i < count; i++) {
        double before = bench_wall_ns();
        pid_t pid;
        int status;

        bench_require(posix_spawn(&pid, program, NULL, NULL, argv, environ) == 0, "a child");
        start_ns += bench_wall_ns() - before;
        bench_require(waitpid(pid, &status, 0) == pid && status == 0, "its end");
    }
    bench_print("us", (bench_wall_ns() - start) / 1000 / (double)count);
    bench_print("start_us", start_ns / 1000 / (double)count);
}

static void large(size_t count)
{
    char *memory = bench_touched_memory();

    small(count);
    free(memory);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "small", small }, { "large", large } };

    return BENCH_MAIN(argc, argv, cases);
}
