/* worker_queue.c - producers, workers, and a queue between them that holds back who is too fast.
 *
 *     make run PROGRAM=examples/worker_queue.c
 *
 * Two producers make work faster than three workers can do it.  The queue has room for four jobs:
 * when it is full, putting waits.  When all jobs were put, the queue is shut down: workers still
 * get what is in it, then ASYNCIO_ESHUTDOWN, and go home.
 */
#include <asyncio.h>
#include <stdio.h>

enum { PRODUCERS = 2, WORKERS = 3, JOBS_EACH = 6, ROOM = 4 };

/* Items are copied into the queue and out of it, so a job can be a local variable. */
struct job {
    int producer, number;
};

struct plant {
    asyncio_queue jobs;
    int next_producer, next_worker, done[WORKERS];
};

static int producer(void *arg)
{
    struct plant *plant = arg;
    struct job job = { .producer = plant->next_producer++ };
    int r = 0;

    for (job.number = 0; job.number < JOBS_EACH && r == 0; job.number++) {
        r = asyncio_queue_put(&plant->jobs, &job); /* waits while the queue is full */
        if (r == 0)
            printf("  put %c%d, %zu in the queue\n", 'A' + job.producer, job.number,
                   asyncio_queue_qsize(&plant->jobs));
    }
    return r;
}

static int worker(void *arg)
{
    struct plant *plant = arg;
    int me = plant->next_worker++;
    struct job job;
    int r;

    while ((r = asyncio_queue_get(&plant->jobs, &job)) == 0) {
        r = asyncio_sleep(0.1); /* the work */
        if (r < 0)
            return r;
        printf("worker %d did %c%d\n", me, 'A' + job.producer, job.number);
        plant->done[me]++;
    }
    return r == ASYNCIO_ESHUTDOWN ? 0 : r; /* a shut down and empty queue is how the day ends */
}

static int produce_all(struct plant *plant)
{
    asyncio_task_group producers;

    asyncio_task_group_enter(&producers);
    for (int i = 0; i < PRODUCERS; i++)
        asyncio_task_group_spawn(&producers, producer, plant);
    return asyncio_task_group_exit(&producers, 0); /* waits for all of them */
}

static int run_plant(void *arg)
{
    struct job room[ROOM];
    struct plant plant = { .jobs = ASYNCIO_QUEUE_INIT(room) };
    asyncio_task_group workers;

    (void)arg;
    asyncio_task_group_enter(&workers);
    for (int i = 0; i < WORKERS; i++)
        asyncio_task_group_spawn(&workers, worker, &plant);
    int r = produce_all(&plant);
    asyncio_queue_shutdown(&plant.jobs, false); /* false: what is in it is still to be done */
    r = asyncio_task_group_exit(&workers, r);
    printf("done: %d, %d and %d jobs\n", plant.done[0], plant.done[1], plant.done[2]);
    return r;
}

int main(void)
{
    int r = asyncio_run(run_plant, NULL);

    if (r < 0)
        fprintf(stderr, "worker_queue: %s\n", asyncio_strerror(r));
    return r < 0;
}
