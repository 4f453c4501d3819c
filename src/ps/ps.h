/* ps.h - asyncio-ps: what the tasks of another process do, read from its memory.
 *
 * No code runs in the process, and it is not stopped: process_vm_readv(2) alone, for which the
 * kernel wants what ptrace(2) wants.  So what is read may change meanwhile, and may be made to harm
 * who reads it.  Nothing is believed: lists have limits, texts are copied with their length and
 * without what a terminal obeys, and a reading that makes no sense is given up with -EAGAIN, to be
 * tried again (--retries).
 *
 *     target.c   the process: its memory, its modules, its table
 *     tasks.c    its tasks; awaiters.c: who awaits whom
 *     stacks.c   where they stand, by elfutils
 *     show.c     the table and the tree
 */
#ifndef ASYNCIO_PS_PS_H
#define ASYNCIO_PS_PS_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "task/debug_table.h"

enum { TASKS_MAX = 100000, LINKS_MAX = 1000000, FRAMES_MAX = 64, NAME_SIZE = 64 };

struct target {
    pid_t pid;
    Dwfl *dwfl;
    struct debug_table table;
    size_t links;    /* that were followed, of all lists */
    void *unwinding; /* whose stack elfutils asks for: stacks.c */
};

struct ps_frame {
    char function[96], file[96];
    int line; /* 0: not known */
};

struct ps_task {
    uint64_t address, number, fn, sp;
    int thread; /* that runs its loop; 0: none does */
    char name[NAME_SIZE];
    char what[NAME_SIZE]; /* it waits for; "": nothing */
    uint64_t object;      /* that it waits for */
    bool started, cancelling;
    size_t frame_count;
    struct ps_frame *frames; /* innermost first; NULL: none */
};

/* Places in the list. */
struct ps_edge {
    size_t awaited, awaiter;
};

struct ps_tasks {
    struct ps_task *list;
    size_t count;
    struct ps_edge *edges; /* in the order of the awaited */
    size_t edge_count;
};

/* Results: 0, a negated errno; -EAGAIN: what was read makes no sense.  -ENOENT: the process has no
 * such table; -EPROTO: one of another version; -EOVERFLOW: it has more than can be shown. */
int target_open(struct target *target, pid_t pid);
void target_close(struct target *target);
int target_read(const struct target *target, uint64_t address, void *data, size_t size);

/* Reads on until something fails; zeros from then on. */
struct reader {
    struct target *target;
    int r; /* the first failure */
};

uint64_t word_at(struct reader *reader, uint64_t address);
void bytes_at(struct reader *reader, uint64_t address, void *data, size_t size);
void text_at(struct reader *reader, uint64_t address, char *text, size_t size); /* cut off */
void make_printable(char *text); /* without control characters */

/* A list, link by link, beginning with the link at its head.  One that has become a circle or is
 * too long ends with a failure of the reader. */
struct links {
    struct reader *reader;
    uint64_t at; /* the current link; at first the head */
    uint64_t mark;
    size_t steps;
};

bool links_next(struct links *links);

int tasks_read(struct ps_tasks *tasks, struct target *target);
void tasks_free(struct ps_tasks *tasks);

/* Finds the awaiters of all tasks. */
int awaiters_read(struct ps_tasks *tasks, struct target *target);

/* Stacks are best effort: a task whose stack cannot be followed has none. */
void stacks_read(struct ps_tasks *tasks, struct target *target);

/* -ENOMEM. */
int show_table(const struct ps_tasks *tasks);
int show_tree(const struct ps_tasks *tasks); /* -ELOOP: tasks await each other, which it prints */

#endif
