/* files.c - 4 KiB from random places of BENCH_FILE, which is in the page cache: `one` at a time, or
 * `many`, by 32 tasks.  Microseconds for each, on the wall and of the processor. */
#include <asyncio.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

enum { PAGE = 4096, TASKS = 32 };

struct job {
    int file;
    uint32_t pages;
    size_t reads; /* of each task */
    size_t tasks;
};

static int read_pages(void *arg)
{
    static unsigned tasks;
    const struct job *job = arg;
    uint32_t random = ++tasks;
    char page[PAGE];
    int r = 0;

    for (size_t i = 0; i < job->reads && r >= 0; i++)
        r = asyncio_file_read(job->file, page, PAGE,
                              (int64_t)(bench_random(&random) % job->pages) * PAGE);
    return r < 0 ? r : 0;
}

static int run(void *arg)
{
    struct job *job = arg;
    asyncio_task_group group;
    double wall = bench_wall_ns(), start = bench_cpu_ns();

    asyncio_task_group_enter(&group);
    for (size_t i = 0; i < job->tasks; i++)
        asyncio_task_group_spawn(&group, read_pages, job);
    int r = asyncio_task_group_exit(&group, 0);
    double count = (double)(job->reads * job->tasks);
    bench_print("us", (bench_wall_ns() - wall) / 1000 / count);
    bench_print("cpu_us", (bench_cpu_ns() - start) / 1000 / count);
    return r;
}

static void read_by(size_t tasks, size_t count)
{
    struct stat status;
    struct job job = { .file = open(getenv("BENCH_FILE"), O_RDONLY | O_CLOEXEC),
                       .reads = count / tasks,
                       .tasks = tasks };

    bench_require(job.file >= 0 && fstat(job.file, &status) == 0, "BENCH_FILE");
    job.pages = (uint32_t)(status.st_size / PAGE);
    bench_require(asyncio_run(run, &job) == 0, "the run");
}

static void one(size_t count)
{
    read_by(1, count);
}

static void many(size_t count)
{
    read_by(TASKS, count);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "one", one }, { "many", many } };

    return BENCH_MAIN(argc, argv, cases);
}
