/* bridge_redis.c - hiredis's commands awaited, against a real Redis server. */
#include <stdio.h>
#include <string.h>

#include "redis.h"
#include "world.h"

enum { AT_ONCE = 200 };

static int open_redis(struct redis **redis)
{
    return redis_open(redis, "127.0.0.1", (int)strtol(world_server("REDIS_PORT"), NULL, 10));
}

/* Calls it with a connection, which is gone afterwards. */
static int with_redis(int (*body)(struct redis *redis))
{
    struct redis *redis;

    TRY(open_redis(&redis));
    int r = body(redis);
    redis_close(redis);
    return r;
}

static int ask_string(struct redis *redis, const char *command, const char *expected)
{
    redisReply *reply;

    TRY(redis_command(redis, &reply, command));
    CHECK_STR(reply->str != NULL ? reply->str : "(none)", expected);
    freeReplyObject(reply);
    return 0;
}

static int sets_and_gets(struct redis *redis)
{
    redisReply *reply;

    TRY(ask_string(redis, "SET a apple", "OK"));
    TRY(ask_string(redis, "GET a", "apple"));
    TRY(redis_command(redis, &reply, "MGET %s %s", "a", "missing"));
    CHECK_INT(reply->type, REDIS_REPLY_ARRAY);
    CHECK_INT(reply->elements, 2);
    CHECK_STR(reply->element[0]->str, "apple");
    CHECK_INT(reply->element[1]->type, REDIS_REPLY_NIL);
    freeReplyObject(reply);
    TRY(redis_command(redis, &reply, "NONSENSE"));
    CHECK_INT(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    return 0;
}

static int commands_are_awaited(void *arg)
{
    (void)arg;
    return with_redis(sets_and_gets);
}

TEST(redis_commands_are_awaited)
{
    run_world(commands_are_awaited, NULL);
}

static int increment(void *arg)
{
    redisReply *reply;

    TRY(redis_command(arg, &reply, "INCR counter"));
    freeReplyObject(reply);
    return 0;
}

static int counts(struct redis *redis)
{
    asyncio_task_group group;

    TRY(ask_string(redis, "SET counter 0", "OK"));
    asyncio_task_group_enter(&group);
    for (int i = 0; i < AT_ONCE; i++)
        asyncio_task_group_spawn(&group, increment, redis);
    TRY(asyncio_task_group_exit(&group, 0));
    return ask_string(redis, "GET counter", "200");
}

static int many_share(void *arg)
{
    (void)arg;
    return with_redis(counts);
}

TEST(redis_many_share_a_connection)
{
    run_world(many_share, NULL);
}

/* Its reply comes all the same, and is nobody's. */
static int gives_up(struct redis *redis)
{
    asyncio_task *task;

    TRY(asyncio_create_task(&task, increment, redis, NULL));
    int r = asyncio_sleep(0);
    asyncio_task_cancel(task);
    int ended = asyncio_task_join(task);
    asyncio_task_unref(task);
    TRY(r);
    if (!test_is_torture())
        CHECK_INT(ended, -ECANCELED);
    TRY(ask_string(redis, "ECHO next", "next"));
    return 0;
}

static int is_cancelled(void *arg)
{
    (void)arg;
    return with_redis(gives_up);
}

TEST(redis_commands_are_cancelled)
{
    run_world(is_cancelled, NULL);
}

/* Those that wait when it ends, and those that come later. */
static int quits(struct redis *redis)
{
    redisReply *reply;
    asyncio_task *task;

    TRY(ask_string(redis, "QUIT", "OK"));
    TRY(asyncio_create_task(&task, increment, redis, NULL));
    int waited = asyncio_task_join(task);
    asyncio_task_unref(task);
    int r = redis_command(redis, &reply, "ECHO late");
    if (r == 0)
        freeReplyObject(reply);
    if (!test_is_torture()) {
        CHECK_INT(waited, ASYNCIO_ECLOSED);
        CHECK_INT(r, ASYNCIO_ECLOSED);
    }
    return r == -ECANCELED ? r : 0;
}

static int is_lost(void *arg)
{
    (void)arg;
    return with_redis(quits);
}

TEST(redis_connections_are_lost)
{
    run_world(is_lost, NULL);
}

/* The task that waits is told. */
static int closes_under_a_task(void *arg)
{
    struct redis *redis;
    asyncio_task *task;

    (void)arg;
    TRY(open_redis(&redis));
    int r = asyncio_create_task(&task, increment, redis, NULL);
    if (r == 0)
        r = asyncio_sleep(0);
    redis_close(redis);
    TRY(r);
    r = asyncio_task_join(task);
    asyncio_task_unref(task);
    if (!test_is_torture())
        CHECK_INT(r, ASYNCIO_ECLOSED);
    return 0;
}

TEST(redis_closing_tells_those_that_wait)
{
    if (test_is_torture())
        SKIP("the task would outlive what it uses, by a mistake of the test's own");
    run_world(closes_under_a_task, NULL);
}

static int hears(struct redis *listener)
{
    struct redis *speaker;
    redisReply *message;

    TRY(redis_subscribe(listener, "news"));
    TRY(open_redis(&speaker));
    int r = 0;
    for (int i = 0; i < 3 && r == 0; i++) {
        redisReply *reply = NULL;
        r = redis_command(speaker, &reply, "PUBLISH news %d", i);
        if (r == 0)
            freeReplyObject(reply);
    }
    redis_close(speaker);
    TRY(r);
    for (int i = 0; i < 3; i++) {
        char expected[2] = { (char)('0' + i), '\0' };

        TRY(redis_next_message(listener, &message));
        CHECK_STR(message->element[1]->str, "news");
        CHECK_STR(message->element[2]->str, expected);
        freeReplyObject(message);
    }
    return 0;
}

static int messages_are_awaited(void *arg)
{
    (void)arg;
    return with_redis(hears);
}

TEST(redis_messages_are_awaited)
{
    run_world(messages_are_awaited, NULL);
}

static int kill_listeners(struct redis *redis)
{
    redisReply *reply;

    TRY(redis_command(redis, &reply, "CLIENT KILL TYPE pubsub"));
    CHECK_INT(reply->integer, 1);
    freeReplyObject(reply);
    return 0;
}

static int loses_listener(struct redis *listener)
{
    redisReply *message;

    TRY(redis_subscribe(listener, "news"));
    TRY(with_redis(kill_listeners));
    int r = redis_next_message(listener, &message);
    if (r == 0)
        freeReplyObject(message);
    if (!test_is_torture())
        CHECK_INT(r, ASYNCIO_ESHUTDOWN);
    return r == -ECANCELED ? r : 0;
}

static int listener_is_lost(void *arg)
{
    (void)arg;
    return with_redis(loses_listener);
}

/* Who waits for a message is told that there will be none. */
TEST(redis_listeners_are_lost)
{
    run_world(listener_is_lost, NULL);
}

static int is_refused(void *arg)
{
    struct redis *redis;
    int r = redis_open(&redis, "127.0.0.1", 1);

    (void)arg;
    if (!test_is_torture())
        CHECK_INT(r, -ECONNREFUSED);
    return 0;
}

TEST(redis_says_why_it_failed)
{
    run_world(is_refused, NULL);
}
