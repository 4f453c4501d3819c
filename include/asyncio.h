/* asyncio.h - asyncio for C: tasks, cancellation, streams, servers, subprocesses.
 *
 * Names and behaviour are those of Python's asyncio: asyncio.X.y is asyncio_x_y.  A coroutine is
 * an ordinary C function that may suspend, at any call depth; to await one, call it.  This file is
 * for programs written as tasks.  asyncio/lowlevel.h, included at its end, is the floor below:
 * loop, callbacks, operations, transports and protocols.  TLS is in asyncio/tls.h.
 *
 * What holds for every function, unless its own comment says otherwise:
 *
 *   Results       An int: >= 0 is success, < 0 an error, a negated errno or a code of
 *                 enum asyncio_error.  A call that failed had no effect: outputs are untouched.
 *   Suspending    ASYNCIO_SUSPENDS marks what may suspend the calling task; outside a task it
 *                 returns ASYNCIO_ENOTASK.  A call that need not wait does not suspend, but after
 *                 a long run of such calls one lets the others have a turn.  errno is kept across
 *                 a suspension; signal mask, locale and directory are the process's.
 *   Cancellation  A request is delivered once: the suspending call that the task is in, or its
 *                 next one that has to wait, returns -ECANCELED.  Free what you hold (you may
 *                 suspend again for that) and return it.  A call whose effect could not be taken
 *                 back returns its result instead, and the request waits for the next one.
 *   Threads       A loop, and all that is used with it, belongs to one thread; tasks never
 *                 migrate.  ASYNCIO_THREADSAFE marks what any thread may call.
 *   fork(2)       The child runs no loop and no task, and may run a loop of its own; those of its
 *                 parent it leaves alone: ASYNCIO_EWRONGLOOP, also from the run it comes back to.
 *   Making        A function that makes something stores it through its first argument, or the
 *                 one after the object it is called on.  _free gives it back; _unref, where it can
 *                 have several owners, gives one reference back.  Both accept NULL, never fail and
 *                 never suspend.  _close begins closing, as in asyncio, and frees nothing.
 *   Storage       Locks, queues, futures, scopes and all else that is used by value is the caller's
 *                 storage, and needs no allocation; asyncio/layout.h has the layouts.  All-zeros,
 *                 or the _INIT macro, is ready for use.  Do not copy, move or free one while
 *                 something waits on it or it is scheduled.
 *   Options       The last argument; NULL is allowed, a zero member means its default:
 *                 &(asyncio_server_options){ .port = 8080 }.  Strings need only last for the call.
 *   Time          Seconds as a double, INFINITY for never; NaN is -EINVAL.  No timer is early.
 */
#ifndef ASYNCIO_H
#define ASYNCIO_H

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "asyncio/layout.h"

#if defined(__GNUC__)
#define ASYNCIO_MUST_CHECK          __attribute__((warn_unused_result))
#define ASYNCIO_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define ASYNCIO_MUST_CHECK
#define ASYNCIO_PRINTF(text, first)
#endif
#if defined(__clang__) /* for tools that list the suspension points and the thread-safe calls */
#define ASYNCIO_SUSPENDS   ASYNCIO_MUST_CHECK __attribute__((annotate("asyncio:suspends")))
#define ASYNCIO_THREADSAFE __attribute__((annotate("asyncio:threadsafe")))
#else
#define ASYNCIO_SUSPENDS ASYNCIO_MUST_CHECK
#define ASYNCIO_THREADSAFE
#endif

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__) && !defined(_WIN32)
#pragma GCC visibility push(default)
#endif

#define ASYNCIO_VERSION "0.1.0" /* of this header; the function tells that of the library */
ASYNCIO_THREADSAFE const char *asyncio_version(void);

/* ---- errors ------------------------------------------------------------------------------- */

/* What has no errno.  Of those that have one, asyncio's are -ECANCELED (CancelledError),
 * -ETIMEDOUT (TimeoutError), -EAGAIN (QueueEmpty, QueueFull), -EINVAL (ValueError, TypeError),
 * -EBUSY (already in use: a second reader, a loop inside a loop), -EDEADLK (a task that awaits
 * itself; every task waits for another), -EINTR (KeyboardInterrupt: from asyncio_run alone). */
enum asyncio_error {
    ASYNCIO_ESTATE = -10001,       /* InvalidStateError: done, or not yet; not held; not open */
    ASYNCIO_ENOTASK = -10002,      /* a suspending call outside a task */
    ASYNCIO_ENOLOOP = -10003,      /* no loop runs in this thread */
    ASYNCIO_EWRONGLOOP = -10004,   /* it belongs to another loop, or to another thread */
    ASYNCIO_ECLOSED = -10005,      /* the loop, stream, server or executor was closed */
    ASYNCIO_EINCOMPLETE = -10006,  /* IncompleteReadError: the stream ended too early */
    ASYNCIO_ELIMIT = -10007,       /* LimitOverrunError: longer than the limit */
    ASYNCIO_ESHUTDOWN = -10008,    /* QueueShutDown */
    ASYNCIO_EBROKEN = -10009,      /* BrokenBarrierError */
    ASYNCIO_ENOSENDFILE = -10010,  /* SendfileNotAvailableError */
    ASYNCIO_EEXIT = -10011,        /* SystemExit: a task or callback that returns it ends the run */
    ASYNCIO_ETLS = -10012,         /* the TLS handshake or a record went wrong */
    ASYNCIO_ETLSVERIFY = -10013,   /* the peer's certificate is not trusted, or not for this name */
    ASYNCIO_EAI_AGAIN = -10021,    /* getaddrinfo: temporary failure */
    ASYNCIO_EAI_FAIL = -10022,     /* ... permanent failure */
    ASYNCIO_EAI_NONAME = -10023,   /* ... unknown host, or no address of the family asked for */
    ASYNCIO_EAI_SERVICE = -10024,  /* ... unknown service */
    ASYNCIO_EAI_BADHINTS = -10025, /* ... family, type, protocol or flags do not fit together */
};

/* An English description, or the name ("ETIMEDOUT", "ASYNCIO_ELIMIT"), of an error; never NULL. */
ASYNCIO_THREADSAFE const char *asyncio_strerror(int error);
ASYNCIO_THREADSAFE const char *asyncio_error_name(int error);

/* What the last failed call of this task knew beyond its code: every address tried and what each
 * said, what was wrong with a certificate, the program or directory not found.  Never NULL; lasts
 * until the task fails again, that of a main task beyond asyncio_run. */
const char *asyncio_error_detail(void);

/* Drops a result on purpose; a cast to void does not quiet every compiler. */
ASYNCIO_THREADSAFE void asyncio_ignore(int result);

/* ---- types ---------------------------------------------------------------------------------- */

typedef struct asyncio_loop asyncio_loop;
typedef struct asyncio_task asyncio_task;
typedef struct asyncio_context asyncio_context;
typedef struct asyncio_stream asyncio_stream;
typedef struct asyncio_server asyncio_server;
typedef struct asyncio_endpoint asyncio_endpoint;
typedef struct asyncio_process asyncio_process;
typedef struct asyncio_tls_context asyncio_tls_context;
typedef struct asyncio_transport asyncio_transport; /* lowlevel.h */
typedef struct asyncio_protocol asyncio_protocol;   /* lowlevel.h */

#ifdef _WIN32
typedef uintptr_t asyncio_socket; /* a SOCKET */
typedef void *asyncio_file;       /* a HANDLE */
#else
typedef int asyncio_socket;
typedef int asyncio_file;
#endif

enum asyncio_toggle { ASYNCIO_DEFAULT, ASYNCIO_ON, ASYNCIO_OFF };

/* The body of a task, and what it awaits.  A task always starts, even when it was cancelled
 * before, so its body may own `arg`.  Results beyond an int are members of what `arg` points to. */
typedef int asyncio_coro(void *arg);

/* A plain function, called by the loop or a worker thread; it must not suspend.  When the loop has
 * called it, a negative result is reported to the exception handler, and ASYNCIO_EEXIT ends the
 * run of the loop. */
typedef int asyncio_callback(void *arg);

/* ---- running ------------------------------------------------------------------------------ */

typedef struct asyncio_loop_options asyncio_loop_options;
typedef int asyncio_loop_factory(asyncio_loop **loop, const asyncio_loop_options *options);

typedef struct asyncio_run_options {
    enum asyncio_toggle debug;                /* default: ON if ASYNCIO_DEBUG is set */
    bool leave_sigint;                        /* do not touch SIGINT */
    double executor_timeout;                  /* how long worker threads may end; 300 s */
    asyncio_loop_factory *loop_factory;       /* default: asyncio_new_event_loop */
    const asyncio_loop_options *loop_options; /* for the factory */
    uintptr_t reserved_[4];
} asyncio_run_options;

/* Runs fn(arg) as the main task of a new loop and returns its result.  Before it returns, tasks
 * left behind are cancelled once and awaited, and their failures reported to the exception handler.
 * The first SIGINT cancels the main task: -EINTR when it lets that -ECANCELED out.  A second one
 * kills the process as it would have without us.  -EBUSY: a loop runs in this thread already.
 * -EDEADLK: all tasks waited for each other and there was no other thread that could have woken
 * one; who waited for what was logged, and all were cancelled. */
int asyncio_run(asyncio_coro *fn, void *arg);
int asyncio_run_with(asyncio_coro *fn, void *arg, const asyncio_run_options *options);

/* asyncio_run_with() in `count` threads at once, 0: one per processor, each with a loop of its own
 * and the same `arg`; for servers, with .reuse_port.  SIGINT cancels the main tasks of all, and so
 * does the first failure, which is returned when all have ended. */
int asyncio_run_threads(unsigned count, asyncio_coro *fn, void *arg,
                        const asyncio_run_options *options);

/* Several runs on one loop, in one context; tasks left by one go on in the next.  The loop is made
 * by the first call that needs it.  _run takes a context or NULL.  _close ends it as asyncio_run
 * ends; after that the others return ASYNCIO_ESTATE.  The loop stays the runner's. */
typedef struct asyncio_runner {
    asyncio_run_options options;
    struct asyncio_runner_ private_;
} asyncio_runner;

int asyncio_runner_run(asyncio_runner *runner, asyncio_coro *fn, void *arg,
                       asyncio_context *context);
int asyncio_runner_get_loop(asyncio_runner *runner, asyncio_loop **loop);
void asyncio_runner_close(asyncio_runner *runner);

/* ---- tasks -------------------------------------------------------------------------------- */

/* Suspends for `seconds`; 0 or less lets every other ready task take one step. */
ASYNCIO_SUSPENDS int asyncio_sleep(double seconds);

typedef struct asyncio_task_options {
    const char *name;          /* copied, up to 63 bytes; NULL: Task-N */
    asyncio_context *context;  /* to run in; NULL: a copy of the current one */
    enum asyncio_toggle eager; /* run it at once, up to its first suspension; default: factory's */
    size_t stack_size;         /* default: that of the loop */
    size_t arg_size;           /* when not 0, *arg is copied, and the copy lives with the task */
    uintptr_t reserved_[4];
} asyncio_task_options;

/* Starts fn(arg) as a task of the running loop, after what is ready already.  The loop owns it
 * until it has ended; with `task` not NULL the caller gets a reference.  A failure that nobody took
 * is reported when the task has ended and the last reference is gone.  `arg` must outlive the
 * task, or be copied.  ASYNCIO_ENOLOOP, -ENOMEM.  Prefer a task group. */
int asyncio_create_task(asyncio_task **task, asyncio_coro *fn, void *arg,
                        const asyncio_task_options *options);
asyncio_task *asyncio_task_ref(asyncio_task *task);
void asyncio_task_unref(asyncio_task *task);

/* The same for any loop of this thread, running or not. */
int asyncio_loop_create_task(asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                             const asyncio_task_options *options);

/* A factory is called to make every task of a loop, and ends in calling asyncio_task_new, which is
 * the default (NULL). */
typedef int asyncio_task_factory(asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn,
                                 void *arg, const asyncio_task_options *options);
asyncio_task_factory asyncio_task_new;
asyncio_task_factory asyncio_eager_task_factory; /* .eager is ON unless OFF */
void asyncio_loop_set_task_factory(asyncio_loop *loop, asyncio_task_factory *factory);
asyncio_task_factory *asyncio_loop_get_task_factory(const asyncio_loop *loop);

/* The task that runs, borrowed; NULL in a callback. */
asyncio_task *asyncio_current_task(void);

/* How many tasks of `loop` have not ended; stores new references to the first `capacity`. */
size_t asyncio_all_tasks(asyncio_task **tasks, size_t capacity, asyncio_loop *loop);

/* Waits for the task's end and returns its result.  Cancelled meanwhile, it cancels `task` and
 * returns -ECANCELED if that ends cancelled, else the result.  -EDEADLK: it is this very task. */
ASYNCIO_SUSPENDS int asyncio_task_await(asyncio_task *task);

/* Waits for the end, come what may: a cancellation neither ends the wait nor reaches `task`, but
 * stays pending.  For what must have ended before the caller can go on, say after a cancel. */
ASYNCIO_SUSPENDS int asyncio_task_join(asyncio_task *task);

/* Requests cancellation.  It ends nothing by itself: what the task awaits is cancelled, then the
 * task sees -ECANCELED and decides.  Of tasks that await one another in a circle one sees it at
 * once.  False: it has ended.  Of several reasons the last one not yet delivered counts; the text
 * is not copied. */
bool asyncio_task_cancel(asyncio_task *task);
bool asyncio_task_cancel_with(asyncio_task *task, const char *reason);
const char *asyncio_task_cancel_reason(const asyncio_task *task); /* NULL: none was given */

/* How many requests nobody has taken back.  Whoever requests a cancellation and then stops its
 * -ECANCELED takes it back with uncancel, which returns how many are left; at 0 a request not yet
 * delivered is dropped.  Timeouts and groups do this; only scopes of one's own need it. */
int asyncio_task_cancelling(const asyncio_task *task);
int asyncio_task_uncancel(asyncio_task *task);

bool asyncio_task_done(const asyncio_task *task);
bool asyncio_task_cancelled(const asyncio_task *task); /* it has ended with -ECANCELED */
int asyncio_task_result(asyncio_task *task);           /* ASYNCIO_ESTATE: not done */
const char *asyncio_task_get_name(const asyncio_task *task);
void asyncio_task_set_name(asyncio_task *task, const char *name);
asyncio_context *asyncio_task_get_context(const asyncio_task *task); /* borrowed */
asyncio_loop *asyncio_task_get_loop(const asyncio_task *task);       /* borrowed */

/* The task as a future, for what takes futures; lives as long as the task. */
asyncio_future *asyncio_task_future(asyncio_task *task);

/* ---- futures ------------------------------------------------------------------------------
 *
 * A result to be set later, by a callback or another task.  A typed result goes beside it:
 *
 *     struct lookup { asyncio_future future; char name[64]; };
 *
 * A future gets its loop from the first who waits for it.  From another thread it is completed by
 * way of asyncio_loop_call_soon_threadsafe.
 */

/* Completes it and wakes who waits; < 0 makes it a failed one.  ASYNCIO_ESTATE: done already, or a
 * task's.  A waiter that was cancelled may have cancelled it: look at asyncio_future_done first. */
int asyncio_future_set_result(asyncio_future *future, int result);

/* Completes it with -ECANCELED, at once, or requests so if it is a task's.  False: done already. */
bool asyncio_future_cancel(asyncio_future *future);
bool asyncio_future_cancel_with(asyncio_future *future, const char *reason);
const char *asyncio_future_cancel_reason(const asyncio_future *future);

bool asyncio_future_done(const asyncio_future *future);
bool asyncio_future_cancelled(const asyncio_future *future);
int asyncio_future_result(asyncio_future *future);                   /* ASYNCIO_ESTATE: not done */
asyncio_loop *asyncio_future_get_loop(const asyncio_future *future); /* NULL: none yet */

/* Waits for the result.  Cancelled, it cancels the future, for all who wait, and returns
 * -ECANCELED; a result that had come by then stays in the future. */
ASYNCIO_SUSPENDS int asyncio_future_await(asyncio_future *future);

/* Waits for the result, come what may; see asyncio_task_join.  With it a future, and the memory
 * that its producer writes to, can safely be local variables. */
ASYNCIO_SUSPENDS int asyncio_future_join(asyncio_future *future);

/* Optional end: reports a failure nobody took.  Aborts the process when somebody still waits. */
void asyncio_future_destroy(asyncio_future *future);

/* asyncio_await(task or future).  In C++, two inline functions at the end of this file. */
#ifndef __cplusplus
#define asyncio_await(x)                                                                           \
    _Generic((x), asyncio_task *: asyncio_task_await, asyncio_future *: asyncio_future_await)(x)
#endif

/* ---- scopes: timeouts and task groups --------------------------------------------------------
 *
 * Entered and left by one task, innermost first.  _exit takes the result of the body and returns
 * that of the scope, as __aexit__ does:
 *
 *     asyncio_timeout_enter(&timeout, 5.0);
 *     int r = body();
 *     r = asyncio_timeout_exit(&timeout, r);
 *
 * Leaving out of order, or returning from a coroutine with a scope open, aborts the process with a
 * sentence that names it: the storage is about to vanish.  _enter initializes; it cannot fail, and
 * what it found wrong (no task, NaN, -ENOMEM) is returned by _exit.  A timeout with such an error
 * cancels its body at the next suspension.
 */

/* Cancels the body once `seconds` are over, or at loop time `when`; when that is past already, at
 * the next suspension. */
void asyncio_timeout_enter(asyncio_timeout *timeout, double seconds);
void asyncio_timeout_enter_at(asyncio_timeout *timeout, double when);

/* Returns `r`, but -ETIMEDOUT for an -ECANCELED that this timeout alone has caused. */
ASYNCIO_MUST_CHECK int asyncio_timeout_exit(asyncio_timeout *timeout, int r);

/* Moves the deadline to loop time `when`.  ASYNCIO_ESTATE: expired, or not entered. */
int asyncio_timeout_reschedule(asyncio_timeout *timeout, double when);
double asyncio_timeout_when(const asyncio_timeout *timeout);
bool asyncio_timeout_expired(const asyncio_timeout *timeout);

/* Calls fn(arg) in this task, under a timeout; with seconds <= 0 just returns -ETIMEDOUT. */
ASYNCIO_SUSPENDS int asyncio_wait_for(asyncio_coro *fn, void *arg, double seconds);

/* Awaits a future or task under a timeout; when it is over, cancels it and waits for its end. */
ASYNCIO_SUSPENDS int asyncio_wait_for_future(asyncio_future *future, double seconds);

/* A group owns tasks.  When one fails, the body and its siblings are cancelled. */
void asyncio_task_group_enter(asyncio_task_group *group);

/* Waits until no task of the group is left; nothing can break out of that wait.  r < 0 cancels them
 * first, and so does a cancellation from outside.  Returns the failure that came first; else
 * -ECANCELED if that came from outside; else `r`.  A failure beats such a cancellation, which stays
 * pending.  That a task was cancelled is no failure.  ASYNCIO_EEXIT beats everything. */
ASYNCIO_SUSPENDS int asyncio_task_group_exit(asyncio_task_group *group, int r);

/* Starts fn(arg) in the group; its tasks, and callbacks, may do so too.  That it could not start
 * (-ENOMEM) counts as a failure of the group, so that checking _exit suffices, unless `arg` owns
 * something.  ASYNCIO_ESTATE: the group is being cancelled, or has ended. */
int asyncio_task_group_spawn(asyncio_task_group *group, asyncio_coro *fn, void *arg);

/* The same, with a copy of *arg that lives as long as the task:
 * asyncio_task_group_spawn_copy(&group, serve, &(struct job){ .id = 1 }) */
#define asyncio_task_group_spawn_copy(group, fn, ...)                                              \
    asyncio_task_group_spawn_copy_((group), (fn), (__VA_ARGS__), sizeof *(__VA_ARGS__))
int asyncio_task_group_spawn_copy_(asyncio_task_group *group, asyncio_coro *fn, const void *arg,
                                   size_t size);

/* The same, with options, and a handle that is good until _exit has returned, longer with
 * asyncio_task_ref.  The group keeps such tasks until then, those of spawn only while they run.
 * Here a failed start is no failure of the group. */
int asyncio_task_group_create_task(asyncio_task_group *group, asyncio_task **task, asyncio_coro *fn,
                                   void *arg, const asyncio_task_options *options);

/* Cancels its tasks and its body; _exit does not return -ECANCELED for that. */
void asyncio_task_group_cancel(asyncio_task_group *group);

typedef struct asyncio_failure {
    int error;
    asyncio_coro *fn; /* whose; NULL: the body's */
    void *arg;        /* NULL if the task had a copy, which is gone with it */
} asyncio_failure;

/* After _enter: where to list failures, in the order they came, the body's last.  Then, until the
 * group is entered again: how many there were, perhaps more than there was room for. */
void asyncio_task_group_collect(asyncio_task_group *group, asyncio_failure *failures,
                                size_t capacity);
size_t asyncio_task_group_failure_count(const asyncio_task_group *group);

/* ---- waiting for several -------------------------------------------------------------------- */

/* A coroutine and its argument: what `fetch(url)` denotes in Python before it is awaited. */
typedef struct asyncio_call {
    asyncio_coro *fn;
    void *arg;
} asyncio_call;

/* Runs all calls as tasks and returns when all have ended; one that fails does not cancel the
 * others.  Without `results`, returns the first failure.  With them, each gets what its call
 * returned, errors included, and gather returns 0.  Cancelled, or out of memory, it cancels those
 * that run, waits for them, and returns that; the results of all that were started are there. */
ASYNCIO_SUSPENDS int asyncio_gather_calls(const asyncio_call *calls, size_t count, int *results);

/* The same for futures and tasks that exist already; one may be there twice. */
ASYNCIO_SUSPENDS int asyncio_gather_futures(asyncio_future *const *futures, size_t count,
                                            int *results);

/* asyncio_gather({ fetch, &a }, { fetch, &b }); in C only. */
#define asyncio_gather(...)                                                                        \
    asyncio_gather_calls((asyncio_call[]){ __VA_ARGS__ },                                          \
                         sizeof((asyncio_call[]){ __VA_ARGS__ }) / sizeof(asyncio_call), NULL)

/* Awaits a future without passing a cancellation on to it: await asyncio.shield(future).  Should
 * it fail after this was cancelled, that is reported to the exception handler, once.  -ENOMEM: this
 * did not wait. */
ASYNCIO_SUSPENDS int asyncio_shield(asyncio_future *future);

enum asyncio_return_when {
    ASYNCIO_ALL_COMPLETED,
    ASYNCIO_FIRST_COMPLETED,
    ASYNCIO_FIRST_EXCEPTION /* the first failure other than -ECANCELED, or all */
};

/* Waits until the futures are as `when` says, or `timeout` is over, which is no error, and returns
 * how many are done; asyncio_future_done tells which.  Cancels none, ever.  -EINVAL: count is 0. */
ASYNCIO_SUSPENDS int asyncio_wait(asyncio_future *const *futures, size_t count, double timeout,
                                  enum asyncio_return_when when);

/* Futures in the order of their completion.  After _init (-ENOMEM) the array is not needed any
 * more, and _destroy must follow, which leaves the futures as they are. */
int asyncio_as_completed_init(asyncio_as_completed *iterator, asyncio_future *const *futures,
                              size_t count, double timeout);
void asyncio_as_completed_destroy(asyncio_as_completed *iterator);

/* Waits for the next one and stores its place in the array.  Returns 1, or 0 after the last.  After
 * the timeout: -ETIMEDOUT, once for each that is left. */
ASYNCIO_SUSPENDS int asyncio_as_completed_next(asyncio_as_completed *iterator, size_t *index);

/* Starts the calls one by one, each `delay` after the one before or as soon as that has failed;
 * the first that succeeds wins, and the others are cancelled and awaited.  Returns the winner's
 * place, or the failure that came last.  `results`, unless NULL, get what each call returned;
 * ASYNCIO_ESTATE: it was not started. */
ASYNCIO_SUSPENDS int asyncio_staggered_race(const asyncio_call *calls, size_t count, double delay,
                                            int *results);

/* ---- synchronization ------------------------------------------------------------------------
 *
 * Between tasks of one loop (ASYNCIO_EWRONGLOOP), not between threads.  First come, first served: a
 * newcomer never passes a waiter.  One that is cancelled leaves the object as if it had not waited,
 * and a wake-up it had got already goes on to the next.  None needs a destructor.
 */

ASYNCIO_SUSPENDS int asyncio_lock_acquire(asyncio_lock *lock); /* not recursive */
int asyncio_lock_release(asyncio_lock *lock); /* any task may; ASYNCIO_ESTATE: not locked */
bool asyncio_lock_locked(const asyncio_lock *lock);

ASYNCIO_SUSPENDS int asyncio_event_wait(asyncio_event *event);
void asyncio_event_set(asyncio_event *event); /* wakes all who wait, even if cleared at once */
void asyncio_event_clear(asyncio_event *event);
bool asyncio_event_is_set(const asyncio_event *event);

/* It has a lock of its own, or shares one: asyncio_condition condition = { .lock = &lock }; */
ASYNCIO_SUSPENDS int asyncio_condition_acquire(asyncio_condition *condition);
int asyncio_condition_release(asyncio_condition *condition);
bool asyncio_condition_locked(const asyncio_condition *condition);

/* Gives up the lock, waits to be notified, and has the lock again when it returns, whatever it
 * returns.  It may wake for nothing: wait in a loop.  ASYNCIO_ESTATE: the lock is not held. */
ASYNCIO_SUSPENDS int asyncio_condition_wait(asyncio_condition *condition);

/* That loop: waits until the predicate's result is not 0, and returns it; < 0 is an error. */
ASYNCIO_SUSPENDS int asyncio_condition_wait_for(asyncio_condition *condition,
                                                asyncio_callback *predicate, void *arg);

/* Wakes up to `count` waiters, or all.  ASYNCIO_ESTATE: the lock is not held. */
int asyncio_condition_notify(asyncio_condition *condition, size_t count);
int asyncio_condition_notify_all(asyncio_condition *condition);

#define ASYNCIO_SEMAPHORE_INIT(value) { .value_ = (value) }
#define ASYNCIO_BOUNDED_SEMAPHORE_INIT(value)                                                      \
    { .value_ = (value), .bound_ = (value), .bounded_ = true }

ASYNCIO_SUSPENDS int asyncio_semaphore_acquire(asyncio_semaphore *semaphore);
int asyncio_semaphore_release(asyncio_semaphore *semaphore); /* -EINVAL: over its bound */
bool asyncio_semaphore_locked(const asyncio_semaphore *semaphore);

#define ASYNCIO_BARRIER_INIT(parties) { .parties_ = (parties) }

/* Waits until all parties have come; returns 0 to the first that came, 1 to the second, and so on.
 * Cancelled, it takes its arrival back.  ASYNCIO_EBROKEN: reset or aborted meanwhile. */
ASYNCIO_SUSPENDS int asyncio_barrier_wait(asyncio_barrier *barrier);
void asyncio_barrier_reset(asyncio_barrier *barrier); /* ASYNCIO_EBROKEN for those waiting now */
void asyncio_barrier_abort(asyncio_barrier *barrier); /* ... and for all, until reset */
int asyncio_barrier_parties(const asyncio_barrier *barrier);
int asyncio_barrier_n_waiting(const asyncio_barrier *barrier);
bool asyncio_barrier_broken(const asyncio_barrier *barrier);

/* ---- queues --------------------------------------------------------------------------------
 *
 * Items are copied in and out.  Over an array of the caller, full when that is full:
 *
 *     struct job slots[8];
 *     asyncio_queue jobs = ASYNCIO_PRIORITY_QUEUE_INIT(slots, by_priority);
 *
 * The macros check at run time that the size of *item is that of the queue's items.  The member
 * `drop`, unless NULL, is called for each item that is thrown away by _shutdown or _destroy.
 */

typedef int asyncio_compare(const void *a, const void *b); /* < 0: `a` first, as for qsort(3) */
enum asyncio_queue_order { ASYNCIO_FIFO, ASYNCIO_LIFO, ASYNCIO_PRIORITY };

#define ASYNCIO_QUEUE_INIT(array)      { ASYNCIO_QUEUE_STORAGE_(array) }
#define ASYNCIO_LIFO_QUEUE_INIT(array) { ASYNCIO_QUEUE_STORAGE_(array), .order_ = ASYNCIO_LIFO }
#define ASYNCIO_PRIORITY_QUEUE_INIT(array, compare)                                                \
    { ASYNCIO_QUEUE_STORAGE_(array), .order_ = ASYNCIO_PRIORITY, .compare_ = (compare) }

/* A queue that allocates as it grows, up to `maxsize` items, 0: without limit.  With
 * ASYNCIO_PRIORITY, for which alone `compare` is, the lowest comes first, and equals in order of
 * arrival.  It needs _destroy, which an array's does not.  All-zeros is a FIFO queue without limit,
 * of items of the size of the first. */
void asyncio_queue_init(asyncio_queue *queue, size_t item_size, size_t maxsize,
                        enum asyncio_queue_order order, asyncio_compare *compare);
void asyncio_queue_destroy(asyncio_queue *queue);

/* Waits for room, or for an item.  ASYNCIO_ESHUTDOWN.  Without waiting, -EAGAIN: full, or empty. */
#define asyncio_queue_put(queue, ...)                                                              \
    asyncio_queue_put_((queue), (__VA_ARGS__), sizeof *(__VA_ARGS__))
#define asyncio_queue_get(queue, item) asyncio_queue_get_((queue), (item), sizeof *(item))
#define asyncio_queue_put_nowait(queue, ...)                                                       \
    asyncio_queue_put_nowait_((queue), (__VA_ARGS__), sizeof *(__VA_ARGS__))
#define asyncio_queue_get_nowait(queue, item)                                                      \
    asyncio_queue_get_nowait_((queue), (item), sizeof *(item))
ASYNCIO_SUSPENDS int asyncio_queue_put_(asyncio_queue *queue, const void *item, size_t size);
ASYNCIO_SUSPENDS int asyncio_queue_get_(asyncio_queue *queue, void *item, size_t size);
int asyncio_queue_put_nowait_(asyncio_queue *queue, const void *item, size_t size);
int asyncio_queue_get_nowait_(asyncio_queue *queue, void *item, size_t size);

/* An item that was got has been dealt with (-EINVAL: more often than put); waits until every item
 * that was put has been. */
int asyncio_queue_task_done(asyncio_queue *queue);
ASYNCIO_SUSPENDS int asyncio_queue_join(asyncio_queue *queue);

/* From now on put fails, and get when the queue is empty, with ASYNCIO_ESHUTDOWN, also for those
 * waiting.  `immediate` drops the items, as if each had been dealt with. */
void asyncio_queue_shutdown(asyncio_queue *queue, bool immediate);

size_t asyncio_queue_qsize(const asyncio_queue *queue);
size_t asyncio_queue_maxsize(const asyncio_queue *queue);
bool asyncio_queue_empty(const asyncio_queue *queue);
bool asyncio_queue_full(const asyncio_queue *queue);

/* ---- context variables ----------------------------------------------------------------------
 *
 * A task runs in a copy of the context of whoever created it; what it sets is not seen outside.
 * Values are pointers.  They are not owned, unless the variable has a `release`.
 */

typedef struct asyncio_contextvar {
    const char *name;
    void *default_value;
    void (*release)(void *value); /* no context holds it any more, in any thread; or NULL */
} asyncio_contextvar;

/* The value in the current context, or the default. */
void *asyncio_contextvar_get(const asyncio_contextvar *var);

/* Sets it there (-ENOMEM).  A token, unless NULL, keeps what was before and must be given to
 * _reset, once, to bring that back; ASYNCIO_ESTATE: from another context, or used already. */
int asyncio_contextvar_set(const asyncio_contextvar *var, void *value,
                           asyncio_contextvar_token *token);
int asyncio_contextvar_reset(asyncio_contextvar_token *token);

/* A copy of the current context, in O(1), or an empty one.  -ENOMEM. */
int asyncio_copy_context(asyncio_context **context);
int asyncio_context_new(asyncio_context **context);
ASYNCIO_THREADSAFE asyncio_context *asyncio_context_ref(asyncio_context *context);
ASYNCIO_THREADSAFE void asyncio_context_unref(asyncio_context *context);

/* Calls fn(arg) in `context` and returns its result.  -EBUSY: somebody is in it now. */
int asyncio_context_run(asyncio_context *context, asyncio_coro *fn, void *arg);

/* ---- threads -------------------------------------------------------------------------------- */

/* Runs fn(arg) in a worker thread, in a copy of this context, and returns its result.  Cancelled
 * before a worker took it, it never runs; later, this waits for its end, since `arg` is in use,
 * returns its result, and the request stays pending. */
ASYNCIO_SUSPENDS int asyncio_to_thread(asyncio_callback *fn, void *arg);

/* A result that crosses threads: concurrent.futures.Future.  Its functions are for any thread. */
typedef struct asyncio_concurrent_future asyncio_concurrent_future;

/* Starts fn(arg) as a task of `loop`, from any other thread; the caller gets a reference to its
 * future.  `arg` must outlive the task.  ASYNCIO_ECLOSED, -ENOMEM. */
ASYNCIO_THREADSAFE int asyncio_run_coroutine_threadsafe(asyncio_concurrent_future **future,
                                                        asyncio_loop *loop, asyncio_coro *fn,
                                                        void *arg);

/* Blocks this thread, at most `seconds`, until the result is there.  -ETIMEDOUT: it is not, and the
 * task goes on.  -EDEADLK: this is the thread of its loop. */
ASYNCIO_THREADSAFE int asyncio_concurrent_future_result(asyncio_concurrent_future *future,
                                                        double seconds);
/* Of a task's it is a request, and the result comes when the task has ended.  False: done. */
ASYNCIO_THREADSAFE bool asyncio_concurrent_future_cancel(asyncio_concurrent_future *future);
ASYNCIO_THREADSAFE bool asyncio_concurrent_future_done(asyncio_concurrent_future *future);

/* One that any thread may complete, once (ASYNCIO_ESTATE); and an asyncio_future that follows it,
 * where cancelling one cancels the other. */
int asyncio_concurrent_future_new(asyncio_concurrent_future **future);
ASYNCIO_THREADSAFE int asyncio_concurrent_future_set_result(asyncio_concurrent_future *future,
                                                            int result);
ASYNCIO_THREADSAFE asyncio_concurrent_future *asyncio_concurrent_future_ref(
    asyncio_concurrent_future *future);
ASYNCIO_THREADSAFE void asyncio_concurrent_future_unref(asyncio_concurrent_future *future);
int asyncio_wrap_future(asyncio_future *future, asyncio_concurrent_future *source);

/* ---- signals -------------------------------------------------------------------------------- */

/* Waits until one of the signals arrives and returns its number; so do all who wait for it, in
 * every loop.  Dispositions are as before when the last has returned, so that a second Ctrl-C does
 * what it did; for a signal that comes again and again see asyncio_loop_add_signal_handler.
 * -EINVAL: no signal, or one that cannot be caught. */
ASYNCIO_SUSPENDS int asyncio_wait_signal(int signum);
ASYNCIO_SUSPENDS int asyncio_wait_signals(const int *signums, size_t count);

/* ---- bytes and addresses -------------------------------------------------------------------- */

/* Bytes that are only read; laid out as struct iovec where there is one. */
typedef struct asyncio_bytes {
    const void *data;
    size_t size;
} asyncio_bytes;

/* Bytes that grow, to be freed.  A call that filled it has left data[size] == 0, even when nothing
 * came.  With `limit` set, going beyond it is ASYNCIO_ELIMIT. */
typedef struct asyncio_buffer {
    char *data;
    size_t size, capacity, limit;
} asyncio_buffer;

int asyncio_buffer_append(asyncio_buffer *buffer, const void *data, size_t size);
void asyncio_buffer_clear(asyncio_buffer *buffer); /* keeps the memory */
void asyncio_buffer_free(asyncio_buffer *buffer);  /* leaves it empty and ready */

/* A struct sockaddr of `size` bytes, in `data`. */
typedef struct asyncio_address {
    uint32_t size;
    uint64_t data[16];
} asyncio_address;

/* From "127.0.0.1", "::1", "fe80::1%eth0", never a name; or from a path, a leading @ being the NUL
 * of an abstract one.  -EINVAL. */
int asyncio_address_init(asyncio_address *address, const char *host, unsigned port);
int asyncio_address_init_unix(asyncio_address *address, const char *path);

/* Writes "127.0.0.1:80", "[::1]:80" or the path, cut off at `size`; returns its whole length. */
int asyncio_address_format(const asyncio_address *address, char *text, size_t size);
unsigned asyncio_address_port(const asyncio_address *address); /* 0: it has none */

typedef struct asyncio_getaddrinfo_options {
    int family, type, protocol, flags; /* as in getaddrinfo(3) */
    uintptr_t reserved_[2];
} asyncio_getaddrinfo_options;

/* Looks a name up.  Returns how many addresses there are, at least 1, and stores the first
 * `capacity`, each once, in the resolver's order.  Done in a thread, unless `host` is numeric.
 * ASYNCIO_EAI_*.  The second is the reverse; `flags` as in getnameinfo(3); a size of 0: not wanted;
 * ASYNCIO_ELIMIT: there is no room. */
ASYNCIO_SUSPENDS int asyncio_getaddrinfo(asyncio_address *addresses, size_t capacity,
                                         const char *host, const char *service,
                                         const asyncio_getaddrinfo_options *options);
ASYNCIO_SUSPENDS int asyncio_getnameinfo(char *host, size_t host_size, char *service,
                                         size_t service_size, const asyncio_address *address,
                                         int flags);

/* ---- streams: opening ----------------------------------------------------------------------- */

typedef struct asyncio_connection_options {
    asyncio_tls_context *tls;     /* asyncio/tls.h; NULL: no TLS */
    const char *server_hostname;  /* to verify; NULL: the host connected to; "": none */
    double tls_handshake_timeout; /* 60 s */
    double tls_shutdown_timeout;  /* 30 s */
    size_t limit;                 /* of bytes read ahead, and of a line; 64 KiB */
    int family, protocol, flags;  /* for the resolver */
    const char *local_host;       /* where to bind this end */
    unsigned local_port;
    double happy_eyeballs_delay;  /* 0: one address after the other; RFC 8305 says 0.25 s */
    int interleave;               /* first address family count; 1 with a delay */
    const asyncio_socket *socket; /* a connected one, which is taken over; no host then */
    uintptr_t reserved_[4];
} asyncio_connection_options;

/* Connects to a host, by name or address, or to a Unix socket; with TLS, returns after the
 * handshake.  The error is that of the first address; asyncio_error_detail has all.  Cancelled:
 * everything is closed.  -EINVAL: also TLS without a name to verify.  ASYNCIO_EAI_*.  A socket that
 * was given stays the caller's if this fails. */
ASYNCIO_SUSPENDS int asyncio_open_connection(asyncio_stream **stream, const char *host,
                                             unsigned port,
                                             const asyncio_connection_options *options);
ASYNCIO_SUSPENDS int asyncio_open_unix_connection(asyncio_stream **stream, const char *path,
                                                  const asyncio_connection_options *options);

/* A stream on pipes or terminals, which it takes over: one to read from, one to write to, or NULL;
 * reading or writing without is -ENOTSUP.  The two directions end on their own; given twice, a
 * socket or terminal is one.  The descriptors are closed at the end: give a dup to keep one.  That
 * they do not block is not seen by other processes, nor through a dup, if it is a pipe or
 * terminal that can be opened anew; otherwise it is undone at the end.  A failure leaves them as
 * they were.  -EINVAL: a regular file, or NULL twice; -EBUSY: one is in use. */
int asyncio_open_pipe(asyncio_stream **stream, const asyncio_file *reading,
                      const asyncio_file *writing);

/* Two streams in memory, each the other's peer; for tests. */
int asyncio_stream_pair(asyncio_stream **a, asyncio_stream **b, size_t limit);

/* ---- streams: reading -----------------------------------------------------------------------
 *
 * One task may read while others write; a second reader gets -EBUSY.  A cancelled read loses
 * nothing: what comes is there for the next.  An error of the connection is kept and returned by
 * every later call, even before data that is still buffered.  That the end came too early
 * (ASYNCIO_EINCOMPLETE, of TLS) is kept, too, and returned by reads behind what was before it.
 */

/* Reads what is there, at least 1 byte and at most `size`; returns how many, 0 at the end. */
ASYNCIO_SUSPENDS int asyncio_stream_read(asyncio_stream *stream, void *data, size_t size);

/* Reads `size` bytes and returns 0.  ASYNCIO_EINCOMPLETE: the end came first, after
 * asyncio_stream_partial() bytes, which are in `data`. */
ASYNCIO_SUSPENDS int asyncio_stream_readexactly(asyncio_stream *stream, void *data, size_t size);

/* Reads up to and including the separator, adds a NUL, returns the length without that.
 * ASYNCIO_EINCOMPLETE: as above.  ASYNCIO_ELIMIT: there is none within the stream's limit, or
 * within `size`; all stays unread, its first asyncio_stream_partial() bytes without a separator.
 * The second: with several, of any bytes, of which the match that ends first counts. */
ASYNCIO_SUSPENDS int asyncio_stream_readuntil(asyncio_stream *stream, char *data, size_t size,
                                              const char *separator);
ASYNCIO_SUSPENDS int asyncio_stream_readuntil_any(asyncio_stream *stream, char *data, size_t size,
                                                  const asyncio_bytes *separators, size_t count);

/* Reads a line with its newline, adds a NUL, returns the length, 0 at the end.  The last line may
 * lack its newline.  ASYNCIO_ELIMIT: too long, and dropped. */
ASYNCIO_SUSPENDS int asyncio_stream_readline(asyncio_stream *stream, char *line, size_t size);

/* Appends all there is up to the end; what came before a failure is in the buffer, too. */
ASYNCIO_SUSPENDS int asyncio_stream_readall(asyncio_stream *stream, asyncio_buffer *buffer);

size_t asyncio_stream_partial(const asyncio_stream *stream);
bool asyncio_stream_at_eof(const asyncio_stream *stream); /* at the end, and nothing buffered */

/* ---- streams: writing ----------------------------------------------------------------------- */

/* Waits while the peer is slow, then takes all of the data; `data` may be reused on return.  What
 * several tasks write is not mixed.  Cancelled while it waits: nothing is written; later, it is
 * written whole.  -EPIPE, -ECONNRESET, ASYNCIO_ECLOSED. */
ASYNCIO_SUSPENDS int asyncio_stream_write(asyncio_stream *stream, const void *data, size_t size);
ASYNCIO_SUSPENDS int asyncio_stream_writelines(asyncio_stream *stream, const asyncio_bytes *parts,
                                               size_t count);
ASYNCIO_PRINTF(2, 3)
ASYNCIO_SUSPENDS int asyncio_stream_printf(asyncio_stream *stream, const char *format, ...);

/* asyncio's pair: the first buffers what is not sent at once, without limit, and drops it silently
 * when the connection is lost; the second waits for the buffer to drain. */
int asyncio_stream_write_nowait(asyncio_stream *stream, const void *data, size_t size);
ASYNCIO_SUSPENDS int asyncio_stream_drain(asyncio_stream *stream);
size_t asyncio_stream_get_write_buffer_size(const asyncio_stream *stream);

/* Tells the peer that no more will come, once the buffer is sent.  -ENOTSUP: TLS cannot. */
int asyncio_stream_write_eof(asyncio_stream *stream);
bool asyncio_stream_can_write_eof(const asyncio_stream *stream);

typedef struct asyncio_sendfile_options {
    int64_t offset, count; /* count 0: to the end */
    bool no_fallback;      /* the kernel does it, or ASYNCIO_ENOSENDFILE */
    uintptr_t reserved_[2];
} asyncio_sendfile_options;

/* Sends a file, after what was written before; *sent is how much, also after a failure, and so far
 * behind the offset the file stands then.  Cancelled after the first byte, it returns 0.  Writing
 * meanwhile is ASYNCIO_ESTATE.  -EINVAL: a negative offset or count. */
ASYNCIO_SUSPENDS int asyncio_stream_sendfile(asyncio_stream *stream, int64_t *sent,
                                             asyncio_file file,
                                             const asyncio_sendfile_options *options);

/* ---- streams: ending, and by hand ------------------------------------------------------------ */

/* Begins to close: sends what is buffered, then closes, in the background.  A read that waits sees
 * the end of the stream, a write that waits returns ASYNCIO_ECLOSED. */
void asyncio_stream_close(asyncio_stream *stream);
bool asyncio_stream_is_closing(const asyncio_stream *stream);

/* Waits until it is closed, by either side, and returns the error that ended it, or 0. */
ASYNCIO_SUSPENDS int asyncio_stream_wait_closed(asyncio_stream *stream);

/* Closes at once and drops what is buffered. */
void asyncio_stream_abort(asyncio_stream *stream);

/* Gives it back; closes it unless that has begun. */
void asyncio_stream_free(asyncio_stream *stream);

/* A stream over a transport of any kind, whose protocol it becomes and which it closes; or, with
 * NULL, over none yet: it can be fed by hand, or be given to a transport as its protocol, and freed
 * only when that is made or has failed.  Writing without is -ENOTCONN.  ASYNCIO_ECLOSED: the
 * transport is closing; -EINVAL: it moves no bytes. */
int asyncio_stream_new(asyncio_stream **stream, asyncio_transport *transport, size_t limit);

/* By hand: what is fed comes behind what was read.  -ENOTSUP: a stream that reads by itself, such
 * as those of connections and pipes; ASYNCIO_ESTATE: after the end; -ENOMEM. */
int asyncio_stream_feed_data(asyncio_stream *stream, const void *data, size_t size);
void asyncio_stream_feed_eof(asyncio_stream *stream);

/* Ends a stream of any kind with an error, as if its connection had been lost. */
void asyncio_stream_set_exception(asyncio_stream *stream, int error);
int asyncio_stream_exception(const asyncio_stream *stream); /* 0: none */

/* NULL: a stream that has no transport, such as those of connections without TLS, of pipes and in
 * memory. */
asyncio_protocol *asyncio_stream_protocol(asyncio_stream *stream);
asyncio_transport *asyncio_stream_transport(const asyncio_stream *stream);

/* -ENOTSUP: streams in memory and over pipes have none. */
int asyncio_stream_get_peername(const asyncio_stream *stream, asyncio_address *address);
int asyncio_stream_get_sockname(const asyncio_stream *stream, asyncio_address *address);

/* ---- servers -------------------------------------------------------------------------------- */

/* Handles one connection, in a task of its own.  The stream is lent: it is closed and freed when
 * the handler returns, before that asyncio_stream_free only closes it.  A failure is reported to
 * the exception handler, but not -ECANCELED, nor that the peer went away, nor ASYNCIO_ECLOSED where
 * the server closed or aborted its clients. */
typedef int asyncio_stream_handler(asyncio_stream *stream, void *arg);

/* Makes the lent stream its caller's, to be freed by it. */
void asyncio_stream_detach(asyncio_stream *stream);

typedef struct asyncio_server_options {
    const char *host;             /* names or addresses, comma between; NULL: every interface */
    unsigned port;                /* 0: any free one */
    const char *path;             /* a Unix socket instead; a leading @: abstract */
    const asyncio_socket *socket; /* a bound one instead, taken over unless this fails */
    int family, flags;            /* for the resolver; flags: AI_PASSIVE */
    int backlog;                  /* 100 */
    asyncio_tls_context *tls;     /* asyncio/tls.h; NULL: no TLS */
    double tls_handshake_timeout; /* 60 s */
    double tls_shutdown_timeout;  /* 30 s */
    size_t limit;                 /* of bytes read ahead, per stream, and of a line; 64 KiB */
    size_t max_clients;           /* more have to wait to be accepted; 0: no limit */
    size_t stack_size;            /* of the handlers' tasks */
    double grace;                 /* asyncio_serve: how long handlers may go on at the end; 0 */
    bool no_reuse_address, reuse_port, keep_alive;
    bool keep_socket_file; /* do not remove `path` at the end */
    bool bind_only;        /* start_serving=False */
    uintptr_t reserved_[4];
} asyncio_server_options;

/* Serves until cancelled: accepts connections and runs `handler` for each.  When it ends, for
 * whatever reason, it stops accepting, gives the handlers `grace` seconds, cancels those left, and
 * returns when the last has ended; `arg` is not used after that.  -EADDRINUSE: also the file of a
 * Unix socket that lives; one that was left behind is replaced.  Out of descriptors it closes what
 * waits to be accepted, tells the exception handler, and tries again a second later. */
ASYNCIO_SUSPENDS int asyncio_serve(asyncio_stream_handler *handler, void *arg,
                                   const asyncio_server_options *options);

/* The same as an object, which accepts in the background; `arg` must outlive the handlers. */
ASYNCIO_SUSPENDS int asyncio_start_server(asyncio_server **server, asyncio_stream_handler *handler,
                                          void *arg, const asyncio_server_options *options);
int asyncio_server_start_serving(asyncio_server *server); /* after .bind_only */

/* Starts serving and waits; ended by _close it returns -ECANCELED.  Cancelled, it closes the server
 * and waits for its clients, without limit.  ASYNCIO_ESTATE: closed, or waited for already. */
ASYNCIO_SUSPENDS int asyncio_server_serve_forever(asyncio_server *server);

/* Stops accepting, at once.  Connections go on; close_clients closes them, abort_clients aborts. */
void asyncio_server_close(asyncio_server *server);
void asyncio_server_close_clients(asyncio_server *server);
void asyncio_server_abort_clients(asyncio_server *server);

/* Waits until it was closed and the last connection is gone. */
ASYNCIO_SUSPENDS int asyncio_server_wait_closed(asyncio_server *server);

typedef struct asyncio_shutdown_counts {
    size_t finished;  /* ended by themselves */
    size_t cancelled; /* ended when cancelled */
    size_t left;      /* aborted, and have not ended: `arg` is still in use */
} asyncio_shutdown_counts;

/* Ends it within `grace` seconds: stops accepting, lets handlers finish, cancels those that have
 * not when nine tenths are over, aborts the connections of the rest at the end.  0, or -ETIMEDOUT
 * if handlers are left.  Cancelled, it cancels and aborts at once.  Always fills in `counts`. */
ASYNCIO_SUSPENDS int asyncio_server_shutdown(asyncio_server *server, double grace,
                                             asyncio_shutdown_counts *counts);

/* Gives it back; closes it unless that was done.  Handlers go on. */
void asyncio_server_free(asyncio_server *server);

bool asyncio_server_is_serving(const asyncio_server *server);
asyncio_loop *asyncio_server_get_loop(const asyncio_server *server);

/* How many sockets it listens on, 0 once closed; stores the first `capacity`, borrowed. */
size_t asyncio_server_sockets(const asyncio_server *server, asyncio_socket *sockets,
                              size_t capacity);
unsigned asyncio_server_port(const asyncio_server *server); /* of the first; 0: has none */

/* ---- datagrams ------------------------------------------------------------------------------ */

typedef struct asyncio_endpoint_options {
    const char *local_host, *remote_host; /* both may be NULL when `family` is set */
    unsigned local_port, remote_port;
    const char *local_path, *remote_path; /* Unix sockets instead; a stale one is replaced */
    const asyncio_socket *socket;         /* instead, taken over unless this fails */
    int family, protocol, flags;
    bool reuse_port, allow_broadcast;
    uintptr_t reserved_[4];
} asyncio_endpoint_options;

/* A datagram socket, bound, connected or both, as the options say.  Bound to "", or to a port
 * alone: to every interface.  With allow_broadcast it hears everybody, though it has a remote
 * address to send to.  The file of a local path is removed at the end; a leading @: abstract.
 * -EINVAL: options that do not fit together, or addresses of different families. */
ASYNCIO_SUSPENDS int asyncio_open_datagram_endpoint(asyncio_endpoint **endpoint,
                                                    const asyncio_endpoint_options *options);

/* Receives one datagram, cut off at `size`; returns its length, which may be 0.  One of `size`
 * bytes may have been longer: who must know gives room for one more.  `from` may be NULL.  Errors
 * such as -ECONNREFUSED concern an earlier send; the endpoint stays good.  Cancelled: none is lost.
 * -EBUSY: another task is at it. */
ASYNCIO_SUSPENDS int asyncio_endpoint_recvfrom(asyncio_endpoint *endpoint, void *data, size_t size,
                                               asyncio_address *from);

/* Sends one, waiting while too much is buffered; `to` is NULL when connected, or the same address
 * (-EINVAL).  Several tasks may send at once.  -EMSGSIZE: it is too long. */
ASYNCIO_SUSPENDS int asyncio_endpoint_sendto(asyncio_endpoint *endpoint, const void *data,
                                             size_t size, const asyncio_address *to);
int asyncio_endpoint_get_sockname(const asyncio_endpoint *endpoint, asyncio_address *address);

/* Closes it: nothing is buffered but by the system, which goes on sending that.  Calls that wait
 * return ASYNCIO_ECLOSED. */
void asyncio_endpoint_free(asyncio_endpoint *endpoint);

/* ---- sockets and files ---------------------------------------------------------------------- */

/* On the caller's own non-blocking sockets, one reader and one writer at a time.  Each tries at
 * once, and waits only if it must.  sendall returns `size`, or less when it was cancelled after
 * the first byte; failed, it may have sent an unknown part. */
ASYNCIO_SUSPENDS int asyncio_sock_recv(asyncio_socket socket, void *data, size_t size);
ASYNCIO_SUSPENDS int asyncio_sock_recvfrom(asyncio_socket socket, void *data, size_t size,
                                           asyncio_address *from);
ASYNCIO_SUSPENDS int asyncio_sock_sendall(asyncio_socket socket, const void *data, size_t size);
ASYNCIO_SUSPENDS int asyncio_sock_sendto(asyncio_socket socket, const void *data, size_t size,
                                         const asyncio_address *to);
ASYNCIO_SUSPENDS int asyncio_sock_connect(asyncio_socket socket, const asyncio_address *address);
ASYNCIO_SUSPENDS int asyncio_sock_accept(asyncio_socket *accepted, asyncio_address *from,
                                         asyncio_socket listener);

/* As asyncio_stream_sendfile.  -EINVAL: also no stream socket. */
ASYNCIO_SUSPENDS int asyncio_sock_sendfile(asyncio_socket socket, int64_t *sent, asyncio_file file,
                                           const asyncio_sendfile_options *options);

/* Files, without ever blocking the loop: from the page cache at once, else in a thread.  `flags`
 * and `mode` as for open(2), to which O_CLOEXEC and O_NONBLOCK are added; offset -1: where the file
 * stands.  A file on a disk is read or written whole, up to its end or until the disk is full.
 * Once begun they are not cancelled, but return their result.  An asyncio_file is no object: close
 * does end it, in the background. */
ASYNCIO_SUSPENDS int asyncio_file_open(asyncio_file *file, const char *path, int flags, int mode);
ASYNCIO_SUSPENDS int asyncio_file_read(asyncio_file file, void *data, size_t size, int64_t offset);
ASYNCIO_SUSPENDS int asyncio_file_write(asyncio_file file, const void *data, size_t size,
                                        int64_t offset);
ASYNCIO_SUSPENDS int asyncio_file_sync(asyncio_file file);
void asyncio_file_close(asyncio_file file);

/* ---- subprocesses --------------------------------------------------------------------------- */

enum asyncio_stdio {
    ASYNCIO_INHERIT,
    ASYNCIO_PIPE,
    ASYNCIO_DEVNULL,
    ASYNCIO_STDOUT, /* for err: where out goes */
    ASYNCIO_FILE    /* the file beside it, which stays the caller's */
};

enum { ASYNCIO_RUNNING = INT_MIN }; /* the return code of a process that still runs */

typedef struct asyncio_process_options {
    enum asyncio_stdio in, out, err;
    asyncio_file in_file, out_file, err_file;
    const char *cwd;
    const char *const *env;    /* NULL: this process's */
    const asyncio_file *files; /* further ones for the child, under the same numbers */
    size_t file_count;
    bool new_session; /* setsid(2) */
    bool new_group;   /* setpgid(2): out of the reach of the terminal's Ctrl-C */
    const unsigned *user, *group, *umask;
    size_t limit; /* of bytes read ahead, per pipe; 64 KiB */
    uintptr_t reserved_[4];
} asyncio_process_options;

/* Starts a program, argv[0] looked up in PATH, or a shell command.  The child gets the named files
 * and no others, and default signal dispositions.  -ENOENT, -EACCES: argv[0], or cwd, as
 * asyncio_error_detail tells; -EBADF: a file is not open. */
ASYNCIO_SUSPENDS int asyncio_create_subprocess_exec(asyncio_process **process,
                                                    const char *const *argv,
                                                    const asyncio_process_options *options);
ASYNCIO_SUSPENDS int asyncio_create_subprocess_shell(asyncio_process **process, const char *command,
                                                     const asyncio_process_options *options);

/* Writes `input`, closes the child's input, appends what it writes, and waits for its end; `out`
 * and `err` may be NULL.  That the child does not read is no error.  Cancelled: what came is in the
 * buffers, and the child runs on. */
ASYNCIO_SUSPENDS int asyncio_process_communicate(asyncio_process *process, const void *input,
                                                 size_t size, asyncio_buffer *out,
                                                 asyncio_buffer *err);

/* Waits for its end, not for that of its pipes; a child whose output nobody reads may never end. */
ASYNCIO_SUSPENDS int asyncio_process_wait(asyncio_process *process);

/* The exit status, -N if signal N ended it, ASYNCIO_RUNNING. */
int asyncio_process_returncode(const asyncio_process *process);
int asyncio_process_pid(const asyncio_process *process);

/* This side of its pipes, borrowed; NULL: none. */
asyncio_stream *asyncio_process_stdin(const asyncio_process *process);
asyncio_stream *asyncio_process_stdout(const asyncio_process *process);
asyncio_stream *asyncio_process_stderr(const asyncio_process *process);

/* -ESRCH: it has ended. */
int asyncio_process_send_signal(asyncio_process *process, int signum);
int asyncio_process_terminate(asyncio_process *process); /* SIGTERM */
int asyncio_process_kill(asyncio_process *process);      /* SIGKILL */

/* Gives it back.  A child that still runs is killed, and reaped in the background; what it did not
 * read is dropped.  After its loop was closed, too, which by itself kills no child. */
void asyncio_process_free(asyncio_process *process);

/* ---- introspection --------------------------------------------------------------------------- */

typedef struct asyncio_call_graph {
    asyncio_future *future; /* or task: to compare only, it may be gone */
    char name[64];
    void **call_stack; /* innermost first */
    size_t call_stack_size;
    struct asyncio_call_graph **awaited_by;
    size_t awaited_by_size;
} asyncio_call_graph;

/* Where a task stands, who awaits it, and so on; NULL: the current task.  `limit`: 0 for no stacks,
 * n for the innermost n entries of each, -n for the outermost.  Who awaits himself, by way of
 * others, is not shown a second time.  -ENOENT: no task.  ASYNCIO_ENOLOOP, -ENOMEM.
 * ASYNCIO_EWRONGLOOP: of a loop that runs in another thread.  ASYNCIO_ELIMIT: more than 65,536. */
int asyncio_capture_call_graph(asyncio_call_graph **graph, asyncio_future *future, int limit);
void asyncio_call_graph_free(asyncio_call_graph *graph);

/* The same as text, appended; nothing if there is no task. */
int asyncio_format_call_graph(asyncio_buffer *text, asyncio_future *future, int limit);
int asyncio_print_call_graph(asyncio_future *future, int limit, int fd);

/* Tells the above that `waiter` waits for `future`, for combinators of one's own, until it is told
 * otherwise, which must be before one of the three is gone.  NULL for a future: no effect. */
void asyncio_future_add_to_awaited_by(asyncio_awaited_by *edge, asyncio_future *future,
                                      asyncio_future *waiter);
void asyncio_future_discard_from_awaited_by(asyncio_awaited_by *edge);

/* What a task runs, and the stack it is suspended on, as return addresses or printed. */
asyncio_call asyncio_task_get_coro(const asyncio_task *task);
size_t asyncio_task_get_stack(const asyncio_task *task, void **addresses, size_t capacity);
int asyncio_task_print_stack(const asyncio_task *task, int limit, int fd);

/* Every task of this thread's loop, with its stack and what it waits for.  Allocates nothing, so
 * that a debugger can call it. */
void asyncio_dump_tasks(int fd);

/* A line about it, cut off at `size`; returns its whole length. */
int asyncio_task_describe(const asyncio_task *task, char *text, size_t size);
int asyncio_future_describe(const asyncio_future *future, char *text, size_t size);
int asyncio_handle_describe(const asyncio_handle *handle, char *text, size_t size);

#if defined(__GNUC__) && !defined(_WIN32)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
} /* extern "C" */

ASYNCIO_SUSPENDS inline int asyncio_await(asyncio_task *task)
{
    return asyncio_task_await(task);
}

ASYNCIO_SUSPENDS inline int asyncio_await(asyncio_future *future)
{
    return asyncio_future_await(future);
}
#endif

#include "asyncio/lowlevel.h"

#endif
