/* task.h - tasks and the one way to suspend one, for the floors above.
 *
 * A task lies at the top of its own stack.  While it is suspended, `waiting` says on what: a struct
 * wait on its stack.  Whoever ends the wait calls task_wake(), once; the task then is in the ready
 * queue and goes on when its turn comes.  The wait's cancel function is what a cancellation does to
 * it; see struct wait.
 *
 *     asyncio_task_cancel                 what the task awaits
 *       |  cancel(wait) -> true             undone, or asked to end: a wake-up will come
 *       |  cancel(wait) -> false            its wake-up was given already (or it cannot be undone):
 *       v                                   the request is kept in must_cancel
 *     task_park returns                   -ECANCELED for a request kept, unless the wait is one
 * that leaves it pending
 */
#ifndef ASYNCIO_TASK_TASK_H
#define ASYNCIO_TASK_TASK_H

#include "core/future.h"
#include "ground/fiber.h"
#include "ground/stack.h"

struct wait;

struct wait_type {
    const char *what; /* for dumps: "sleeps", "waits for a lock" */
    /* Asked to give up.  True: the task has been woken or will be, and finds out by itself that it
     * was cancelled.  False, or NULL: nothing was done. */
    bool (*cancel)(struct wait *wait, const char *reason);
    bool keeps_cancel; /* task_park() does not deliver: the request stays for the next wait */
    bool of_task;      /* the object is a task's future */
    bool passes_on;    /* cancel() cancels other tasks; the wait is a waiter's */
};

struct wait {
    const struct wait_type *type;
    const void *object; /* for dumps */
};

/* The first two cache lines are all that a switch touches, beside the stack: with thousands of
 * tasks each line of each comes from afar. */
struct asyncio_task {
    asyncio_handle resume; /* in the ready queue, or in the list of the future it waits for */
    struct fiber fiber;
    struct wait *waiting; /* NULL: it runs, or has not started, or has ended */
    struct scheduler *scheduler;
    struct asyncio_loop *loop; /* NULL: it is gone, and this had not ended */
    struct fiber *return_to;   /* eager: where to go at the first suspension */
    int budget;                /* calls that need not wait, until the others get a turn */
    int cancelling;
    bool must_cancel; /* requested, and not yet delivered */
    bool asked;       /* while a request is passed on: by this one */
    bool put_off;     /* while requests are passed on: it is in the scheduler's list for that */
    bool started;
    bool late;   /* it has ended, and lasts until its callbacks have run */
    bool later;  /* others came meanwhile: once more */
    int dropped; /* debug mode: suspensions since the last request that is not taken back */
    struct context_slot context;
    asyncio_future future;
    asyncio_coro *fn;
    void *arg;
    struct asyncio_scope_ *scopes; /* those open, innermost first */
    struct asyncio_link_ all;      /* in the scheduler's list of tasks, or of those that ended */
    int references;
    uint64_t number;      /* of all of its loop */
    uint64_t name_number; /* of all that were given no name, in the process; else 0 */
    char *detail;         /* asyncio_error_detail() */
    struct stack stack;
    /* For whoever owns it: a group, a gather. */
    struct asyncio_link_ sibling;
    asyncio_future_callback ended;
    void *owner;
    asyncio_task *parent; /* who awaits it, while `ended` watches; for call graphs */
    char name[64];        /* "": Task-`name_number`, made when it is asked for */
};

enum { TASK_BUDGET = 256, TASK_BUDGET_IO = 8 };

/* The task that runs in this thread; NULL in a callback. */
extern _Thread_local struct asyncio_task *task_current __attribute__((tls_model("initial-exec")));

struct scheduler {
    struct fiber fiber;   /* that runs the loop */
    struct fiber *lent;   /* of the task on whose stack an exception handler runs, or NULL */
    asyncio_task *zombie; /* has ended; its stack is free once we are off it */
    struct asyncio_loop *loop;
    int *errno_place;           /* of the thread that runs it: asking costs a call each time */
    struct asyncio_link_ all;   /* in the list of all schedulers: debug_table.h */
    int thread_id;              /* that runs it; 0: none does */
    struct asyncio_link_ tasks; /* all that have not ended */
    struct asyncio_link_ ended; /* those that have, while somebody holds them */
    size_t count;
    uint64_t made;
    uint64_t name, last_name; /* numbers for names: the last given, and the last there is */
    struct stack_pool stacks;
    asyncio_task_factory *factory;
    int cancel_depth;             /* of requests that are passed on by those they reach */
    struct asyncio_link_ put_off; /* tasks that have still to pass one on, by their `resume` */
    size_t allocated;             /* tasks whose stacks are in use, ended ones included */
    bool watching;                /* for stack overflows, in this run */
    bool orphaned;                /* the loop is gone; the last task takes this with it */
};

/* The loop's scheduler, made when first needed; NULL: no memory. */
struct scheduler *scheduler_make(struct asyncio_loop *loop);

static inline struct scheduler *scheduler_of(struct asyncio_loop *loop)
{
    return loop->scheduler != NULL ? loop->scheduler : scheduler_make(loop);
}

/* ---- suspending ---- */

/* Suspends the current task until task_wake().  Returns 0, or -ECANCELED when a request was
 * delivered that the wait's own cancel function did not take.  errno is kept. */
int task_park(struct wait *wait);

/* Makes a parked task ready.  At most once for each park. */
void task_wake(asyncio_task *task);

/* Lets every other ready task take a step. */
int task_yield(asyncio_task *self);

/* Lets every other ready task take a step, and delivers no cancellation. */
void task_give_turn(asyncio_task *task);

/* To be called by every suspending function that found it need not wait: now and then it gives the
 * others a turn. */
static inline void task_spend(asyncio_task *task, int cost)
{
    task->budget -= cost;
    if (task->budget < 0)
        task_give_turn(task);
}

/* 0, or ASYNCIO_ENOTASK. */
static inline int task_require(asyncio_task **task)
{
    *task = task_current;
    return *task != NULL ? 0 : ASYNCIO_ENOTASK;
}

/* ---- waiters: what a task leaves in the list of a lock, an event, a queue ---- */

enum waiter_state { WAITER_PENDING, WAITER_WOKEN, WAITER_CANCELLED };

/* asyncio's "waiter future", without the future.  It stays in its list, whatever its state, until
 * the task runs again and takes it out. */
struct waiter {
    struct wait wait;
    struct asyncio_link_ link;
    asyncio_task *task;
    enum waiter_state state;
};

/* A wait_type for waiters: WAITER_TYPE("waits for a lock"). */
bool waiter_cancel(struct wait *wait, const char *reason);
#define WAITER_TYPE(text)                                                                          \
    {                                                                                              \
        .what = (text), .cancel = waiter_cancel                                                    \
    }

/* Queues the current task, which there is, in `waiters`, whose loop it binds, parks it, and takes
 * it out again.  0: it was woken.  -ECANCELED: a cancellation came; waiter->state tells whether it
 * had been woken before (WAITER_WOKEN), so that the wake-up must be passed on.
 * ASYNCIO_EWRONGLOOP: nothing happened, and state is WAITER_PENDING. */
int waiter_wait(struct waiter *waiter, struct asyncio_waiters_ *waiters,
                const struct wait_type *type, const void *object);

/* Wakes it, unless it is woken or cancelled already (false). */
bool waiter_wake(struct waiter *waiter);

static inline struct waiter *waiter_of(struct asyncio_link_ *link)
{
    return link != NULL ? CONTAINER_OF(link, struct waiter, link) : NULL;
}

static inline struct waiter *waiters_first(const struct asyncio_waiters_ *waiters)
{
    return waiter_of(waiters->link_.next_);
}

static inline struct waiter *waiter_next(const struct waiter *waiter)
{
    return waiter_of(waiter->link.next_);
}

/* What a handle with HANDLE_MEMBER is the beginning of, so that call graphs and debug_table.h find
 * out, while it watches, who watches; NULL: all who wait in this list. */
struct member_watch {
    asyncio_handle handle;
    asyncio_task *awaiter;
    const struct asyncio_waiters_ *awaiters;
};

/* ---- other waits ---- */

/* In a task: submits the operation, whose `done` it sets, and waits until it is over; returns its
 * result.  A cancellation cancels the operation and waits for its end: -ECANCELED only if that was
 * its result; else the request stays pending.  Tries first, and does not suspend if that
 * succeeds. */
int await_op(asyncio_op *op);

/* For an owner that may end the operation itself while a task awaits it: whether a request to
 * cancel the task came as well, of which the -ECANCELED is the answer then. */
struct task_requests {
    int count;
    bool pending;
};

static inline struct task_requests task_requests(const asyncio_task *task)
{
    return (struct task_requests){ task->cancelling, task->must_cancel };
}

static inline bool task_was_asked(const asyncio_task *task, struct task_requests before)
{
    return before.pending || task->cancelling != before.count;
}

/* ---- tasks ---- */

/* What asyncio_loop_create_task does, with the factory.  With `task` not NULL the caller gets a
 * reference. */
int task_create(struct asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                const asyncio_task_options *options);

static inline asyncio_task *task_of_future(asyncio_future *future)
{
    return (future->state_ & FUTURE_TASK) != 0 ? CONTAINER_OF(future, asyncio_task, future) : NULL;
}

static inline bool task_done(const asyncio_task *task)
{
    return future_done(&task->future);
}

/* The loop's ready handle of a task; see park.c. */
int task_resume(void *arg);

/* Ends the life of a task that is done, after a switch away from it. */
void task_reap(struct scheduler *scheduler);

/* For the fibers of new tasks: runs the body and ends the task. */
void task_main(void *arg);

/* Runs a new task up to its first suspension, now. */
void task_run_eagerly(asyncio_task *task);

/* The body has returned: tells those who wait. */
void task_end(asyncio_task *task, int r);

/* See struct loop_client. */
void task_called_back(asyncio_future *future);

/* At the end of a scheduler: the numbers that no task has got. */
void task_give_names_back(const struct scheduler *scheduler);

extern const struct loop_client task_client;

/* The text of asyncio_error_detail() for the current task; out of memory it has none. */
ASYNCIO_PRINTF(1, 2) void task_set_detail(const char *format, ...);

/* Keeps the detail of a main task for asyncio_error_detail() after its run, in this thread. */
void task_keep_detail(const asyncio_task *task);

/* ---- scopes ---- */

struct asyncio_scope_type_ {
    const char *kind; /* for messages: "timeout" */
    /* The loop is closed with the scope open: gives back what it has; or NULL. */
    void (*lost)(struct asyncio_scope_ *scope);
};

/* Opens a scope of the current task; without a task it only notes ASYNCIO_ENOTASK in error_.
 * Entering one that is open already aborts. */
void scope_enter(struct asyncio_scope_ *scope, const struct asyncio_scope_type_ *type);

/* Closes it: 0, or scope->error_ (then there is nothing to undo).  ASYNCIO_EWRONGLOOP: in the child
 * of a fork, where nothing that the scope stands for goes on.  Aborts when it is not the
 * innermost, or not this task's. */
int scope_exit(struct asyncio_scope_ *scope);

/* Requests the cancellation of the scope's task for the scope, which must take it back.  The reason
 * of a request that came before is kept. */
void scope_cancel(struct asyncio_scope_ *scope);

#endif
