/* loop.h - the event loop: what is ready, what is timed, what is awaited from the kernel.
 *
 * One iteration: wait for the kernel (not at all while something is ready), take what other threads
 * scheduled, move due timers to the ready queue, then run the batch: all that was ready by then.
 * What the batch makes ready is the next iteration's.  Everything that runs is a handle, run once.
 *
 * The kernel is not asked in every iteration: while work is ready it is asked after
 * LOOP_QUANTUM_NS. The clock is not read in every iteration either, but after a number of steps
 * that adapts to how long steps take; until then `now` stands.
 *
 * The floors above hook in through struct loop_client, so that this one knows nothing of tasks.
 */
#ifndef ASYNCIO_LOOP_LOOP_H
#define ASYNCIO_LOOP_LOOP_H

#include <pthread.h>
#include <stdatomic.h>

#include "asyncio.h"
#include "ground/list.h"
#include "ground/sys.h"
#include "loop/context.h"
#include "loop/timer.h"

enum { LOOP_QUANTUM_NS = 100000, LOOP_STEPS_MAX = 64, TIDY_UP_NS = 20000000 };

enum handle_state {
    HANDLE_IDLE,      /* the caller's */
    HANDLE_READY,     /* in the ready queue or the batch */
    HANDLE_TIMED,     /* among the timers */
    HANDLE_REMOTE,    /* with loop->remote, under its lock */
    HANDLE_WATCHING,  /* a callback of a future that is not done */
    HANDLE_CANCELLED, /* the caller's; it was cancelled */
    HANDLE_STATE_MASK = 0xff,
    HANDLE_CONTEXT = 0x100, /* `values_` or `context` was captured and is to be given back */
    HANDLE_AFAR = 0x200,    /* was last scheduled by call_soon_threadsafe: see remote.c */
    HANDLE_LIBRARY = 0x400, /* ... by remote_send() */
    HANDLE_MEMBER = 0x800,  /* WATCHING, and a struct member's: see sync/several.h */
    HANDLE_CHILD = 0x1000   /* WATCHING, and the member `ended` of a task's */
};

/* What the task floor wants to be asked or told. */
struct loop_client {
    void (*begins)(struct asyncio_loop *loop); /* a run, in this thread */
    void (*ends)(struct asyncio_loop *loop);
    /* Nothing can wake this loop any more.  True: it was dealt with, something is ready now. */
    bool (*stuck)(struct asyncio_loop *loop);
    /* About to sleep.  True: some of what lies idle is left to be given back soon. */
    bool (*idle)(struct asyncio_loop *loop);
    void (*closing)(struct asyncio_loop *loop); /* the last chance to clear up */
    void (*freed)(struct asyncio_loop *loop);   /* give back what is kept for it */
    /* A callback of a task that has ended was scheduled, and looks at its future when it runs. */
    void (*called_back)(struct asyncio_future *future);
    int (*describe_task)(const struct asyncio_task *task, char *text, size_t size);
    int (*describe_future)(const struct asyncio_future *future, char *text, size_t size);
    /* What the handle is about, "" when it is an ordinary callback. */
    int (*describe_step)(const struct asyncio_handle *handle, char *text, size_t size);
    bool (*is_step)(const struct asyncio_handle *handle); /* of a task, and nothing else */
};

/* What must be told when the loop closes: nothing of it runs any more, and its descriptor for
 * waking is still there.  The guest has left by then. */
struct loop_guest {
    struct asyncio_link_ link;
    void (*closing)(struct loop_guest *guest);
};

struct loop_remote {
    pthread_mutex_t lock;
    pthread_cond_t finished; /* a remote handle's function has returned */
    struct asyncio_link_ handles;
    struct asyncio_link_ *last; /* of those that the runner runs now; NULL: it has run all */
    struct asyncio_handle *running;
    pthread_t running_in;
    struct asyncio_handle runner; /* stands in the ready queue for those of `handles` */
    atomic_int pending;           /* `handles` is not empty and runner is not scheduled */
};

struct backend;

struct asyncio_loop {
    /* The ready queue and the current batch: circles, so that removing needs no head. */
    struct asyncio_link_ ready, batch;
    int64_t now_ns; /* as last read; see loop_time_ns() for the truth */
    struct timers timers;
    /* Flags that threads meet in are ints: RISC-V cannot exchange a byte without libatomic. */
    atomic_int stopping;
    atomic_int asleep; /* who clears it must signal wake_fd */
    int steps_left;    /* until the clock is read */
    bool poll_due;     /* the quantum was over in the middle of a batch */
    bool return_soon;  /* the next batch is the loop's to begin */
    bool woken;        /* wake_fd was signalled, and what for is not looked at yet */
    int stride;        /* how many that were */
    bool debug;
    bool virtual_time;
    bool running, closing, closed;
    bool deadlocked;      /* was reported in this run, which returns -EDEADLK therefore */
    int exit_code;        /* ASYNCIO_EEXIT or -EDEADLK: ends the run; 0: none */
    int64_t polled_at_ns; /* when the kernel was asked last */
    int64_t strode_at_ns; /* when the clock was read last, to see how long a stride takes */
    int64_t spin_ns;      /* how long to look before sleeping */
    unsigned spin_lost;   /* how often in a row that was for nothing */
    struct loop_remote remote;

    const struct backend *backend;
    void *backend_state;
    int wake_fd;
    char backend_info[96];
    size_t operations;        /* submitted and not done */
    size_t holds;             /* other things that may still wake it: jobs, signals, ... */
    size_t jobs;              /* of these, work in threads: virtual time waits for it */
    atomic_uint jobs_waiting; /* of these, those that wait for a task of this loop */

    const struct loop_client *client;
    struct scheduler *scheduler; /* the task floor's */
    struct signal_slot *signals; /* the core floor's, as is the next */
    struct executors *executors;
    struct watch_table *watches;
    struct files *files; /* the threads for operations on files */
    struct asyncio_link_ guests;
    void *scratch; /* memory that nobody keeps anything in: transport_scratch() */
    int (*describe_transport)(const struct asyncio_transport *transport, char *text, size_t size);
    void (*signalled)(struct asyncio_loop *loop); /* after each wait, if not NULL */

    asyncio_exception_handler *exception_handler;
    void *exception_arg;
    int64_t slow_ns;
    size_t stack_size;
    void (*before_wait)(void *arg);
    void (*after_wait)(void *arg);
    void *hook_arg;
    pthread_t thread;         /* while it runs */
    long process;             /* which made it: a fork's child must not use it */
    atomic_size_t references; /* of users; with the last one it is closed */
    atomic_size_t keepers;    /* of its memory: the former as one, and what is with other threads */
};

/* The loop that runs in this thread. */
extern _Thread_local struct asyncio_loop *loop_current __attribute__((tls_model("initial-exec")));

/* ---- the ready queue ---- */

static inline void circle_init(struct asyncio_link_ *head)
{
    head->next_ = head->prev_ = head;
}

static inline bool circle_empty(const struct asyncio_link_ *head)
{
    return head->next_ == head;
}

static inline void circle_push_back(struct asyncio_link_ *head, struct asyncio_link_ *node)
{
    node->next_ = head;
    node->prev_ = head->prev_;
    head->prev_->next_ = node;
    head->prev_ = node;
}

static inline void circle_remove(struct asyncio_link_ *node)
{
    node->prev_->next_ = node->next_;
    node->next_->prev_ = node->prev_;
}

/* Moves all of `from` behind `after`, which is a head or a node. */
static inline void circle_splice(struct asyncio_link_ *after, struct asyncio_link_ *from)
{
    if (circle_empty(from))
        return;
    from->prev_->next_ = after->next_;
    after->next_->prev_ = from->prev_;
    from->next_->prev_ = after;
    after->next_ = from->next_;
    circle_init(from);
}

static inline struct asyncio_handle *handle_of(struct asyncio_link_ *link)
{
    return CONTAINER_OF(link, struct asyncio_handle, queued_.link_);
}

/* Schedules a handle of the library's own: fn_ and arg_ are set, no context is captured, and it is
 * not queued anywhere. */
static inline void loop_ready(struct asyncio_loop *loop, struct asyncio_handle *handle)
{
    handle->state_ = HANDLE_READY | (handle->state_ & HANDLE_CONTEXT);
    circle_push_back(&loop->ready, &handle->queued_.link_);
}

/* Takes back a handle that loop_ready() scheduled and that has not run. */
static inline void loop_unready(struct asyncio_handle *handle)
{
    circle_remove(&handle->queued_.link_);
    handle->state_ = HANDLE_IDLE;
}

/* The next handle, of this batch or the one after it; it stays queued.  NULL: return to the loop.
 * For who can run handles without returning to it.  Whatever the loop has to do before it goes on,
 * be it a timer that is due or the end of the run, is made known by loop_return_soon(). */
static inline struct asyncio_handle *loop_peek(struct asyncio_loop *loop)
{
    if (loop->steps_left <= 0)
        return NULL;
    if (circle_empty(&loop->batch)) {
        if (circle_empty(&loop->ready) || loop->return_soon)
            return NULL;
        circle_splice(&loop->batch, &loop->ready);
    }
    return handle_of(loop->batch.next_);
}

/* Has loop_peek() return NULL now, and again when this batch is over. */
static inline void loop_return_soon(struct asyncio_loop *loop)
{
    loop->steps_left = 0;
    loop->return_soon = true;
}

/* Takes what loop_peek() showed, which is the first of the batch. */
static inline void loop_take_first(struct asyncio_loop *loop, struct asyncio_handle *handle)
{
    loop->batch.next_ = handle->queued_.link_.next_;
    loop->batch.next_->prev_ = &loop->batch;
    handle->state_ &= ~(unsigned)HANDLE_STATE_MASK;
    loop->steps_left--;
}

static inline void loop_take(struct asyncio_loop *loop, struct asyncio_handle *handle)
{
    circle_remove(&handle->queued_.link_);
    handle->state_ &= ~(unsigned)HANDLE_STATE_MASK;
    loop->steps_left--;
}

/* ---- running ---- */

/* A new loop with this back end, whatever the options and the environment say. */
int loop_new_with(asyncio_loop **loop, const asyncio_loop_options *options,
                  const struct backend *backend);

/* Runs until stopped: 0, or loop->exit_code.  -EBUSY, ASYNCIO_ECLOSED.  ASYNCIO_EWRONGLOOP: in
 * the child of a fork, whose loop this is not. */
int loop_run(struct asyncio_loop *loop);

/* The same, and ends once over(arg) holds, which is asked after each iteration. */
int loop_run_until(struct asyncio_loop *loop, bool (*over)(void *arg), void *arg);

/* One iteration, which waits at most `max_wait_ns` (< 0: no limit). */
void loop_turn(struct asyncio_loop *loop, int64_t max_wait_ns);

/* Ends the run after the handle that runs now; the rest of the batch stays for the next run. */
void loop_exit(struct asyncio_loop *loop, int code);

/* The clock of the loop, virtual or real. */
int64_t loop_time_ns(const struct asyncio_loop *loop);

/* Wakes a loop that sleeps; any thread. */
void loop_wake(struct asyncio_loop *loop);

/* For back ends: wake_fd is readable. */
void loop_woken(struct asyncio_loop *loop);

/* Keeps the memory of a loop that may be closed meanwhile; any thread. */
void loop_keep(struct asyncio_loop *loop);
void loop_let_go(struct asyncio_loop *loop);

/* 0, or why the loop cannot be used from here: ASYNCIO_ECLOSED, ASYNCIO_EWRONGLOOP. */
int loop_check_closely(const struct asyncio_loop *loop);

static inline int loop_check(const struct asyncio_loop *loop)
{
    if (loop->closed || loop->debug || loop->process != sys_process_id())
        return loop_check_closely(loop);
    return 0;
}

static inline void loop_hold(struct asyncio_loop *loop)
{
    loop->holds++;
}

static inline void loop_release(struct asyncio_loop *loop)
{
    loop->holds--;
}

static inline void loop_join(struct asyncio_loop *loop, struct loop_guest *guest)
{
    list_push_back(&loop->guests, &guest->link);
}

static inline void loop_leave(struct asyncio_loop *loop, struct loop_guest *guest)
{
    list_remove(&loop->guests, &guest->link);
}

/* ---- handles, for the library's own callers ---- */

/* Runs it, with its context, and reports its failure. */
void handle_run(struct asyncio_loop *loop, struct asyncio_handle *handle);

/* What the public calls share: refuses one that is scheduled, stores fn and arg, captures the
 * context. */
int handle_prepare(struct asyncio_loop *loop, struct asyncio_handle *handle, asyncio_callback *fn,
                   void *arg);

/* Gives back the context that was captured. */
void handle_release_context(struct asyncio_handle *handle);

/* ---- other threads ---- */

/* As asyncio_loop_call_soon_threadsafe(), for the library's own: no context, and when the loop is
 * closed before it ran, the function is called at the close, with loop->closed set. */
int remote_send(struct asyncio_loop *loop, struct asyncio_handle *handle, asyncio_callback *fn,
                void *arg);

int remote_init(struct loop_remote *remote);
void remote_destroy(struct loop_remote *remote);
void remote_collect(struct asyncio_loop *loop); /* schedules what came */
void remote_drop(struct asyncio_loop *loop);    /* at the close */
bool remote_cancel(struct asyncio_loop *loop, struct asyncio_handle *handle);

/* ---- watching descriptors ---- */

void watches_close(struct asyncio_loop *loop);

/* ---- reporting ---- */

/* A shorthand for asyncio_loop_call_exception_handler(). */
void loop_report(struct asyncio_loop *loop, const char *message, int error,
                 const asyncio_exception_context *more);

#endif
