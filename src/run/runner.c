/* runner.c - asyncio_run: a loop, a main task, and an end that leaves nothing behind.
 *
 * The end is asyncio's, in this order: the tasks left are cancelled, once, and awaited; those that
 * they start meanwhile are not.  Then the worker threads end, then the loop is closed.  Waiting for
 * the tasks needs no memory: the list of a loop's tasks is in the order of their making, so they
 * have all ended when the first of the list is one made later.
 */
#include "run/sigint.h"

#include "ground/memory.h"
#include "ground/sys.h"
#include "task/task.h"

enum runner_state {
    RUNNER_NEW,
    RUNNER_OPEN,
    RUNNER_CLOSED,
    RUNNER_STATE_MASK = 3,
    RUNNER_SET_CURRENT = 4 /* its loop is this thread's current one */
};

static const double EXECUTOR_TIMEOUT = 300;

static enum runner_state state_of(const asyncio_runner *runner)
{
    return (enum runner_state)(runner->private_.state_ & RUNNER_STATE_MASK);
}

/* ---- opening ---- */

static int open_loop(asyncio_runner *runner)
{
    const asyncio_run_options *options = &runner->options;
    asyncio_loop_factory *factory =
        options->loop_factory != NULL ? options->loop_factory : asyncio_new_event_loop;
    struct asyncio_runner_ made = { .state_ = RUNNER_OPEN };
    int r = asyncio_copy_context(&made.context_);

    if (r < 0)
        return r;
    r = factory(&made.loop_, options->loop_options);
    if (r < 0) {
        asyncio_context_unref(made.context_);
        return r;
    }
    if (options->debug != ASYNCIO_DEFAULT)
        asyncio_loop_set_debug(made.loop_, options->debug == ASYNCIO_ON);
    runner->private_ = made;
    return 0;
}

static int open_once(asyncio_runner *runner)
{
    if (state_of(runner) == RUNNER_CLOSED)
        return ASYNCIO_ESTATE;
    return state_of(runner) == RUNNER_OPEN ? 0 : open_loop(runner);
}

int asyncio_runner_get_loop(asyncio_runner *runner, asyncio_loop **loop)
{
    int r = open_once(runner);

    if (r == 0)
        *loop = runner->private_.loop_;
    return r;
}

/* ---- running ---- */

static int run_main(asyncio_runner *runner, asyncio_task *main)
{
    asyncio_loop *loop = runner->private_.loop_;
    struct sigint sigint;

    sigint_watch(&sigint, loop, runner->options.leave_sigint ? NULL : main);
    int r = asyncio_loop_run_until_complete(loop, asyncio_task_future(main));
    r = sigint_unwatch(&sigint, r);
    task_keep_detail(main);
    return r;
}

int asyncio_runner_run(asyncio_runner *runner, asyncio_coro *fn, void *arg,
                       asyncio_context *context)
{
    asyncio_task *main;

    if (fn == NULL)
        return -EINVAL;
    if (asyncio_get_running_loop() != NULL)
        return -EBUSY;
    int r = open_once(runner);
    if (r < 0)
        return r;
    asyncio_loop *loop = runner->private_.loop_;
    if (runner->options.loop_factory == NULL) {
        asyncio_set_event_loop(loop);
        runner->private_.state_ |= RUNNER_SET_CURRENT;
    }
    r = asyncio_loop_create_task(
        loop, &main, fn, arg,
        &(asyncio_task_options){
            .context = context != NULL ? context : runner->private_.context_,
        });
    if (r < 0)
        return r;
    r = run_main(runner, main);
    asyncio_task_unref(main);
    return r;
}

/* ---- closing ---- */

struct leftovers {
    struct scheduler *scheduler;
    uint64_t last;        /* the number of the last task that is to end */
    asyncio_task **tasks; /* NULL: no memory; their failures are reported as any task's */
    size_t count;
};

static asyncio_task *first_task(const struct scheduler *scheduler)
{
    struct asyncio_link_ *link = scheduler->tasks.next_;

    return link != NULL ? CONTAINER_OF(link, asyncio_task, all) : NULL;
}

static bool all_ended(void *arg)
{
    const struct leftovers *left = arg;
    const asyncio_task *first = first_task(left->scheduler);

    return first == NULL || first->number > left->last;
}

static void collect(struct leftovers *left)
{
    struct asyncio_link_ *last = left->scheduler->tasks.prev_;

    left->last = CONTAINER_OF(last, asyncio_task, all)->number;
    left->count = left->scheduler->count;
    left->tasks = memory_get(left->count * sizeof *left->tasks);
    if (left->tasks != NULL)
        asyncio_ignore((int)asyncio_all_tasks(left->tasks, left->count, left->scheduler->loop));
    for (struct asyncio_link_ *link = left->scheduler->tasks.next_; link != NULL;
         link = link->next_)
        asyncio_task_cancel(CONTAINER_OF(link, asyncio_task, all));
}

static void report_failures(struct leftovers *left, asyncio_loop *loop)
{
    for (size_t i = 0; left->tasks != NULL && i < left->count; i++) {
        asyncio_task *task = left->tasks[i];
        int r = asyncio_task_done(task) ? asyncio_task_result(task) : 0;

        if (r < 0 && r != -ECANCELED && r != ASYNCIO_EEXIT)
            loop_report(loop, "unhandled exception during asyncio_run shutdown", r,
                        &(asyncio_exception_context){ .task = task });
        asyncio_task_unref(task);
    }
    memory_free(left->tasks);
}

/* 0, or ASYNCIO_EEXIT if one of them asked for it; the others are awaited even then. */
static int end_tasks(asyncio_loop *loop)
{
    struct leftovers left = { .scheduler = loop->scheduler };
    int r, code = 0;

    if (loop->scheduler == NULL || first_task(loop->scheduler) == NULL)
        return 0;
    collect(&left);
    do {
        r = loop_run_until(loop, all_ended, &left);
        if (r == ASYNCIO_EEXIT)
            code = r;
    } while (!all_ended(&left) && (r == 0 || r == ASYNCIO_EEXIT));
    report_failures(&left, loop);
    return code;
}

/* -EBUSY, because another loop runs in this thread, or what else prevents waiting; then the threads
 * are left to themselves when the loop is closed, after which `done` is not used any more. */
static void end_threads(asyncio_loop *loop, asyncio_future *done, double timeout)
{
    int r;

    if (loop->executors == NULL)
        return;
    asyncio_loop_shutdown_default_executor(loop, done, timeout > 0 ? timeout : EXECUTOR_TIMEOUT);
    do
        r = asyncio_loop_run_until_complete(loop, done);
    while (!asyncio_future_done(done) && (r == ASYNCIO_ESTATE || r == ASYNCIO_EEXIT));
}

static int close_loop(asyncio_runner *runner)
{
    struct asyncio_runner_ private = runner->private_;
    asyncio_loop *loop = private.loop_;
    asyncio_future threads_ended = { 0 };

    if (state_of(runner) == RUNNER_OPEN && asyncio_loop_is_running(loop))
        return -EBUSY;
    if (loop == NULL)
        return 0; /* never opened, or closed already: nothing changes */
    if (loop->process != sys_process_id())
        return ASYNCIO_EWRONGLOOP; /* a fork's child leaves to its parent what is the parent's */
    runner->private_ = (struct asyncio_runner_){ .state_ = RUNNER_CLOSED };
    int r = end_tasks(loop);
    end_threads(loop, &threads_ended, runner->options.executor_timeout);
    if ((private.state_ & RUNNER_SET_CURRENT) != 0)
        asyncio_set_event_loop(NULL);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
    asyncio_context_unref(private.context_);
    return r;
}

void asyncio_runner_close(asyncio_runner *runner)
{
    asyncio_ignore(close_loop(runner)); /* what a task that asked for an exit meant was the run */
}

/* ---- in one call ---- */

int asyncio_run_with(asyncio_coro *fn, void *arg, const asyncio_run_options *options)
{
    asyncio_runner runner = { .options = { 0 } };

    if (options != NULL)
        runner.options = *options;
    int r = asyncio_runner_run(&runner, fn, arg, NULL);
    int closed = close_loop(&runner);
    return closed < 0 ? closed : r;
}

int asyncio_run(asyncio_coro *fn, void *arg)
{
    return asyncio_run_with(fn, arg, NULL);
}
