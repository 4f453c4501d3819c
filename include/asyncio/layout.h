/* asyncio/layout.h - the layouts of the types used by value.  Nothing to read here: what these
 * types do is in asyncio.h and asyncio/lowlevel.h, and every member is private but those that
 * these mention (the `context` of a handle, the `lock` of a condition).
 */
#ifndef ASYNCIO_LAYOUT_H
#define ASYNCIO_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A node of a list, and the list itself: then `next_` is the first and `prev_` the last node. */
struct asyncio_link_ {
    struct asyncio_link_ *next_, *prev_;
};

struct asyncio_waiters_ {
    struct asyncio_link_ link_;
    struct asyncio_loop *loop_;
};

struct asyncio_scope_ {
    struct asyncio_scope_ *outer_;
    struct asyncio_task *task_;
    const struct asyncio_scope_type_ *type_;
    int cancelling_, error_;
    unsigned state_;
};

typedef struct asyncio_handle {
    struct asyncio_context *context;
    struct asyncio_waiters_ queued_;
    int (*fn_)(void *arg);
    void *arg_, *values_;
    unsigned state_;
    unsigned made_at_; /* debug mode: where, as a number of the loop's table */
} asyncio_handle;

typedef struct asyncio_timer {
    asyncio_handle handle;
    size_t place_; /* among those that are set, from 1; 0: not there */
    int64_t when_ns_;
} asyncio_timer;

typedef struct asyncio_future {
    struct asyncio_waiters_ waiters_;
    bool (*cancel_)(struct asyncio_future *future, const char *reason);
    union {
        const char *reason_;
        void *owner_; /* an operation's that is not done */
    };
    int result_;
    unsigned state_;
    unsigned made_at_;
} asyncio_future;

typedef struct asyncio_future_callback {
    asyncio_handle handle;
    int (*fn_)(asyncio_future *future, void *arg);
    asyncio_future *future_;
    void *arg_;
} asyncio_future_callback;

typedef struct asyncio_awaited_by {
    struct asyncio_link_ link_;
    asyncio_future *future_, *waiter_;
} asyncio_awaited_by;

typedef struct asyncio_timeout {
    struct asyncio_scope_ scope_;
    asyncio_timer timer_;
    double when_;
    unsigned state_;
} asyncio_timeout;

typedef struct asyncio_task_group {
    struct asyncio_scope_ scope_;
    struct asyncio_link_ running_, kept_;
    struct asyncio_waiters_ waiter_; /* the owner, while it waits in _exit */
    struct asyncio_failure *failures_;
    size_t capacity_, failure_count_;
    int first_;
    unsigned state_;
} asyncio_task_group;

typedef struct asyncio_as_completed {
    struct asyncio_waiters_ waiter_;
    struct asyncio_link_ done_;
    asyncio_timer timer_;
    void *waits_;
    size_t count_, pending_, left_, overdue_;
    int error_;
} asyncio_as_completed;

typedef struct asyncio_lock {
    struct asyncio_waiters_ waiters_;
    bool locked_;
} asyncio_lock;

typedef struct asyncio_event {
    struct asyncio_waiters_ waiters_;
    bool set_;
} asyncio_event;

typedef struct asyncio_condition {
    asyncio_lock *lock;
    asyncio_lock own_;
    struct asyncio_waiters_ waiters_;
} asyncio_condition;

typedef struct asyncio_semaphore {
    struct asyncio_waiters_ waiters_;
    int value_, bound_;
    bool bounded_;
    size_t handed_; /* slots given to waiters that have not run yet */
} asyncio_semaphore;

typedef struct asyncio_barrier {
    struct asyncio_waiters_ waiters_;
    int parties_, arrived_;
    unsigned state_;
} asyncio_barrier;

typedef struct asyncio_queue {
    void (*drop)(void *item);
    void *items_;
    size_t item_size_, maxsize_, capacity_, count_, head_, unfinished_;
    uint64_t *order_of_arrival_, next_arrival_;
    int order_;
    int (*compare_)(const void *a, const void *b);
    unsigned state_;
    size_t waiting_; /* how many tasks, until they have run again */
    struct asyncio_waiters_ getters_, putters_, joiners_;
} asyncio_queue;

#define ASYNCIO_QUEUE_STORAGE_(array)                                                              \
    .items_ = (array), .item_size_ = sizeof *(array), .maxsize_ = sizeof(array) / sizeof *(array)

typedef struct asyncio_contextvar_token {
    const struct asyncio_contextvar *var_;
    void *slot_, *before_;
    unsigned state_;
} asyncio_contextvar_token;

struct asyncio_runner_ {
    struct asyncio_loop *loop_;
    struct asyncio_context *context_;
    unsigned state_;
};

struct asyncio_op_ {
    asyncio_handle handle_; /* queued: on its descriptor while it waits, in the ready queue after */
    void *data_;
    size_t size_;
    struct asyncio_address *address_;
    void *owner_; /* who waits for it */
    int64_t offset_;
    int fd_, file_, result_;
    unsigned kind_, state_;
    uintptr_t backend_[8];
};

#endif
