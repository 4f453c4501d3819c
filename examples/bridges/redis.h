/* redis.h - hiredis, awaited in one line.
 *
 *     struct redis *redis;
 *     redisReply *reply;
 *     TRY(redis_open(&redis, "127.0.0.1", 6379));
 *     int r = redis_command(redis, &reply, "INCR %s", key);
 *
 * Any number of tasks may use one connection at once: commands go out in the order in which they
 * were given, without waiting for the answers to earlier ones.  Replies are hiredis's own.
 */
#ifndef BRIDGES_REDIS_H
#define BRIDGES_REDIS_H

#include <asyncio.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

struct redis;

/* Connects to an address; hiredis would block to look up a name.  -ECONNREFUSED and the like.
 * Cancelled: nothing is left of it. */
ASYNCIO_SUSPENDS int redis_open(struct redis **redis, const char *host, int port);

/* Closes at once.  Commands that wait return ASYNCIO_ECLOSED: join their tasks before, or have them
 * cancelled. */
void redis_close(struct redis *redis);

/* Sends a command, as formatted by hiredis, and waits for the reply, to be freed with
 * freeReplyObject(), also if it is an error of the server's (REDIS_REPLY_ERROR).
 * ASYNCIO_ECLOSED: the connection is closed, or lost.  Cancelled: the command may have been
 * executed, and its reply is dropped when it comes; the connection stays good. */
ASYNCIO_SUSPENDS int redis_command(struct redis *redis, redisReply **reply, const char *format,
                                   ...);

/* On a connection that is used for nothing else: subscribes to a channel; and waits for the next
 * message, an array of "message", the channel and the text.  Messages wait, without limit, until
 * they are asked for.  ASYNCIO_ESHUTDOWN: the connection is closed, and there are no more. */
ASYNCIO_SUSPENDS int redis_subscribe(struct redis *redis, const char *channel);
ASYNCIO_SUSPENDS int redis_next_message(struct redis *redis, redisReply **message);

#endif
