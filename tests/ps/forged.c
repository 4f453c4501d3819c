/* forged.c - a process that lies to asyncio-ps: forged HOW.  It prints "ready", and ends with the
 * end of its input.  hostile.py, which looks at it, says what has to come of each.
 */
#include "forged.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void resume(void)
{
}

__attribute__((section(DEBUG_TABLE_SECTION), used)) struct debug_table table = {
    .magic = DEBUG_TABLE_MAGIC,
    .version = DEBUG_TABLE_VERSION,
    .size = sizeof(struct debug_table),
    .schedulers = (uintptr_t)&schedulers,
    .task_resume = (uintptr_t)resume,
    .link_next = offsetof(struct link, next),
    .scheduler_link = offsetof(struct forged_scheduler, link),
    .scheduler_thread = offsetof(struct forged_scheduler, thread),
    .scheduler_tasks = offsetof(struct forged_scheduler, tasks),
    .task_link = offsetof(struct forged_task, link),
    .task_number = offsetof(struct forged_task, number),
    .task_name_number = offsetof(struct forged_task, name_number),
    .task_name = offsetof(struct forged_task, name),
    .task_fn = offsetof(struct forged_task, fn),
    .task_future = 0,
    .task_waiting = offsetof(struct forged_task, wait),
    .task_started = offsetof(struct forged_task, started),
    .task_cancelling = offsetof(struct forged_task, cancelling),
    .task_sp = offsetof(struct forged_task, sp),
    .task_name_size = NAME,
    .task_resume_handle = offsetof(struct forged_task, resume),
    .task_ended_handle = offsetof(struct forged_task, ended),
    .task_parent = offsetof(struct forged_task, parent),
    .future_waiters = offsetof(struct forged_task, waiters),
    .handle_link = offsetof(struct forged_handle, link),
    .handle_fn = offsetof(struct forged_handle, fn),
    .handle_state = offsetof(struct forged_handle, state),
    .handle_child = CHILD,
    .handle_member = MEMBER,
    .member_awaiter = offsetof(struct forged_handle, awaiter),
    .member_awaiters = offsetof(struct forged_handle, awaiters),
    .waiter_link = offsetof(struct forged_waiter, link),
    .waiter_task = offsetof(struct forged_waiter, task),
    .wait_type = offsetof(struct forged_wait, type),
    .wait_object = offsetof(struct forged_wait, object),
    .wait_type_what = offsetof(struct forged_type, what),
};

struct link schedulers;
struct forged_scheduler scheduler;
struct forged_task tasks[3];
struct forged_type type = { .what = (uintptr_t) "stands still" };
struct forged_wait wait = { .type = (uintptr_t)&type };

void put(struct link *list, struct link *link)
{
    link->next = list->next;
    list->next = (uintptr_t)link;
}

static void task_init(struct forged_task *task, const char *name)
{
    static struct link *last = &scheduler.tasks;

    *task = (struct forged_task){ .started = 1, .wait = (uintptr_t)&wait };
    snprintf(task->name, sizeof task->name, "%s", name);
    put(last, &task->link);
    last = &task->link;
}

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        abort();
    return memory;
}

struct forged_task *task_new(const char *name)
{
    struct forged_task *task = allocate(sizeof *task);

    task_init(task, name);
    return task;
}

/* By a member: a task has as many as it likes. */
static struct forged_handle *member(struct forged_task *awaited)
{
    struct forged_handle *handle = allocate(sizeof *handle);

    handle->state = MEMBER;
    put(&awaited->waiters, &handle->link);
    return handle;
}

void await(struct forged_task *awaiter, struct forged_task *awaited)
{
    member(awaited)->awaiter = (uintptr_t)awaiter;
}

char *page_end(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED || munmap(memory + page, page) < 0)
        abort();
    return memory + page - size;
}

static void three_tasks(void)
{
    static const char *const names[] = { "inner", "middle", "outer" };

    put(&schedulers, &scheduler.link);
    scheduler.thread = (int)getpid();
    for (int i = 0; i < 3; i++)
        task_init(&tasks[i], names[i]);
    tasks[0].name_number = 7;
    tasks[1].resume.fn = table.task_resume;
    put(&tasks[0].waiters, &tasks[1].resume.link);
    tasks[1].ended.state = CHILD;
    tasks[1].parent = (uintptr_t)&tasks[2];
    put(&tasks[1].waiters, &tasks[1].ended.link);
}

/* ---- the table ---- */

static int forge_table(const char *how)
{
    if (strcmp(how, "magic") == 0)
        table.magic[3] ^= 1;
    else if (strcmp(how, "endless magic") == 0)
        memset(&table, 'a', sizeof table);
    else if (strcmp(how, "version") == 0)
        table.version++;
    else if (strcmp(how, "size") == 0)
        table.size -= 4;
    else if (strcmp(how, "registers") == 0)
        table.register_count = DEBUG_REGISTERS_MAX + 1;
    else if (strcmp(how, "offsets") == 0)
        memset(&table.link_next, 0xff,
               offsetof(struct debug_table, register_count) -
                   offsetof(struct debug_table, link_next));
    else
        return 0;
    return 1;
}

/* ---- lists ---- */

static void many_tasks(void)
{
    struct forged_task *more = allocate(100000 * sizeof *more);

    for (int i = 0; i < 100000; i++)
        task_init(&more[i], "one of many");
}

/* All tasks share a list of handles that are nobody's. */
static void many_handles(void)
{
    struct forged_handle *handles = allocate(10000 * sizeof *handles);
    struct link list = { 0 };

    for (int i = 0; i < 10000; i++)
        put(&list, &handles[i].link);
    for (int i = 0; i < 200; i++)
        task_new("shares")->waiters = list;
}

static void nobodys_circle(void)
{
    static struct forged_handle handle = { .link.next = (uintptr_t)&handle.link };

    tasks[2].waiters.next = (uintptr_t)&handle.link;
}

static int forge_lists(const char *how)
{
    struct link *nowhere = (struct link *)(uintptr_t)16;

    if (strcmp(how, "no tasks") == 0)
        schedulers.next = 0;
    else if (strcmp(how, "schedulers nowhere") == 0)
        schedulers.next = (uintptr_t)nowhere;
    else if (strcmp(how, "tasks nowhere") == 0)
        tasks[1].link.next = (uintptr_t)nowhere;
    else if (strcmp(how, "handles nowhere") == 0)
        tasks[1].waiters.next = (uintptr_t)nowhere;
    else if (strcmp(how, "circle of schedulers") == 0)
        scheduler = (struct forged_scheduler){ .link.next = (uintptr_t)&scheduler.link };
    else if (strcmp(how, "circle of tasks") == 0)
        tasks[2].link.next = (uintptr_t)&tasks[1].link;
    else if (strcmp(how, "circle of handles") == 0)
        nobodys_circle();
    else if (strcmp(how, "many tasks") == 0)
        many_tasks();
    else if (strcmp(how, "many handles") == 0)
        many_handles();
    else
        return 0;
    return 1;
}

/* ---- texts ---- */

static void absurd_name_size(void)
{
    memset(tasks[0].name, 'x', NAME);
    memset(&tasks[0].number, 'x', sizeof tasks[0].number);
    table.task_name_size = UINT32_MAX;
}

static void all_states(void)
{
    tasks[0].started = 0;
    tasks[1].started = 2; /* no bool has that */
    tasks[1].cancelling = 1;
    tasks[2].wait = 0;
    tasks[2].cancelling = -1;
}

static int forge_texts(const char *how)
{
    if (strcmp(how, "endless name") == 0)
        memset(tasks[0].name, 'x', NAME);
    else if (strcmp(how, "absurd name size") == 0)
        absurd_name_size();
    else if (strcmp(how, "no name") == 0)
        table.task_name_size = 0;
    else if (strcmp(how, "name that commands") == 0)
        snprintf(tasks[0].name, NAME, "in\033[2J\n\x7f\xc2\x9b\xc3\xa4\xc2\xa7");
    else if (strcmp(how, "wait that commands") == 0)
        type.what = (uintptr_t) "stands\r\nstill\xc2";
    else if (strcmp(how, "wait nowhere") == 0)
        tasks[0].wait = 16;
    else if (strcmp(how, "type nowhere") == 0)
        wait.type = 16;
    else if (strcmp(how, "text nowhere") == 0)
        type.what = 16;
    else if (strcmp(how, "text of the last bytes") == 0)
        type.what = (uintptr_t)memcpy(page_end(5), "ends", 5);
    else if (strcmp(how, "text without an end") == 0)
        type.what = (uintptr_t)memcpy(page_end(5), "never", 5);
    else if (strcmp(how, "long text") == 0)
        type.what = (uintptr_t)memset(page_end(100), 'y', 100);
    else if (strcmp(how, "states") == 0)
        all_states();
    else
        return 0;
    return 1;
}

/* ---- who awaits whom ---- */

static void wait_in_a_list(void)
{
    static struct link empty, list;
    static struct forged_waiter waiter;

    waiter.task = (uintptr_t)&tasks[2];
    put(&list, &waiter.link);
    member(&tasks[0])->awaiters = (uintptr_t)&list;
    await(&tasks[2], &tasks[0]); /* the same in another way */
    member(&tasks[0])->awaiters = (uintptr_t)&empty;
    (void)member(&tasks[0]);
    member(&tasks[0])->state = 0;    /* a callback */
    await(&tasks[2] + 1, &tasks[0]); /* one that has ended */
}

/* Two of each row await both of the next one: 2^50 ways. */
static void many_ways(void)
{
    struct forged_task *row[2] = { &tasks[1], &tasks[2] };

    for (int i = 0; i < 50; i++) {
        struct forged_task *next[2] = { task_new("left"), task_new("right") };

        for (int n = 0; n < 4; n++)
            await(row[n / 2], next[n % 2]);
        memcpy(row, next, sizeof row);
    }
}

static void deep(void)
{
    struct forged_task *above = &tasks[0];

    for (int i = 0; i < 1100; i++) {
        struct forged_task *below = task_new("below");

        await(above, below);
        above = below;
    }
}

/* The first of the awaiters of both are outside of it. */
static void circle(void)
{
    await(&tasks[0], &tasks[1]);
    await(task_new("outside"), &tasks[0]);
    await(task_new("besides"), &tasks[1]);
}

static int forge_edges(const char *how)
{
    if (strcmp(how, "plain") == 0)
        return 1;
    if (strcmp(how, "list") == 0)
        wait_in_a_list();
    else if (strcmp(how, "many ways") == 0)
        many_ways();
    else if (strcmp(how, "deep") == 0)
        deep();
    else if (strcmp(how, "circle") == 0)
        circle();
    else
        return 0;
    return 1;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    char byte;

    three_tasks();
    if (!forge_table(how) && !forge_lists(how) && !forge_texts(how) && !forge_edges(how) &&
        !stacks_forge(how)) {
        fprintf(stderr, "forged: what is \"%s\"?\n", how);
        return 2;
    }
    puts("ready");
    return fflush(stdout) != 0 || read(STDIN_FILENO, &byte, 1) < 0;
}
