/* forged.h - tasks that are none: a process with its own table for asyncio-ps, which leads to what
 * the test puts there.  The layout is not the library's, so that the table must be believed for it,
 * and nothing else.
 */
#ifndef ASYNCIO_TESTS_PS_FORGED_H
#define ASYNCIO_TESTS_PS_FORGED_H

#include <stddef.h>
#include <stdint.h>

#include "task/debug_table.h"

enum { CHILD = 4, MEMBER = 8, NAME = 32 };

struct link {
    uintptr_t before, next;
};

struct forged_handle {
    uint64_t fn;
    uint32_t state;
    struct link link;
    uint64_t awaiter, awaiters; /* of a member */
};

struct forged_type {
    uint64_t no, what;
};

struct forged_wait {
    uint64_t type, object;
};

struct forged_waiter {
    uint64_t task;
    struct link link;
};

struct forged_task {
    struct link waiters, link;
    char name[NAME];
    uint64_t number, name_number, fn, wait, sp, parent;
    unsigned char started;
    int cancelling;
    struct forged_handle resume, ended;
};

struct forged_scheduler {
    int thread;
    struct link tasks, link;
};

/* Of forged.c: the table, which may be changed, and three tasks, "outer" awaiting "middle" awaiting
 * "inner", which stands in a forged stack. */
extern struct debug_table table;
extern struct forged_scheduler scheduler;
extern struct link schedulers;
extern struct forged_task tasks[3];
extern struct forged_wait wait;
extern struct forged_type type;

struct forged_task *task_new(const char *name); /* at the end of the list; it waits */
void await(struct forged_task *awaiter, struct forged_task *awaited);
void put(struct link *list, struct link *link); /* at the front */
char *page_end(size_t size);                    /* so many bytes at the end of the memory */

/* Of forged_stacks.c: stands in the frames, innermost first, at entry of each. */
void stand_in(struct forged_task *task, const uintptr_t *frames, size_t count);
int stacks_forge(const char *how);

#endif
