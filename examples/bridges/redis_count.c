/* redis_count.c - many tasks count in Redis over one connection, and one hears of it.
 *
 *     redis_count PORT [TASKS]
 *
 * Each task waits for its own answers only, while the connection never waits: that is pipelining.
 */
#include <stdio.h>
#include <stdlib.h>

#include "redis.h"

struct counting {
    int port, tasks;
    struct redis *redis;
};

static int count(void *arg)
{
    struct counting *counting = arg;
    redisReply *reply;
    int r = 0;

    for (int i = 0; i < 10 && r == 0; i++) {
        r = redis_command(counting->redis, &reply, "INCR redis_count");
        if (r == 0)
            freeReplyObject(reply);
    }
    return r;
}

static int count_together(struct counting *counting)
{
    asyncio_task_group group;
    redisReply *reply;

    asyncio_task_group_enter(&group);
    for (int i = 0; i < counting->tasks; i++)
        asyncio_task_group_spawn(&group, count, counting);
    int r = asyncio_task_group_exit(&group, 0);
    if (r == 0)
        r = redis_command(counting->redis, &reply, "GETSET redis_count 0");
    if (r < 0)
        return r;
    printf("%d tasks counted to %s\n", counting->tasks, reply->str);
    freeReplyObject(reply);
    r = redis_command(counting->redis, &reply, "PUBLISH redis_count over");
    if (r == 0)
        freeReplyObject(reply);
    return r;
}

/* Messages that come before anybody asks for them wait. */
static int hear(struct redis *listener)
{
    redisReply *message;
    int r = redis_next_message(listener, &message);

    if (r < 0)
        return r;
    printf("heard on %s: %s\n", message->element[1]->str, message->element[2]->str);
    freeReplyObject(message);
    return 0;
}

static int run(void *arg)
{
    struct counting *counting = arg;
    struct redis *listener;

    int r = redis_open(&counting->redis, "127.0.0.1", counting->port);
    if (r < 0)
        return r;
    r = redis_open(&listener, "127.0.0.1", counting->port);
    if (r == 0) {
        r = redis_subscribe(listener, "redis_count");
        if (r == 0)
            r = count_together(counting);
        if (r == 0)
            r = hear(listener);
        redis_close(listener);
    }
    redis_close(counting->redis);
    return r;
}

int main(int argc, char **argv)
{
    struct counting counting = {
        .port = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 6379,
        .tasks = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 100,
    };
    int r = asyncio_run(run, &counting);

    if (r < 0)
        fprintf(stderr, "redis_count: %s\n", asyncio_strerror(r));
    return r < 0;
}
