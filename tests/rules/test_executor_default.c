/* test_executor_default.c - the default executor of a loop (EXE-05 to 07, 14). */
#include <stdio.h>
#include <string.h>

#include "core/executor.h"
#include "ground/fault.h"
#include "ground/sys.h"
#include "jobs.h"

/* ---- the default executor ---- */

static int shut_down(void *arg)
{
    struct gate gate = { .result = 7 };
    asyncio_future job = { 0 }, ended = { 0 }, again = { 0 }, late = { 0 }, other = { 0 };
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_executor *pool;
    asyncio_handle handle = { 0 };

    (void)arg;
    TRY(asyncio_thread_pool_new(&pool, 0, "other"));
    asyncio_loop_run_in_executor(loop, &job, NULL, pass, &gate);
    asyncio_loop_shutdown_default_executor(loop, &ended, INFINITY);
    bool waits = !asyncio_future_done(&ended);
    asyncio_ignore(asyncio_loop_call_soon(loop, &handle, open_gate, &gate));
    int r = asyncio_future_join(&ended);
    asyncio_handle_cancel(&handle);
    open_gate(&gate);
    CHECK_INT(atomic_load(&gate.left), atomic_load(&gate.entered));
    int result = asyncio_future_join(&job);
    if (r == 0) {
        CHECK_INT(result < 0 ? 7 : result, 7);
        CHECK(waits || result < 0);
        asyncio_loop_run_in_executor(loop, &late, NULL, return_arg, &r);
        CHECK_INT(asyncio_future_result(&late), ASYNCIO_ECLOSED);
        CHECK_INT(asyncio_to_thread(return_arg, &r), ASYNCIO_ECLOSED);
        CHECK_INT(asyncio_loop_set_default_executor(loop, pool), ASYNCIO_ECLOSED);
        asyncio_loop_run_in_executor(loop, &other, pool, return_arg, &r);
        r = asyncio_future_join(&other);
        asyncio_loop_shutdown_default_executor(loop, &again, INFINITY);
        CHECK_INT(asyncio_future_result(&again), 0);
    }
    asyncio_thread_pool_free(pool);
    return r;
}

/* EXE-05: it waits for the jobs that run; after it only executors of one's own are left. */
TEST(EXE_05_shutdown_of_the_default_executor)
{
    RUN(shut_down, NULL);
}

static int shut_down_in_vain(void *arg)
{
    struct gate *gate = arg;
    asyncio_future job = { 0 }, ended = { 0 };
    asyncio_loop *loop = asyncio_get_running_loop();

    asyncio_loop_run_in_executor(loop, &job, NULL, pass, gate);
    wait_until_entered(gate, &job);
    asyncio_loop_shutdown_default_executor(loop, &ended, 0);
    int r = asyncio_future_join(&ended);
    if (atomic_load(&gate->entered) == 1 && (!test_is_torture() || r == -ETIMEDOUT)) {
        CHECK_INT(r, -ETIMEDOUT);
        CHECK_INT(atomic_load(&gate->left), 0);
    }
    open_gate(gate);
    r = asyncio_future_join(&job); /* delivered all the same */
    return r;
}

/* EXE-06: over time the pool is left to itself, with a warning. */
TEST(EXE_06_shutdown_over_time)
{
    struct gate gate = { .result = 0 };

    log_allow("did not end in time");
    if (RUN(shut_down_in_vain, &gate))
        CHECK_INT(log_count("did not end in time"), 1);
}

static int cancel_shutdown(void *arg)
{
    struct gate *gate = arg;
    asyncio_future job = { 0 }, ended = { 0 };
    asyncio_loop *loop = asyncio_get_running_loop();

    asyncio_loop_run_in_executor(loop, &job, NULL, pass, gate);
    wait_until_entered(gate, &job);
    asyncio_loop_shutdown_default_executor(loop, &ended, INFINITY);
    if (!asyncio_future_done(&ended)) {
        asyncio_future second = { 0 };
        asyncio_loop_shutdown_default_executor(loop, &second, INFINITY);
        CHECK_INT(asyncio_future_result(&second), -EBUSY);
        CHECK(asyncio_future_cancel(&ended));
        CHECK(asyncio_future_cancelled(&ended));
    }
    open_gate(gate);
    asyncio_ignore(asyncio_future_join(&job));
    asyncio_loop_shutdown_default_executor(loop, &(asyncio_future){ 0 }, NAN);
    return 0;
}

TEST(a_shutdown_can_be_given_up)
{
    struct gate gate = { .result = 0 };

    RUN(cancel_shutdown, &gate);
}

/* Runs jobs at once, or not at all. */
static int run_now(asyncio_executor *executor, asyncio_job *job)
{
    (void)executor;
    asyncio_job_run(job);
    return 0;
}

static int refuse(asyncio_executor *executor, asyncio_job *job)
{
    (void)executor;
    (void)job;
    return -ENOSPC;
}

static int choose_default(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_executor own = { .submit = run_now };
    char name[16] = "";

    CHECK_INT(asyncio_loop_set_default_executor(loop, &own), -EINVAL);
    CHECK_INT(asyncio_loop_set_default_executor(loop, NULL), -EINVAL);
    TRY(asyncio_to_thread(thread_name, name)); /* by one that is replaced now */
    TRY(asyncio_loop_set_default_executor(loop, arg));
    TRY(asyncio_to_thread(thread_name, name));
    CHECK_STR(name, "mine_0");
    return 0;
}

/* EXE-07: only a thread pool may be the default. */
TEST(EXE_07_default_executors_are_thread_pools)
{
    asyncio_executor *pool;

    if (asyncio_thread_pool_new(&pool, 1, "mine") < 0)
        return;
    RUN(choose_default, pool);
    asyncio_thread_pool_free(pool); /* it stayed the caller's */
}

static int own_executors(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_executor now = { .submit = run_now }, never = { .submit = refuse };
    asyncio_future done = { 0 }, refused = { 0 }, cancelled = { 0 };
    int result = 5;

    (void)arg;
    asyncio_loop_run_in_executor(loop, &done, &now, return_arg, &result);
    int r = asyncio_future_join(&done);
    asyncio_loop_run_in_executor(loop, &cancelled, &now, return_arg, &result);
    if (!asyncio_future_done(&cancelled)) { /* it has run, and its result is under way */
        CHECK(asyncio_future_cancel(&cancelled));
        CHECK(asyncio_future_cancelled(&cancelled));
    }
    TRY(r);
    CHECK_INT(r, 5);
    asyncio_loop_run_in_executor(loop, &refused, &never, return_arg, &result);
    r = asyncio_future_result(&refused);
    CHECK(r == -ENOSPC || r == -ENOMEM);
    return r == -ENOSPC ? 0 : r;
}

/* Anything that calls asyncio_job_run is an executor. */
TEST(executors_of_ones_own)
{
    RUN(own_executors, NULL);
}

/* ---- sizes ---- */

enum { MANY = 40 };

struct crowd {
    struct gate gate;
    char names[MANY][16];
    atomic_int count;
};

static int join_crowd(void *arg)
{
    struct crowd *crowd = arg;
    int place = atomic_fetch_add(&crowd->count, 1);

    asyncio_ignore(thread_name(crowd->names[place]));
    return pass(&crowd->gate);
}

static int crowd_in(void *arg)
{
    struct crowd *crowd = arg;
    asyncio_future done[MANY] = { 0 };
    unsigned processors = sys_processor_count(), most = processors + 4 < 32 ? processors + 4 : 32;
    unsigned highest = 0;
    int r = 0;

    for (int i = 0; i < MANY; i++)
        asyncio_loop_run_in_executor(asyncio_get_running_loop(), &done[i], NULL, join_crowd, crowd);
    while (!test_is_torture() && atomic_load(&crowd->gate.entered) < (int)most)
        sched_yield();
    open_gate(&crowd->gate);
    for (int i = 0; i < MANY; i++) {
        int joined = asyncio_future_join(&done[i]);
        r = r < 0 ? r : joined;
    }
    for (int i = 0; i < atomic_load(&crowd->count); i++) {
        unsigned number = 0;
        CHECK_INT(sscanf(crowd->names[i], "asyncio_%u", &number), 1);
        highest = number > highest ? number : highest;
    }
    CHECK(highest < most);
    return r;
}

/* EXE-14: the default pool has min(32, processors + 4) threads at most. */
TEST(EXE_14_size_of_the_default_pool)
{
    static struct crowd crowd;

    memset(&crowd, 0, sizeof crowd);
    RUN(crowd_in, &crowd);
}
