/* tasks.c - the tasks of a process, and who awaits whom.
 *
 * A task is awaited by another whose handle is in the list of its future, or that has said so with
 * what it waits for.  Of several awaiters the first is shown.
 */
#include "ps/ps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading what may change ---- */

struct reader {
    const struct target *target;
    int r; /* the first failure; nothing is read after it */
};

static uint64_t word_at(struct reader *reader, uint64_t address)
{
    uint64_t word = 0;

    if (reader->r == 0)
        reader->r = target_read_word(reader->target, address, &word);
    return reader->r == 0 ? word : 0;
}

static void bytes_at(struct reader *reader, uint64_t address, void *data, size_t size)
{
    if (reader->r == 0)
        reader->r = target_read(reader->target, address, data, size);
    if (reader->r != 0)
        memset(data, 0, size);
}

/* A text of the process's, cut off; it may end where the memory does. */
static void text_at(struct reader *reader, uint64_t address, char *text, size_t size)
{
    size_t n = 0;

    while (n + 1 < size && reader->r == 0) {
        bytes_at(reader, address + n, &text[n], 1);
        if (text[n] == '\0')
            return;
        n++;
    }
    text[n] = '\0';
}

/* ---- one task ---- */

static void read_wait(struct reader *reader, struct ps_task *task, uint64_t wait)
{
    const struct debug_table *table = &reader->target->table;
    uint64_t type = word_at(reader, wait + table->wait_type);
    uint64_t what = word_at(reader, type + table->wait_type_what);

    task->object = word_at(reader, wait + table->wait_object);
    text_at(reader, what, task->what, sizeof task->what);
}

static void read_name(struct reader *reader, struct ps_task *task)
{
    const struct debug_table *table = &reader->target->table;
    size_t size =
        table->task_name_size < sizeof task->name ? table->task_name_size : sizeof task->name;

    bytes_at(reader, task->address + table->task_name, task->name, size);
    task->name[sizeof task->name - 1] = '\0';
    if (task->name[0] == '\0')
        snprintf(task->name, sizeof task->name, "Task-%llu",
                 (unsigned long long)word_at(reader, task->address + table->task_name_number));
}

static int read_task(const struct target *target, struct ps_task *task, uint64_t address)
{
    const struct debug_table *table = &target->table;
    struct reader reader = { .target = target };
    int cancelling;

    *task = (struct ps_task){ .address = address, .awaiter = -1 };
    task->number = word_at(&reader, address + table->task_number);
    task->fn = word_at(&reader, address + table->task_fn);
    task->sp = word_at(&reader, address + table->task_sp);
    bytes_at(&reader, address + table->task_started, &task->started, sizeof task->started);
    bytes_at(&reader, address + table->task_cancelling, &cancelling, sizeof cancelling);
    task->cancelling = cancelling > 0;
    read_name(&reader, task);
    uint64_t wait = word_at(&reader, address + table->task_waiting);
    if (wait != 0)
        read_wait(&reader, task, wait);
    return reader.r;
}

/* ---- all of them ---- */

static int add(struct ps_tasks *tasks, const struct target *target, uint64_t address, int thread)
{
    if (tasks->count == TASKS_MAX)
        return -EAGAIN; /* a list that has become a circle, or more than can be shown */
    if ((tasks->count & (tasks->count + 1)) == 0) {
        struct ps_task *list = realloc(tasks->list, (2 * tasks->count + 1) * sizeof *list);

        if (list == NULL)
            return -ENOMEM;
        tasks->list = list;
    }
    struct ps_task *task = &tasks->list[tasks->count];
    int r = read_task(target, task, address);
    if (r == 0) {
        task->thread = thread;
        tasks->count++;
    }
    return r;
}

static int read_scheduler(struct ps_tasks *tasks, const struct target *target, uint64_t scheduler)
{
    const struct debug_table *table = &target->table;
    struct reader reader = { .target = target };
    int thread, r = 0;

    bytes_at(&reader, scheduler + table->scheduler_thread, &thread, sizeof thread);
    uint64_t link = word_at(&reader, scheduler + table->scheduler_tasks + table->link_next);
    while (link != 0 && r == 0 && reader.r == 0) {
        r = add(tasks, target, link - table->task_link, thread);
        link = word_at(&reader, link + table->link_next);
    }
    return r < 0 ? r : reader.r;
}

static int find(const struct ps_tasks *tasks, uint64_t address)
{
    for (size_t i = 0; i < tasks->count; i++)
        if (tasks->list[i].address == address)
            return (int)i;
    return -1;
}

/* The first handle in the list of the task's future that resumes a task. */
static void find_awaiter(struct ps_tasks *tasks, const struct target *target, struct ps_task *task)
{
    const struct debug_table *table = &target->table;
    struct reader reader = { .target = target };
    uint64_t list = task->address + table->task_future + table->future_waiters;
    uint64_t link = word_at(&reader, list + table->link_next);

    for (int steps = 0; link != 0 && reader.r == 0 && steps < TASKS_MAX; steps++) {
        uint64_t handle = link - table->handle_link;

        if (word_at(&reader, handle + table->handle_fn) == table->task_resume) {
            task->awaiter = find(tasks, word_at(&reader, handle + table->handle_arg));
            return;
        }
        link = word_at(&reader, link + table->link_next);
    }
}

int tasks_read(struct ps_tasks *tasks, const struct target *target)
{
    const struct debug_table *table = &target->table;
    struct reader reader = { .target = target };
    uint64_t link = word_at(&reader, table->schedulers + table->link_next);
    int r = 0;

    *tasks = (struct ps_tasks){ 0 };
    for (int steps = 0; link != 0 && r == 0 && reader.r == 0; steps++) {
        r = steps < TASKS_MAX ? read_scheduler(tasks, target, link - table->scheduler_link)
                              : -EAGAIN;
        link = word_at(&reader, link + table->link_next);
    }
    if (r == 0)
        r = reader.r;
    for (size_t i = 0; i < tasks->count && r == 0; i++)
        find_awaiter(tasks, target, &tasks->list[i]);
    if (r < 0)
        tasks_free(tasks);
    return r;
}

void tasks_free(struct ps_tasks *tasks)
{
    for (size_t i = 0; i < tasks->count; i++)
        free(tasks->list[i].frames);
    free(tasks->list);
    *tasks = (struct ps_tasks){ 0 };
}
