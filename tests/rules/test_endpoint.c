/* test_endpoint.c - the rules of datagrams, for tasks. */
#include <fcntl.h>

#include "endpoints.h"

/* ---- moving ---- */

/* DGM-01: each arrives whole, with who sent it; DGM-02: also an empty one. */
ENDS_TEST(datagrams_arrive_whole)
{
    TRY(send_text(ends->a, "one", &ends->of_b));
    TRY(send_text(ends->a, "", &ends->of_b));
    TRY(send_text(ends->a, "three", &ends->of_b));
    TRY(expect_text(ends->b, "one", &ends->of_a));
    TRY(expect_text(ends->b, "", &ends->of_a));
    TRY(expect_text(ends->b, "three", &ends->of_a));
    TRY(send_text(ends->b, "back", &ends->of_a));
    return expect_text(ends->a, "back", &ends->of_b);
}

/* The rest is dropped; the next one is whole again. */
ENDS_TEST(datagram_cut_off)
{
    char data[4] = "";

    TRY(send_text(ends->a, "too long", &ends->of_b));
    TRY(send_text(ends->a, "next", &ends->of_b));
    int r = asyncio_endpoint_recvfrom(ends->b, data, 3, NULL);
    TRY(r);
    CHECK_INT(r, 3);
    CHECK_STR(data, "too");
    return expect_text(ends->b, "next", NULL);
}

static int receive_waits(struct ends *ends, struct receive *receive)
{
    asyncio_task *task;

    TRY(start(&task, receives, receive));
    CHECK(!asyncio_task_done(task));
    int r = send_text(ends->a, "late", &ends->of_b);
    TRY(finish_after(task, r));
    CHECK_STR(receive->data, "late");
    return 0;
}

ENDS_TEST(datagram_is_waited_for)
{
    struct receive receive = { .endpoint = ends->b };

    return receive_waits(ends, &receive);
}

/* A cancelled receive loses no datagram. */
ENDS_TEST(cancelled_receive_takes_nothing)
{
    struct receive receive = { .endpoint = ends->b };
    asyncio_task *task;

    TRY(start(&task, receives, &receive));
    CHECK_INT(cancel(task), -ECANCELED);
    TRY(send_text(ends->a, "kept", &ends->of_b));
    return expect_text(ends->b, "kept", NULL);
}

/* One that has arrived with the cancellation is returned, and the request waits for the next. */
ENDS_TEST(late_cancellation_takes_nothing)
{
    struct receive receive = { .endpoint = ends->b };
    asyncio_task *task;

    TRY(start(&task, receives, &receive));
    int r = send_text(ends->a, "kept", &ends->of_b);
    asyncio_task_cancel(task);
    int result = finish(task);
    TRY(r);
    if (result == -ECANCELED)
        return expect_text(ends->b, "kept", NULL);
    CHECK_STR(receive.data, "kept");
    return result;
}

IPV4_TEST(second_receiver_is_refused)
{
    struct receive receive = { .endpoint = ends->b };
    asyncio_task *task;
    char data[8];

    TRY(start(&task, receives, &receive));
    if (!asyncio_task_done(task))
        CHECK_INT(asyncio_endpoint_recvfrom(ends->b, data, sizeof data, NULL), -EBUSY);
    int r = send_text(ends->a, "x", &ends->of_b);
    TRY(finish_after(task, r));
    TRY(send_text(ends->a, "y", &ends->of_b));
    return expect_text(ends->b, "y", NULL);
}

/* ---- connected ---- */

static int with_connected(struct ends *ends, int (*body)(struct ends *ends, asyncio_endpoint *c))
{
    asyncio_endpoint_options options = { .remote_host = "127.0.0.1",
                                         .remote_port = asyncio_address_port(&ends->of_b) };
    asyncio_endpoint *connected;

    TRY(asyncio_open_datagram_endpoint(&connected, &options));
    int r = body(ends, connected);
    asyncio_endpoint_free(connected);
    return r;
}

static int talk_connected(struct ends *ends, asyncio_endpoint *connected)
{
    asyncio_address own;

    TRY(asyncio_endpoint_get_sockname(connected, &own));
    TRY(send_text(connected, "one", NULL));
    TRY(send_text(connected, "two", &ends->of_b));
    TRY(expect_text(ends->b, "one", &own));
    TRY(expect_text(ends->b, "two", &own));
    CHECK_INT(asyncio_endpoint_sendto(connected, "x", 1, &ends->of_a), -EINVAL);
    CHECK_INT(asyncio_endpoint_sendto(ends->a, "x", 1, NULL), -EINVAL);
    TRY(send_text(ends->a, "from a stranger", &own)); /* the kernel drops it */
    TRY(send_text(ends->b, "from b", &own));
    return expect_text(connected, "from b", &ends->of_b);
}

/* DGM-03: a connected one sends to nobody else; one that is not needs an address. */
IPV4_TEST(DGM_03_destination)
{
    return with_connected(ends, talk_connected);
}

static int is_refused(struct ends *ends, asyncio_endpoint *connected)
{
    char data[8];
    unsigned port = asyncio_address_port(&ends->of_b);

    asyncio_endpoint_free(ends->b);
    ends->b = NULL;
    for (int i = 0; i < 3; i++) {
        TRY(send_text(connected, "anybody?", NULL));
        CHECK_INT(asyncio_endpoint_recvfrom(connected, data, sizeof data, NULL), -ECONNREFUSED);
    }
    TRY(asyncio_open_datagram_endpoint(
        &ends->b, &(asyncio_endpoint_options){ .local_host = "127.0.0.1", .local_port = port }));
    TRY(send_text(connected, "again", NULL));
    return expect_text(ends->b, "again", NULL);
}

/* DGM-04: what is told of an earlier datagram does not end anything. */
IPV4_TEST(DGM_04_refused)
{
    return with_connected(ends, is_refused);
}

/* A storm of refusals: each is told once, to whoever calls next, and nothing spins. */
static int many_are_refused(struct ends *ends, asyncio_endpoint *connected)
{
    int refused = 0;

    asyncio_endpoint_free(ends->b);
    ends->b = NULL;
    for (int i = 0; i < 1000; i++) {
        int r = asyncio_endpoint_sendto(connected, "x", 1, NULL);
        if (r < 0 && r != -ECONNREFUSED)
            return r;
        refused += r < 0;
    }
    if (!test_is_torture())
        CHECK_INT(refused, 500); /* of every two the second hears of the first */
    return 0;
}

IPV4_TEST(storm_of_refusals)
{
    return with_connected(ends, many_are_refused);
}

/* ---- too much ---- */

ENDS_TEST(datagram_too_long)
{
    enum { SIZE = 1024 * 1024 };
    char *data = calloc(1, SIZE);
    int r = data != NULL ? asyncio_endpoint_sendto(ends->a, data, SIZE, &ends->of_b) : -ENOMEM;

    free(data);
    if (!test_is_torture())
        CHECK_INT(r, -EMSGSIZE);
    TRY(send_text(ends->a, "short", &ends->of_b));
    return expect_text(ends->b, "short", NULL);
}

enum { SENDERS = 5, EACH = 20 };

struct sending {
    struct ends *ends;
    size_t size;
    int number;
};

/* Whoever waits for what a sender sends must not wait for one that was cancelled: that fails, and
 * its group with it. */
static int failed(int r)
{
    return r == -ECANCELED ? -EIO : r < 0 ? r : 0;
}

static int sends_many(void *arg)
{
    const struct sending *sending = arg;
    char *data = calloc(1, sending->size);
    int r = data != NULL ? 0 : -ENOMEM;

    for (int i = 0; i < EACH && r >= 0; i++) {
        data[0] = (char)sending->number;
        data[1] = (char)i;
        r = asyncio_endpoint_sendto(sending->ends->a, data, sending->size, &sending->ends->of_b);
    }
    free(data);
    return failed(r);
}

static int receive_all_of(struct ends *ends, int count)
{
    char data[2];
    int next[SENDERS] = { 0 };

    for (int i = 0; i < count; i++) {
        TRY(asyncio_endpoint_recvfrom(ends->b, data, sizeof data, NULL));
        CHECK_INT(data[1], next[(int)data[0]]++);
    }
    return 0;
}

static int many_senders(struct ends *ends, size_t size)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    for (int i = 0; i < SENDERS; i++)
        asyncio_task_group_spawn_copy(&group, sends_many, &((struct sending){ ends, size, i }));
    return asyncio_task_group_exit(&group, receive_all_of(ends, SENDERS * EACH));
}

/* Several tasks send at once, more than there is room for: they wait, and nothing is lost. */
UNIX_TEST(senders_wait_for_the_peer)
{
    return many_senders(ends, 2);
}

/* The same when it is the sender's own buffer that is full. */
UNIX_TEST(senders_wait_for_their_buffer)
{
    return many_senders(ends, 60 * 1000);
}

static int fill(struct ends *ends)
{
    int sent = 0;

    while (sent < 10000) {
        asyncio_timeout timeout = { 0 };

        asyncio_timeout_enter(&timeout, 0.001);
        int r = asyncio_endpoint_sendto(ends->a, "x", 1, &ends->of_b);
        r = asyncio_timeout_exit(&timeout, r);
        if (r == -ETIMEDOUT)
            return sent;
        TRY(r);
        sent++;
    }
    return -EIO;
}

/* While the peer is full the loop sleeps, and a cancelled send has sent nothing. */
UNIX_TEST(full_peer_is_waited_for_asleep)
{
    int sent = fill(ends);

    TRY(sent);
    double before = asyncio_loop_time(asyncio_get_running_loop());
    for (int i = 0; i < 3; i++)
        CHECK_INT(fill(ends), 0);
    /* Virtual time goes on only when nothing is ready. */
    if (!test_is_torture())
        CHECK_NEAR(asyncio_loop_time(asyncio_get_running_loop()) - before, 0.003, 1e-9);
    for (int i = 0; i < sent; i++)
        TRY(expect_text(ends->b, "x", NULL));
    TRY(send_text(ends->a, "last", &ends->of_b));
    return expect_text(ends->b, "last", NULL);
}

static int sends_one(void *arg)
{
    struct ends *ends = arg;

    return asyncio_endpoint_sendto(ends->a, "x", 1, &ends->of_b);
}

/* A Unix peer that goes away while somebody waits for room: who waits hears of it. */
UNIX_TEST(full_peer_goes_away)
{
    asyncio_task *task;

    TRY(fill(ends));
    TRY(start(&task, sends_one, ends));
    asyncio_endpoint_free(ends->b);
    ends->b = NULL;
    int r = finish(task);
    CHECK(r == -ECONNREFUSED || r == -ENOENT || test_is_torture());
    CHECK_INT(asyncio_endpoint_sendto(ends->a, "x", 1, &ends->of_b), -ENOENT);
    return r == -ECONNREFUSED || r == -ENOENT ? 0 : r;
}

/* ---- the end ---- */

IPV4_TEST(freed_while_somebody_receives)
{
    struct receive receive = { .endpoint = ends->b };
    asyncio_task *task;

    TRY(start(&task, receives, &receive));
    asyncio_endpoint_free(ends->b);
    ends->b = NULL;
    CHECK_INT(finish(task), ASYNCIO_ECLOSED);
    return 0;
}

/* The close is no answer to a cancellation that comes after it. */
IPV4_TEST(cancelled_after_it_was_freed)
{
    struct receive receive = { .endpoint = ends->b };
    asyncio_task *task;

    TRY(start(&task, receives, &receive));
    asyncio_endpoint_free(ends->b);
    ends->b = NULL;
    CHECK_INT(cancel(task), -ECANCELED);
    return 0;
}

UNIX_TEST(freed_while_somebody_sends)
{
    asyncio_task *task;

    TRY(fill(ends));
    TRY(start(&task, sends_one, ends));
    asyncio_endpoint_free(ends->a);
    ends->a = NULL;
    CHECK_INT(finish(task), ASYNCIO_ECLOSED);
    return 0;
}

/* ---- what it costs ---- */

static int echo_some(struct ends *ends, int count)
{
    char data[64];
    asyncio_address from;

    for (int i = 0; i < count; i++) {
        TRY(asyncio_endpoint_sendto(ends->a, "ping", 4, &ends->of_b));
        int r = asyncio_endpoint_recvfrom(ends->b, data, sizeof data, &from);
        TRY(r);
        TRY(asyncio_endpoint_sendto(ends->b, data, (size_t)r, &from));
        TRY(asyncio_endpoint_recvfrom(ends->a, data, sizeof data, NULL));
    }
    return 0;
}

/* In the steady state a datagram allocates nothing. */
ENDS_TEST(datagrams_without_memory)
{
    TRY(echo_some(ends, 1));
    long before = memory_requests();
    TRY(echo_some(ends, 100));
    CHECK_INT(memory_requests() - before, 0);
    return 0;
}

enum { BURST = 100000 };

static int burst_size(void)
{
    return test_is_torture() ? 100 : BURST;
}

static int sends_burst(void *arg)
{
    struct ends *ends = arg;
    int r = 0;

    for (int i = 0; i < burst_size() && r >= 0; i++)
        r = asyncio_endpoint_sendto(ends->a, &i, sizeof i, &ends->of_b);
    return failed(r);
}

static int receive_burst(struct ends *ends)
{
    int number = 0;

    for (int i = 0; i < burst_size(); i++) {
        TRY(asyncio_endpoint_recvfrom(ends->b, &number, sizeof number, NULL));
        if (number != i)
            FAIL("datagram %d came in place of %d", number, i);
    }
    return 0;
}

/* 100,000 as fast as they can be sent: all arrive, in order, and the memory stays what it was. */
UNIX_TEST(burst_of_datagrams)
{
    asyncio_task_group group;
    long before = blocks_alive();

    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, sends_burst, ends);
    int r = receive_burst(ends);
    CHECK(blocks_alive() - before < 20);
    return asyncio_task_group_exit(&group, r);
}

static int receives_until_cancelled(void *arg)
{
    struct receive *receive = arg;
    int number;

    while ((receive->result =
                asyncio_endpoint_recvfrom(receive->endpoint, &number, sizeof number, NULL)) >= 0)
        memcpy(receive->data, &number, sizeof number);
    return receive->result == -ECANCELED ? 0 : receive->result;
}

/* UDP may lose some of them, but neither side ever waits for the other, or starves others. */
IPV4_TEST(burst_of_udp)
{
    struct receive receive = { .endpoint = ends->b };
    asyncio_task *task;
    int last = 0;

    TRY(start(&task, receives_until_cancelled, &receive));
    int r = sends_burst(ends);
    if (r == 0)
        r = asyncio_sleep(0);
    asyncio_task_cancel(task);
    int result = finish(task);
    memcpy(&last, receive.data, sizeof last);
    if (!test_is_torture())
        CHECK(last > burst_size() / 2); /* it had its turns all along */
    return r < 0 ? r : result;
}
