/* curl.c - libcurl's multi interface on an asyncio loop.
 *
 * Curl says what it waits for, by two callbacks: sockets, which the loop then watches, and one
 * timeout, which is a timer.  The loop tells curl when either has come about, and afterwards asks
 * it which transfers have ended.  A transfer is a future that its task awaits; the task alone adds
 * and removes its handle, never inside one of curl's callbacks, where curl forbids it.
 *
 * If the loop has no memory for a watch, every transfer that is under way fails, for any of them
 * might wait for ever now; the bridge stays good.
 */
#include "curl.h"

#include <stdlib.h>

struct transfer {
    asyncio_future done;
    CURLcode code;
    struct transfer *next, **link;
};

struct curl_bridge {
    CURLM *multi;
    asyncio_loop *loop;
    asyncio_timer timer;
    struct transfer *transfers; /* under way */
};

/* A socket that curl waits for. */
struct watch {
    struct curl_bridge *bridge;
    curl_socket_t fd;
    int events; /* CURL_POLL_IN and CURL_POLL_OUT, as the loop was told */
};

static void finish(struct transfer *transfer, int result)
{
    if (!asyncio_future_done(&transfer->done)) /* a cancellation may have come first */
        asyncio_ignore(asyncio_future_set_result(&transfer->done, result));
}

static void fail_all(struct curl_bridge *bridge, int error)
{
    for (struct transfer *transfer = bridge->transfers; transfer; transfer = transfer->next)
        finish(transfer, error);
}

/* ---- from the loop to curl ---- */

static void finish_ended(struct curl_bridge *bridge)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(bridge->multi, &left)) != NULL) {
        struct transfer *transfer;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        transfer->code = message->data.result;
        finish(transfer, 0);
    }
}

static int tell(struct curl_bridge *bridge, curl_socket_t fd, int events)
{
    int running;

    curl_multi_socket_action(bridge->multi, fd, events, &running);
    finish_ended(bridge);
    return 0;
}

static int is_readable(void *arg)
{
    struct watch *watch = arg; /* may be gone when curl returns */

    return tell(watch->bridge, watch->fd, CURL_CSELECT_IN);
}

static int is_writable(void *arg)
{
    struct watch *watch = arg;

    return tell(watch->bridge, watch->fd, CURL_CSELECT_OUT);
}

static int is_time(void *arg)
{
    return tell(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* ---- from curl to the loop ---- */

static int set_events(struct watch *watch, int events)
{
    asyncio_loop *loop = watch->bridge->loop;
    int added = events & ~watch->events, removed = watch->events & ~events, r = 0;

    watch->events = events;
    if (removed & CURL_POLL_IN)
        asyncio_loop_remove_reader(loop, watch->fd);
    if (removed & CURL_POLL_OUT)
        asyncio_loop_remove_writer(loop, watch->fd);
    if (added & CURL_POLL_IN)
        r = asyncio_loop_add_reader(loop, watch->fd, is_readable, watch);
    if (r == 0 && added & CURL_POLL_OUT)
        r = asyncio_loop_add_writer(loop, watch->fd, is_writable, watch);
    return r;
}

static struct watch *watch_new(struct curl_bridge *bridge, curl_socket_t fd)
{
    struct watch *watch = calloc(1, sizeof *watch);

    if (watch == NULL)
        return NULL;
    watch->bridge = bridge;
    watch->fd = fd;
    curl_multi_assign(bridge->multi, fd, watch);
    return watch;
}

static void watch_end(struct watch *watch)
{
    curl_multi_assign(watch->bridge->multi, watch->fd, NULL);
    set_events(watch, 0);
    free(watch);
}

static int socket_changes(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct curl_bridge *bridge = arg;
    struct watch *watch = socket_arg;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL)
            watch_end(watch);
        return 0;
    }
    if (watch == NULL)
        watch = watch_new(bridge, fd);
    int r = watch != NULL ? set_events(watch, what & CURL_POLL_INOUT) : -ENOMEM;
    if (r < 0)
        fail_all(bridge, r);
    return 0;
}

static int timeout_changes(CURLM *multi, long milliseconds, void *arg)
{
    struct curl_bridge *bridge = arg;

    (void)multi;
    asyncio_timer_cancel(&bridge->timer);
    if (milliseconds < 0)
        return 0;
    int r = asyncio_loop_call_later(bridge->loop, &bridge->timer, (double)milliseconds / 1000,
                                    is_time, bridge);
    if (r < 0)
        fail_all(bridge, r);
    return 0;
}

/* ---- for tasks ---- */

int curl_bridge_new(struct curl_bridge **bridge)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    struct curl_bridge *made = loop != NULL ? calloc(1, sizeof *made) : NULL;

    if (made == NULL)
        return loop != NULL ? -ENOMEM : ASYNCIO_ENOLOOP;
    made->loop = loop;
    made->multi = curl_multi_init();
    if (made->multi == NULL) {
        free(made);
        return -ENOMEM;
    }
    curl_multi_setopt(made->multi, CURLMOPT_SOCKETFUNCTION, socket_changes);
    curl_multi_setopt(made->multi, CURLMOPT_SOCKETDATA, made);
    curl_multi_setopt(made->multi, CURLMOPT_TIMERFUNCTION, timeout_changes);
    curl_multi_setopt(made->multi, CURLMOPT_TIMERDATA, made);
    *bridge = made;
    return 0;
}

void curl_bridge_free(struct curl_bridge *bridge)
{
    if (bridge == NULL)
        return;
    curl_multi_cleanup(bridge->multi); /* closes the connections, and says so */
    asyncio_timer_cancel(&bridge->timer);
    free(bridge);
}

static void enlist(struct curl_bridge *bridge, struct transfer *transfer)
{
    transfer->next = bridge->transfers;
    transfer->link = &bridge->transfers;
    if (transfer->next != NULL)
        transfer->next->link = &transfer->next;
    bridge->transfers = transfer;
}

static void delist(struct transfer *transfer)
{
    *transfer->link = transfer->next;
    if (transfer->next != NULL)
        transfer->next->link = transfer->link;
}

int curl_bridge_perform(struct curl_bridge *bridge, CURL *easy, CURLcode *code)
{
    struct transfer transfer = { .code = CURLE_OK };
    int r = -EINVAL;

    enlist(bridge, &transfer); /* before curl may want to fail it */
    curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
    if (curl_multi_add_handle(bridge->multi, easy) == CURLM_OK) {
        r = asyncio_await(&transfer.done);
        curl_multi_remove_handle(bridge->multi, easy);
    }
    delist(&transfer);
    if (r < 0)
        return r;
    if (code != NULL)
        *code = transfer.code;
    return transfer.code == CURLE_OK ? 0 : -EIO;
}
