/* report.c - the errors that nobody else can get.
 *
 * All go through the exception handler of their loop.  The default one logs them; it is also what
 * catches a handler that fails.  ASYNCIO_EEXIT out of a handler ends the run like that of a task.
 */
#include <stdarg.h>
#include <stdio.h>

#include "ground/log.h"
#include "loop/loop.h"

struct text {
    char data[3000];
    size_t size;
};

ASYNCIO_PRINTF(3, 4)
static void add(struct text *text, const char *key, const char *format, ...)
{
    va_list arguments;
    size_t left = sizeof text->data - text->size;
    int n = snprintf(text->data + text->size, left, "%s%s", *key != '\0' ? "\n" : "", key);

    text->size += (size_t)n < left ? (size_t)n : left - 1;
    left = sizeof text->data - text->size;
    va_start(arguments, format);
    n = vsnprintf(text->data + text->size, left, format, arguments);
    va_end(arguments);
    text->size += (size_t)n < left ? (size_t)n : left - 1;
}

static void add_task(struct text *text, const asyncio_loop *loop, const asyncio_task *task)
{
    char description[300] = "";

    if (loop->client != NULL)
        loop->client->describe_task(task, description, sizeof description);
    add(text, "task: ", "%s", description);
}

static void add_future(struct text *text, const asyncio_loop *loop, const asyncio_future *future)
{
    char description[300];

    snprintf(description, sizeof description, "%p", (const void *)future);
    if (loop->client != NULL)
        loop->client->describe_future(future, description, sizeof description);
    add(text, "future: ", "%s", description);
}

static void add_transport(struct text *text, const asyncio_loop *loop,
                          const asyncio_transport *transport)
{
    char description[300];

    snprintf(description, sizeof description, "%p", (const void *)transport);
    if (loop->describe_transport != NULL)
        loop->describe_transport(transport, description, sizeof description);
    add(text, "transport: ", "%s", description);
}

/* The keys in alphabetical order, as asyncio has them. */
void asyncio_loop_default_exception_handler(asyncio_loop *loop,
                                            const asyncio_exception_context *context)
{
    struct text text = { .size = 0 };
    char description[300];

    add(&text, "", "%s", context->message != NULL ? context->message : "unhandled error");
    if (context->error != 0)
        add(&text, "error: ", "%s (%s)", asyncio_error_name(context->error),
            asyncio_strerror(context->error));
    if (context->future != NULL)
        add_future(&text, loop, context->future);
    if (context->handle != NULL) {
        asyncio_handle_describe(context->handle, description, sizeof description);
        add(&text, "handle: ", "%s", description);
    }
    if (context->protocol != NULL)
        add(&text, "protocol: ", "%p", (void *)context->protocol);
    if (context->socket != NULL)
        add(&text, "socket: ", "%d", *context->socket);
    if (context->source_traceback != NULL)
        add(&text, "made at:\n    ", "%s", context->source_traceback);
    if (context->task != NULL)
        add_task(&text, loop, context->task);
    if (context->transport != NULL)
        add_transport(&text, loop, context->transport);
    log_write(ASYNCIO_LOG_ERROR, "%s", text.data);
}

static void report_handler_failure(asyncio_loop *loop, int error,
                                   const asyncio_exception_context *context)
{
    asyncio_exception_context failure = { .message = "unhandled error in exception handler",
                                          .error = error };

    asyncio_loop_default_exception_handler(loop, &failure);
    asyncio_loop_default_exception_handler(loop, context);
}

void asyncio_loop_call_exception_handler(asyncio_loop *loop,
                                         const asyncio_exception_context *context)
{
    if (loop->exception_handler == NULL) {
        asyncio_loop_default_exception_handler(loop, context);
        return;
    }
    int r = loop->exception_handler(loop, loop->exception_arg, context);

    if (r == ASYNCIO_EEXIT)
        loop_exit(loop, r);
    else if (r < 0)
        report_handler_failure(loop, r, context);
}

void loop_report(struct asyncio_loop *loop, const char *message, int error,
                 const asyncio_exception_context *more)
{
    asyncio_exception_context context = *more;

    context.message = message;
    context.error = error;
    asyncio_loop_call_exception_handler(loop, &context);
}

void asyncio_loop_set_exception_handler(asyncio_loop *loop, asyncio_exception_handler *handler,
                                        void *arg)
{
    loop->exception_handler = handler;
    loop->exception_arg = arg;
}

asyncio_exception_handler *asyncio_loop_get_exception_handler(const asyncio_loop *loop)
{
    return loop->exception_handler;
}
