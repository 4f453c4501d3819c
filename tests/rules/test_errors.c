/* test_errors.c - the rules of the exception handler, and what the default one logs. */
#include "loops.h"

#include <string.h>

static int fails(void *arg)
{
    (void)arg;
    return -EIO;
}

static int says_message(asyncio_loop *loop, void *arg, const asyncio_exception_context *context)
{
    (void)loop;
    (void)context;
    trace("%s", (const char *)arg);
    return 0;
}

static void replaced(asyncio_loop *loop)
{
    asyncio_handle handles[2] = { 0 };

    CHECK(asyncio_loop_get_exception_handler(loop) == NULL);
    asyncio_loop_set_exception_handler(loop, says_message, (void *)(uintptr_t)"mine");
    CHECK(asyncio_loop_get_exception_handler(loop) == says_message);
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[0], fails, NULL));
    turn(loop);
    CHECK_TRACE("mine");
    asyncio_loop_set_exception_handler(loop, NULL, NULL);
    CHECK(asyncio_loop_get_exception_handler(loop) == NULL);
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[1], fails, NULL));
    turn(loop);
    CHECK_TRACE("mine");
    CHECK_INT(log_count("exception in callback"), 1);
}

TEST(ERR_01_the_handler_can_be_set_and_taken_back)
{
    with_loop(replaced);
}

static int fails_itself(asyncio_loop *loop, void *arg, const asyncio_exception_context *context)
{
    (void)loop;
    (void)arg;
    (void)context;
    return -EPERM;
}

static void handler_fails(asyncio_loop *loop)
{
    asyncio_handle handles[2] = { 0 };

    asyncio_loop_set_exception_handler(loop, fails_itself, NULL);
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[0], fails, NULL));
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[1], SAY("on")));
    turn(loop);
    CHECK_TRACE("on");
    CHECK_INT(log_count("unhandled error in exception handler"), 1);
    CHECK_INT(log_count("EPERM"), 1);
    CHECK_INT(log_count("exception in callback"), 1);
    CHECK_INT(log_count("EIO"), 1);
}

TEST(ERR_02_a_handler_that_fails_makes_the_default_one_report_both)
{
    with_loop(handler_fails);
}

static int exits(asyncio_loop *loop, void *arg, const asyncio_exception_context *context)
{
    (void)loop;
    (void)arg;
    (void)context;
    return ASYNCIO_EEXIT;
}

static void handler_exits(asyncio_loop *loop)
{
    asyncio_handle handles[2] = { 0 };

    asyncio_loop_set_exception_handler(loop, exits, NULL);
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[0], fails, NULL));
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[1], SAY("later")));
    CHECK_INT(asyncio_loop_run_forever(loop), ASYNCIO_EEXIT);
    CHECK_TRACE("");
    turn(loop);
    CHECK_TRACE("later");
}

TEST(ERR_03_a_fatal_error_of_the_handler_ends_the_run)
{
    with_loop(handler_exits);
}

static char none[] = "none";
static const asyncio_contextvar color = { .name = "color", .default_value = none };

static int says_color(asyncio_loop *loop, void *arg, const asyncio_exception_context *context)
{
    (void)loop;
    (void)arg;
    trace("%s:%s", context->task != NULL ? "task" : "callback",
          (const char *)asyncio_contextvar_get(&color));
    return 0;
}

static int fails_colored(void *arg)
{
    TRY(asyncio_contextvar_set(&color, arg, NULL));
    return -EIO;
}

static int in_its_context(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_handle handle = { 0 };

    (void)arg;
    asyncio_loop_set_exception_handler(loop, says_color, NULL);
    TRY(asyncio_create_task(NULL, fails_colored, (void *)(uintptr_t)"red", NULL));
    TRY(asyncio_contextvar_set(&color, (void *)(uintptr_t)"blue", NULL));
    int r = asyncio_loop_call_soon(loop, &handle, fails, NULL);
    if (r == 0)
        r = asyncio_contextvar_set(&color, (void *)(uintptr_t)"green", NULL);
    int slept = asyncio_sleep(1);
    asyncio_handle_cancel(&handle);
    TRY(r);
    TRY(slept);
    CHECK_TRACE("task:red callback:blue");
    return 0;
}

TEST(ERR_04_the_handler_runs_in_the_context_of_what_failed)
{
    RUN(in_its_context, NULL);
}

static void all_keys(asyncio_loop *loop)
{
    asyncio_handle handle = { 0 };
    asyncio_future future = { 0 };
    asyncio_task *task;
    asyncio_socket socket = 7;

    if (asyncio_loop_create_task(loop, &task, fails, NULL,
                                 &(asyncio_task_options){ .name = "worker" }) < 0)
        return;
    asyncio_loop_call_exception_handler(loop, &(asyncio_exception_context){
                                                  .message = "something happened",
                                                  .error = -EIO,
                                                  .task = task,
                                                  .future = &future,
                                                  .handle = &handle,
                                                  .socket = &socket,
                                                  .source_traceback = "somewhere",
                                              });
    log_expect("something happened");
    const char *text = log_text();
    const char *keys[] = { "something happened", "error: EIO", "future: <future",
                           "handle: <handle",    "socket: 7",  "made at:",
                           "task: <task 'worker'" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *found = text != NULL ? strstr(text, keys[i]) : NULL;

        if (CHECK(found != NULL))
            text = found; /* in this order */
    }
    reported(loop);
    asyncio_ignore(asyncio_loop_run_until_complete(loop, asyncio_task_future(task)));
    asyncio_task_unref(task);
}

/* ERR-06: the default handler logs the message, then every other key in order. */
TEST(ERR_05_the_context_has_what_is_known)
{
    with_loop(all_keys);
}

static void only_a_message(asyncio_loop *loop)
{
    asyncio_loop_call_exception_handler(loop,
                                        &(asyncio_exception_context){ .message = "just this" });
    CHECK_INT(log_count("just this"), 1);
    CHECK(strstr(log_text(), "error:") == NULL);
    CHECK(strstr(log_text(), "task:") == NULL);
}

TEST(ERR_06_what_is_not_known_is_not_logged)
{
    with_loop(only_a_message);
}
