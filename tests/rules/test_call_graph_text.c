/* test_call_graph_text.c - call graphs as text, of several who await, without memory, and from
 * where they may not be captured. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scopes.h"

static asyncio_future future;
static asyncio_task *target;

static int awaits_target(void *arg)
{
    (void)arg;
    return asyncio_shield(asyncio_task_future(target));
}

static int start_named(asyncio_task **task, asyncio_coro *fn, void *arg, const char *name)
{
    return hold_with(task, fn, arg, &(asyncio_task_options){ .name = name });
}

/* The target awaits the future; "a" and "b" await the target, and "c" awaits "b". */
static int start_all_of_them(void)
{
    asyncio_task *a;
    static asyncio_task *b, *c;

    future = (asyncio_future){ 0 };
    TRY(start_named(&target, awaits, &future, "target"));
    TRY(start_named(&a, awaits_target, NULL, "a"));
    TRY(start_named(&b, awaits_target, NULL, "b"));
    TRY(settle());
    TRY(start_named(&c, awaits, asyncio_task_future(b), "c"));
    return settle();
}

static int end_all_of_them(int r)
{
    asyncio_ignore(asyncio_future_set_result(&future, 0));
    return r < 0 ? r : settle();
}

/* The lines of the text without their addresses: up to the first ',' or '('. */
static const char *outline(const asyncio_buffer *text)
{
    static char lines[1000];
    size_t n = 0;
    bool skips = false;

    for (size_t i = 0; i < text->size && n + 1 < sizeof lines; i++) {
        char c = ((const char *)text->data)[i];

        skips = c == '\n'
                    ? false
                    : skips || c == ',' || strncmp("(id", (const char *)text->data + i, 3) == 0;
        if (!skips)
            lines[n++] = c;
    }
    lines[n] = '\0';
    return lines;
}

static const char expected[] = "* Future\n"
                               "  + Awaited by:\n"
                               "    * Task(name='target'\n"
                               "      + Awaited by:\n"
                               "        * Task(name='a'\n"
                               "        * Task(name='b'\n"
                               "          + Awaited by:\n"
                               "            * Task(name='c'\n";

static int several_await(void *arg)
{
    asyncio_buffer text = { 0 };

    (void)arg;
    int r = start_all_of_them();
    if (r == 0)
        r = asyncio_format_call_graph(&text, &future, 0);
    if (r == 0)
        CHECK_STR(outline(&text), expected);
    asyncio_buffer_free(&text);
    return end_all_of_them(r);
}

/* GRF-01: depth first, those who await the same in their order; what is no task has no name. */
TEST(GRF_01_as_text_of_several_who_await)
{
    RUN_TASKS(several_await, NULL);
    asyncio_call_graph_free(NULL); /* as what was never captured */
}

/* Whatever there was in the buffer before: what needs more room for it is another piece then. */
static int format_behind(size_t before, unsigned failing)
{
    static const char dots[400];
    asyncio_buffer text = { 0 };

    int r = asyncio_buffer_append(&text, dots, before);
    if (r == 0) {
        fail_call(failing);
        r = asyncio_format_call_graph(&text, &future, 2);
        fail_call(0);
    }
    if (r == 0)
        CHECK(text.size > before + sizeof expected);
    asyncio_buffer_free(&text);
    return r;
}

static int without_any_memory(void *arg)
{
    (void)arg;
    int r = start_all_of_them();
    for (size_t before = 1; r == 0 && before < 400; before++) {
        unsigned failing = 1;
        int formatted;

        while ((formatted = format_behind(before, failing)) == -ENOMEM)
            failing++;
        CHECK_INT(formatted, 0); /* fewer calls than that */
        CHECK(failing > 5);
    }
    return end_all_of_them(r);
}

static int prints_without_memory(void *arg)
{
    char text[10];
    int fd = memfd_create("graph", MFD_CLOEXEC);

    (void)arg;
    if (fd < 0)
        return -errno;
    int r = start_all_of_them();
    if (r == 0) {
        fail_call(1);
        CHECK_INT(asyncio_print_call_graph(&future, 0, fd), -ENOMEM);
        fail_call(0);
        CHECK_INT(pread(fd, text, sizeof text, 0), 0);
    }
    close(fd);
    return end_all_of_them(r);
}

static int captures_before_its_start(void *arg)
{
    asyncio_call_graph *graph = NULL;
    asyncio_task *task;

    TRY(hold(&task, awaits, arg));
    int r = asyncio_capture_call_graph(&graph, asyncio_task_future(task), 5);
    if (r == 0)
        CHECK_INT(graph->call_stack_size, 0);
    asyncio_call_graph_free(graph);
    asyncio_ignore(asyncio_future_set_result(arg, 0));
    return r < 0 ? r : asyncio_await(task);
}

/* GRF-01: a task that has not started has no stack yet. */
TEST(GRF_01_of_a_task_before_its_start)
{
    static asyncio_future done;

    RUN_TASKS(captures_before_its_start, &done);
}

/* Whichever piece of memory lacks, the text is refused, and nothing is left behind. */
TEST(GRF_01_as_text_without_memory)
{
    if (!fail_call(0))
        SKIP("without fault injection, or with torture's");
    RUN_TASKS(without_any_memory, NULL);
    RUN_TASKS(prints_without_memory, NULL);
}

/* ---- from where ---- */

struct other_thread {
    asyncio_future *future;
    int r;
};

static void *captures(void *arg)
{
    struct other_thread *other = arg;
    asyncio_call_graph *graph = NULL;

    other->r = asyncio_capture_call_graph(&graph, other->future, 0);
    asyncio_call_graph_free(graph);
    return NULL;
}

static int captured_in_another_thread(asyncio_future *of)
{
    struct other_thread other = { .future = of };
    pthread_t thread;

    if (pthread_create(&thread, NULL, captures, &other) != 0)
        return -EAGAIN;
    pthread_join(thread, NULL);
    return other.r;
}

static int looked_at_from_outside(void *arg)
{
    (void)arg;
    int r = start_all_of_them();
    if (r == 0) {
        int there = captured_in_another_thread(&future);
        CHECK(there == ASYNCIO_EWRONGLOOP || there == -EAGAIN);
    }
    return end_all_of_them(r);
}

/* GRF-01: while its loop runs, only in there. */
TEST(GRF_01_not_from_another_thread)
{
    RUN_TASKS(looked_at_from_outside, NULL);
}

/* A loop that does not run keeps still. */
TEST(GRF_01_of_a_loop_that_does_not_run)
{
    static asyncio_future awaited;
    asyncio_call_graph *graph = NULL;
    asyncio_task *task = NULL;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    log_allow("was closed while a task was pending");
    if (asyncio_loop_create_task(loop, &task, awaits, &awaited, NULL) == 0 &&
        asyncio_loop_run_once(loop, 0) == 0 && !asyncio_task_done(task) &&
        asyncio_capture_call_graph(&graph, &awaited, 0) == 0 && !test_is_torture()) {
        CHECK_INT(graph->awaited_by_size, 1);
        CHECK(graph->awaited_by[0]->future == asyncio_task_future(task));
        log_expect("was closed while a task was pending");
    }
    asyncio_call_graph_free(graph);
    asyncio_loop_close(loop);
    asyncio_task_unref(task);
    asyncio_loop_unref(loop);
}
