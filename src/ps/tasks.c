/* tasks.c - the tasks of a process: those of each loop, in the order in which they were made. */
#include "ps/ps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    make_printable(task->name);
    uint64_t number = word_at(reader, task->address + table->task_name_number);
    if (task->name[0] == '\0' && number != 0) /* else it is the name that it was given */
        snprintf(task->name, sizeof task->name, "Task-%llu", (unsigned long long)number);
}

static int read_task(struct target *target, struct ps_task *task, uint64_t address)
{
    const struct debug_table *table = &target->table;
    struct reader reader = { .target = target };
    unsigned char started; /* as it lies there, which may be no bool */
    int cancelling;

    *task = (struct ps_task){ .address = address };
    task->number = word_at(&reader, address + table->task_number);
    task->fn = word_at(&reader, address + table->task_fn);
    task->sp = word_at(&reader, address + table->task_sp);
    bytes_at(&reader, address + table->task_started, &started, sizeof started);
    bytes_at(&reader, address + table->task_cancelling, &cancelling, sizeof cancelling);
    task->started = started != 0;
    task->cancelling = cancelling > 0;
    read_name(&reader, task);
    uint64_t wait = word_at(&reader, address + table->task_waiting);
    if (wait != 0)
        read_wait(&reader, task, wait);
    return reader.r;
}

/* ---- all of them ---- */

static int add(struct ps_tasks *tasks, struct target *target, uint64_t address, int thread)
{
    if (tasks->count == TASKS_MAX)
        return -EOVERFLOW;
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

static int read_scheduler(struct ps_tasks *tasks, struct target *target, uint64_t scheduler)
{
    const struct debug_table *table = &target->table;
    struct reader reader = { .target = target };
    struct links links = { .reader = &reader, .at = scheduler + table->scheduler_tasks };
    int thread, r = 0;

    bytes_at(&reader, scheduler + table->scheduler_thread, &thread, sizeof thread);
    while (r == 0 && links_next(&links))
        r = add(tasks, target, links.at - table->task_link, thread);
    return r < 0 ? r : reader.r;
}

int tasks_read(struct ps_tasks *tasks, struct target *target)
{
    const struct debug_table *table = &target->table;
    struct reader reader = { .target = target };
    struct links links = { .reader = &reader, .at = table->schedulers };
    int r = 0;

    *tasks = (struct ps_tasks){ 0 };
    while (r == 0 && links_next(&links))
        r = read_scheduler(tasks, target, links.at - table->scheduler_link);
    if (r == 0)
        r = reader.r;
    if (r == 0)
        r = awaiters_read(tasks, target);
    if (r < 0)
        tasks_free(tasks);
    return r;
}

void tasks_free(struct ps_tasks *tasks)
{
    for (size_t i = 0; i < tasks->count; i++)
        free(tasks->list[i].frames);
    free(tasks->list);
    free(tasks->edges);
    *tasks = (struct ps_tasks){ 0 };
}
