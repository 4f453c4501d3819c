/* call_graph.c - who awaits whom, found by looking; nobody keeps books about it.
 *
 * Whoever awaits a future has a handle in the future's list, and its kind tells who that is: the
 * handle that resumes a task; a member, by which wait, gather, shield and as_completed watch
 * (several.h); `ended` of a task that a group, a gather or a race has made.  When the wait ends,
 * the handle is gone.  Only the edges that users add are recorded, in storage of theirs.
 *
 * The graph is a tree: who awaits two that await the same is in it twice.  It is made breadth
 * first, and walked without recursion, since chains may be longer than a stack is deep.  All nodes
 * are in one list, in the order in which they were found, which is also that of taking them apart.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ground/backtrace.h"
#include "ground/memory.h"
#include "ground/sys.h"
#include "sync/several.h"

enum { NODES_MAX = 65536, FRAMES_MAX = 1024, LINE_SIZE = 400 };

struct node {
    asyncio_call_graph graph; /* first: what the user has is the root */
    struct node *next;
    struct node *waits_for; /* NULL: the root */
    size_t place, level;    /* in graph.awaited_by of that one */
};

/* ---- edges that users add ---- */

static _Thread_local struct asyncio_link_ edges;

void asyncio_future_add_to_awaited_by(asyncio_awaited_by *edge, asyncio_future *future,
                                      asyncio_future *waiter)
{
    *edge = (asyncio_awaited_by){ .future_ = future, .waiter_ = waiter };
    if (future != NULL && waiter != NULL)
        list_push_back(&edges, &edge->link_);
}

void asyncio_future_discard_from_awaited_by(asyncio_awaited_by *edge)
{
    if (edge->future_ != NULL && edge->waiter_ != NULL)
        list_remove(&edges, &edge->link_);
    *edge = (asyncio_awaited_by){ .future_ = NULL };
}

/* ---- who awaits a future ---- */

struct awaiters {
    asyncio_future **list;
    size_t count, capacity; /* it may be more than there is room for */
};

/* One that waits for the same in two ways is there once: the two are neighbours. */
static void add(struct awaiters *awaiters, asyncio_future *future, const asyncio_future **last)
{
    if (future == *last)
        return;
    *last = future;
    if (awaiters->count < awaiters->capacity)
        awaiters->list[awaiters->count] = future;
    awaiters->count++;
}

static void add_waiters(struct awaiters *awaiters, const struct asyncio_waiters_ *waiters,
                        const asyncio_future **last)
{
    for (struct waiter *waiter = waiters_first(waiters); waiter; waiter = waiter_next(waiter))
        add(awaiters, &waiter->task->future, last);
}

static void add_watcher(struct awaiters *awaiters, const struct asyncio_handle *handle,
                        const asyncio_future **last)
{
    if (handle->fn_ == task_resume) {
        add(awaiters, &CONTAINER_OF(handle, asyncio_task, resume)->future, last);
    } else if ((handle->state_ & HANDLE_CHILD) != 0) {
        add(awaiters, &CONTAINER_OF(handle, asyncio_task, ended.handle)->parent->future, last);
    } else if ((handle->state_ & HANDLE_MEMBER) != 0) {
        const struct member *member = CONTAINER_OF(handle, struct member, handle);

        if (member->awaiter != NULL)
            add(awaiters, &member->awaiter->future, last);
        else
            add_waiters(awaiters, member->awaiters, last);
    }
}

static void find_awaiters(struct awaiters *awaiters, const asyncio_future *future)
{
    const asyncio_future *last = NULL;
    const struct asyncio_link_ *link;

    awaiters->count = 0;
    for (link = future->waiters_.link_.next_; link != NULL; link = link->next_)
        add_watcher(awaiters, handle_of((struct asyncio_link_ *)(uintptr_t)link), &last);
    for (link = edges.next_; link != NULL; link = link->next_) {
        const asyncio_awaited_by *edge = CONTAINER_OF(link, asyncio_awaited_by, link_);

        if (edge->future_ == future)
            add(awaiters, edge->waiter_, &last);
    }
}

/* ---- making the tree ---- */

struct capture {
    struct node *last; /* of the list of nodes */
    size_t count;
    int limit;
    void *frames[FRAMES_MAX];
};

static int keep_stack(struct capture *capture, asyncio_call_graph *graph, const asyncio_task *task)
{
    size_t n = asyncio_task_get_stack(task, capture->frames, FRAMES_MAX), first = 0, count = n;
    size_t most = capture->limit < 0 ? -(size_t)capture->limit : (size_t)capture->limit;

    if (most < n) {
        count = most;
        first = capture->limit < 0 ? n - most : 0;
    }
    if (count == 0)
        return 0;
    graph->call_stack = memory_get(count * sizeof *graph->call_stack);
    if (graph->call_stack == NULL)
        return -ENOMEM;
    memcpy(graph->call_stack, capture->frames + first, count * sizeof *graph->call_stack);
    graph->call_stack_size = count;
    return 0;
}

static struct node *node_new(struct capture *capture, asyncio_future *future)
{
    struct node *node = memory_zeroed(sizeof *node);
    asyncio_task *task = task_of_future(future);

    if (node == NULL)
        return NULL;
    node->graph.future = future;
    if (task != NULL)
        snprintf(node->graph.name, sizeof node->graph.name, "%s", asyncio_task_get_name(task));
    if (capture->last != NULL)
        capture->last->next = node;
    capture->last = node;
    capture->count++;
    return node;
}

static bool awaits_itself(const struct node *node)
{
    const struct node *below = node->waits_for;

    while (below != NULL && below->graph.future != node->graph.future)
        below = below->waits_for;
    return below != NULL;
}

static int add_awaiters(struct capture *capture, struct node *node)
{
    struct awaiters awaiters = { .list = NULL };

    find_awaiters(&awaiters, node->graph.future);
    if (awaiters.count == 0)
        return 0;
    if (capture->count + awaiters.count > NODES_MAX)
        return ASYNCIO_ELIMIT;
    node->graph.awaited_by = memory_zeroed(awaiters.count * sizeof *node->graph.awaited_by);
    if (node->graph.awaited_by == NULL)
        return -ENOMEM;
    /* The futures first, in the same room; each is replaced by its node. */
    awaiters.list = (asyncio_future **)(void *)node->graph.awaited_by;
    awaiters.capacity = awaiters.count;
    find_awaiters(&awaiters, node->graph.future);
    for (size_t i = 0; i < awaiters.count; i++) {
        struct node *waiter = node_new(capture, awaiters.list[i]);

        if (waiter == NULL)
            return -ENOMEM;
        waiter->waits_for = node;
        waiter->place = i;
        waiter->level = node->level + 1;
        node->graph.awaited_by[i] = &waiter->graph;
        node->graph.awaited_by_size = i + 1;
    }
    return 0;
}

static int complete_node(struct capture *capture, struct node *node)
{
    const asyncio_task *task = task_of_future(node->graph.future);
    int r = task != NULL && capture->limit != 0 ? keep_stack(capture, &node->graph, task) : 0;

    return r < 0 || awaits_itself(node) ? r : add_awaiters(capture, node);
}

static int build(struct capture *capture, asyncio_call_graph **graph, asyncio_future *future)
{
    struct node *root = node_new(capture, future);
    int r = root != NULL ? 0 : -ENOMEM;

    for (struct node *node = root; node != NULL && r == 0; node = node->next)
        r = complete_node(capture, node);
    if (r == 0)
        *graph = &root->graph;
    else if (root != NULL)
        asyncio_call_graph_free(&root->graph);
    return r;
}

int asyncio_capture_call_graph(asyncio_call_graph **graph, asyncio_future *future, int limit)
{
    if (future == NULL && asyncio_get_running_loop() == NULL)
        return ASYNCIO_ENOLOOP;
    if (future == NULL && task_current == NULL)
        return -ENOENT;
    if (future == NULL)
        future = &task_current->future;
    const struct asyncio_loop *loop = future->waiters_.loop_;
    if (loop != NULL && !future_done(future) && loop->running && loop != loop_current)
        return ASYNCIO_EWRONGLOOP;
    struct capture *capture = memory_zeroed(sizeof *capture);
    if (capture == NULL)
        return -ENOMEM;
    capture->limit = limit;
    int r = build(capture, graph, future);
    memory_free(capture);
    return r;
}

void asyncio_call_graph_free(asyncio_call_graph *graph)
{
    struct node *next;

    for (struct node *node = graph != NULL ? CONTAINER_OF(graph, struct node, graph) : NULL;
         node != NULL; node = next) {
        next = node->next;
        memory_free(node->graph.call_stack);
        memory_free(node->graph.awaited_by);
        memory_free(node);
    }
}

/* ---- as text ---- */

ASYNCIO_PRINTF(3, 4)
static int print_line(asyncio_buffer *text, const struct node *node, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list arguments;
    int r = 0;

    for (size_t i = 0; i < node->level && r == 0; i++)
        r = asyncio_buffer_append(text, "    ", 4);
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (r == 0)
        r = asyncio_buffer_append(text, line, strlen(line));
    return r == 0 ? asyncio_buffer_append(text, "\n", 1) : r;
}

static int print_node(asyncio_buffer *text, const struct node *node)
{
    const asyncio_call_graph *graph = &node->graph;
    char place[LINE_SIZE / 2];
    int r;

    if (graph->name[0] != '\0')
        r = print_line(text, node, "* Task(name='%s', id=%p)", graph->name, (void *)graph->future);
    else
        r = print_line(text, node, "* Future(id=%p)", (void *)graph->future);
    if (r == 0 && graph->call_stack_size > 0)
        r = print_line(text, node, "  + Call stack:");
    for (size_t i = 0; i < graph->call_stack_size && r == 0; i++) {
        backtrace_describe(graph->call_stack[i], place, sizeof place);
        r = print_line(text, node, "  |   %s", place);
    }
    if (r == 0 && graph->awaited_by_size > 0)
        r = print_line(text, node, "  + Awaited by:");
    return r;
}

static const struct node *node_at(const asyncio_call_graph *graph, size_t place)
{
    return CONTAINER_OF(graph->awaited_by[place], struct node, graph);
}

/* Depth first: the first that awaits it, else the next of those that await the same. */
static const struct node *next_to_print(const struct node *node)
{
    if (node->graph.awaited_by_size > 0)
        return node_at(&node->graph, 0);
    while (node->waits_for != NULL && node->place + 1 == node->waits_for->graph.awaited_by_size)
        node = node->waits_for;
    return node->waits_for != NULL ? node_at(&node->waits_for->graph, node->place + 1) : NULL;
}

int asyncio_format_call_graph(asyncio_buffer *text, asyncio_future *future, int limit)
{
    asyncio_call_graph *graph = NULL;
    int r = asyncio_capture_call_graph(&graph, future, limit);

    if (r == -ENOENT)
        return asyncio_buffer_append(text, "", 0);
    if (r < 0)
        return r;
    for (const struct node *node = CONTAINER_OF(graph, struct node, graph); node != NULL && r == 0;
         node = next_to_print(node))
        r = print_node(text, node);
    asyncio_call_graph_free(graph);
    return r;
}

int asyncio_print_call_graph(asyncio_future *future, int limit, int fd)
{
    asyncio_buffer text = { 0 };
    int r = asyncio_format_call_graph(&text, future, limit);

    if (r == 0)
        sys_write_text(fd, text.data, text.size);
    asyncio_buffer_free(&text);
    return r;
}
