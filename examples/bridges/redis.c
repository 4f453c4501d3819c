/* redis.c - hiredis's asynchronous interface on an asyncio loop.
 *
 * Hiredis says when it wants to read or write by hooks, and calls back with each reply.  A command
 * is a future, in memory that its callback and its task share: whoever comes last frees it, since
 * hiredis has no way to take a command back.
 *
 * Hiredis frees a reply after the callback.  So the callback moves what is in it to a reply of
 * ours, made beforehand, and leaves an empty shell behind.
 *
 * The context is hiredis's: it frees it when the connection is lost, and the hook `cleanup` is
 * where we learn that.  If the loop has no memory for a watch, the connection is given up, from the
 * loop: a hook may be called from anywhere in hiredis, which expects its context to last.
 */
#include "redis.h"

#include <stdarg.h>
#include <stdlib.h>

enum { READ = 1, WRITE = 2 };

struct redis {
    redisAsyncContext *context; /* NULL: closed */
    asyncio_loop *loop;
    asyncio_future connected;
    asyncio_queue messages; /* of redisReply pointers */
    asyncio_handle give_up;
    int fd;
    unsigned watched; /* READ, WRITE: what the loop was asked to watch */
};

/* ---- between the loop and hiredis ---- */

static int is_readable(void *arg)
{
    struct redis *redis = arg;

    redisAsyncHandleRead(redis->context);
    return 0;
}

static int is_writable(void *arg)
{
    struct redis *redis = arg;

    redisAsyncHandleWrite(redis->context);
    return 0;
}

static int give_up(void *arg)
{
    struct redis *redis = arg;

    if (redis->context != NULL)
        redisAsyncFree(redis->context);
    return 0;
}

static void watch(struct redis *redis, unsigned what)
{
    int r = 0;

    if ((redis->watched & what) != 0)
        return;
    if (what == READ)
        r = asyncio_loop_add_reader(redis->loop, redis->fd, is_readable, redis);
    else
        r = asyncio_loop_add_writer(redis->loop, redis->fd, is_writable, redis);
    if (r == 0)
        redis->watched |= what;
    else /* scheduled already is as good */
        asyncio_ignore(asyncio_loop_call_soon(redis->loop, &redis->give_up, give_up, redis));
}

static void unwatch(struct redis *redis, unsigned what)
{
    if ((redis->watched & what & READ) != 0)
        asyncio_loop_remove_reader(redis->loop, redis->fd);
    if ((redis->watched & what & WRITE) != 0)
        asyncio_loop_remove_writer(redis->loop, redis->fd);
    redis->watched &= ~what;
}

static void add_read(void *arg)
{
    watch(arg, READ);
}

static void remove_read(void *arg)
{
    unwatch(arg, READ);
}

static void add_write(void *arg)
{
    watch(arg, WRITE);
}

static void remove_write(void *arg)
{
    unwatch(arg, WRITE);
}

static void finish(asyncio_future *future, int result)
{
    if (!asyncio_future_done(future)) /* a cancellation may have come first */
        asyncio_ignore(asyncio_future_set_result(future, result));
}

/* The context is about to be freed, maybe before it was connected. */
static void cleanup(void *arg)
{
    struct redis *redis = arg;

    unwatch(redis, READ | WRITE);
    redis->context = NULL;
    finish(&redis->connected, ASYNCIO_ECLOSED);
    asyncio_queue_shutdown(&redis->messages, false);
}

/* ---- connecting ---- */

/* When it failed, hiredis frees the context next. */
static void connected(const redisAsyncContext *context, int status)
{
    struct redis *redis = context->ev.data;

    finish(&redis->connected, status == REDIS_OK ? 0 : errno > 0 ? -errno : -ECONNREFUSED);
}

static int connect_to(struct redis *redis, const char *host, int port)
{
    redisAsyncContext *context = redisAsyncConnect(host, port);

    if (context == NULL)
        return -ENOMEM;
    if (context->err != 0) {
        int r = context->err == REDIS_ERR_IO && errno > 0 ? -errno : -EINVAL;
        redisAsyncFree(context);
        return r;
    }
    redis->context = context;
    redis->fd = context->c.fd;
    context->ev.data = redis;
    context->ev.addRead = add_read;
    context->ev.delRead = remove_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = remove_write;
    context->ev.cleanup = cleanup;
    redisAsyncSetConnectCallback(context, connected);
    return asyncio_await(&redis->connected);
}

static void drop_message(void *item)
{
    freeReplyObject(*(redisReply **)item);
}

void redis_close(struct redis *redis)
{
    if (redis == NULL)
        return;
    give_up(redis);
    asyncio_handle_cancel(&redis->give_up);
    asyncio_queue_destroy(&redis->messages);
    free(redis);
}

int redis_open(struct redis **redis, const char *host, int port)
{
    if (asyncio_current_task() == NULL)
        return ASYNCIO_ENOTASK;
    struct redis *made = calloc(1, sizeof *made);
    if (made == NULL)
        return -ENOMEM;
    made->loop = asyncio_get_running_loop();
    asyncio_queue_init(&made->messages, sizeof(redisReply *), 0, ASYNCIO_FIFO, NULL);
    made->messages.drop = drop_message;
    int r = connect_to(made, host, port);
    if (r == 0 && made->context == NULL)
        r = ASYNCIO_ECLOSED;
    if (r == 0)
        *redis = made;
    else
        redis_close(made);
    return r;
}

/* ---- commands ---- */

struct command {
    asyncio_future answered;
    redisReply *reply;
    bool over, abandoned; /* the callback has run; nobody waits for it any more */
};

static struct command *command_new(void)
{
    struct command *command = calloc(1, sizeof *command);
    redisReply *reply = calloc(1, sizeof *reply);

    if (command == NULL || reply == NULL) {
        free(command);
        free(reply);
        return NULL;
    }
    reply->type = REDIS_REPLY_NIL;
    command->reply = reply;
    return command;
}

static void command_free(struct command *command)
{
    freeReplyObject(command->reply);
    free(command);
}

static void move_reply(redisReply *ours, redisReply *theirs)
{
    *ours = *theirs;
    *theirs = (redisReply){ .type = REDIS_REPLY_NIL };
}

static void answered(redisAsyncContext *context, void *reply, void *arg)
{
    struct command *command = arg;

    (void)context;
    if (command->abandoned) {
        command_free(command);
        return;
    }
    command->over = true;
    if (reply != NULL)
        move_reply(command->reply, reply);
    finish(&command->answered, reply != NULL ? 0 : ASYNCIO_ECLOSED);
}

static int wait_for_reply(struct command *command, redisReply **reply)
{
    int r = asyncio_await(&command->answered);

    if (r < 0 && !command->over) {
        command->abandoned = true;
        return r;
    }
    if (r == 0) {
        *reply = command->reply;
        command->reply = NULL; /* freeReplyObject() takes that */
    }
    command_free(command);
    return r;
}

int redis_command(struct redis *redis, redisReply **reply, const char *format, ...)
{
    struct command *command;
    va_list arguments;

    if (asyncio_current_task() == NULL)
        return ASYNCIO_ENOTASK;
    if (redis->context == NULL)
        return ASYNCIO_ECLOSED;
    command = command_new();
    if (command == NULL)
        return -ENOMEM;
    va_start(arguments, format);
    int status = redisvAsyncCommand(redis->context, answered, command, format, arguments);
    va_end(arguments);
    if (status != REDIS_OK) {
        command_free(command);
        return -EINVAL;
    }
    return wait_for_reply(command, reply);
}

/* ---- subscriptions ---- */

static void put_message(struct redis *redis, redisReply *reply)
{
    redisReply *message = calloc(1, sizeof *message);

    if (message == NULL) {
        asyncio_ignore(asyncio_loop_call_soon(redis->loop, &redis->give_up, give_up, redis));
        return;
    }
    move_reply(message, reply);
    if (asyncio_queue_put_nowait(&redis->messages, &message) < 0) {
        freeReplyObject(message);
        asyncio_ignore(asyncio_loop_call_soon(redis->loop, &redis->give_up, give_up, redis));
    }
}

/* For the confirmation, and for each message; with NULL when the connection ends. */
static void message_came(redisAsyncContext *context, void *arg, void *unused)
{
    struct redis *redis = context->ev.data;
    redisReply *reply = arg;

    (void)unused;
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
        reply->element[2]->type == REDIS_REPLY_STRING)
        put_message(redis, reply);
    else
        finish(&redis->connected, reply != NULL ? 0 : ASYNCIO_ECLOSED);
}

int redis_subscribe(struct redis *redis, const char *channel)
{
    if (asyncio_current_task() == NULL)
        return ASYNCIO_ENOTASK;
    if (redis->context == NULL)
        return ASYNCIO_ECLOSED;
    redis->connected = (asyncio_future){ 0 }; /* now it is about this */
    if (redisAsyncCommand(redis->context, message_came, NULL, "SUBSCRIBE %s", channel) != REDIS_OK)
        return -EINVAL;
    return asyncio_await(&redis->connected);
}

int redis_next_message(struct redis *redis, redisReply **message)
{
    return asyncio_queue_get(&redis->messages, message);
}
