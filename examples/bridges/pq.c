/* pq.c - libpq's asynchronous functions on an asyncio loop.
 *
 * Libpq never calls anybody: it says what it wants its socket to be ready for, and wants to be
 * called when it is.  So there is one thing to wait for, and one way to wait: watch the socket
 * until it is ready, by a future that the watcher completes.
 *
 * A command that is cancelled is still the server's.  The server is asked to stop, over a
 * connection of its own, which libpq makes with blocking calls, hence in a thread.  What the server
 * has to say about the command is waited away by the next one.
 */
#include "pq.h"

enum { READABLE = 1, WRITABLE = 2 };

static int is_ready(void *arg)
{
    asyncio_future *ready = arg;

    if (!asyncio_future_done(ready)) /* readable and writable at once, or cancelled */
        return asyncio_future_set_result(ready, 0);
    return 0;
}

/* Until the socket is ready for one of them.  The descriptor may be another each time. */
static int wait_socket(PGconn *conn, int events)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_future ready = { 0 };
    int fd = PQsocket(conn), r = 0;

    if (fd < 0)
        return -ECONNRESET;
    if (events & READABLE)
        r = asyncio_loop_add_reader(loop, fd, is_ready, &ready);
    if (r == 0 && events & WRITABLE)
        r = asyncio_loop_add_writer(loop, fd, is_ready, &ready);
    if (r == 0)
        r = asyncio_await(&ready);
    asyncio_loop_remove_reader(loop, fd);
    asyncio_loop_remove_writer(loop, fd);
    return r;
}

/* ---- connecting ---- */

static int poll_connection(PGconn *conn)
{
    int events = WRITABLE; /* as libpq's manual says, before the first poll */

    for (;;) {
        int r = wait_socket(conn, events);

        if (r < 0)
            return r;
        switch (PQconnectPoll(conn)) {
        case PGRES_POLLING_OK: return 0;
        case PGRES_POLLING_READING: events = READABLE; break;
        case PGRES_POLLING_WRITING: events = WRITABLE; break;
        default: return -ECONNREFUSED;
        }
    }
}

int pq_connect(PGconn **conn, const char *conninfo)
{
    PGconn *made;

    if (asyncio_current_task() == NULL)
        return ASYNCIO_ENOTASK;
    made = PQconnectStart(conninfo);
    if (made == NULL)
        return -ENOMEM;
    int r = PQstatus(made) != CONNECTION_BAD ? poll_connection(made) : -ECONNREFUSED;
    if (r == 0 && PQsetnonblocking(made, 1) != 0)
        r = -ECONNREFUSED;
    if (r == 0 || r == -ECONNREFUSED)
        *conn = made;
    else
        PQfinish(made);
    return r;
}

/* ---- commands ---- */

/* While sending, the server may want to be read from first. */
static int flush(PGconn *conn)
{
    int left;

    while ((left = PQflush(conn)) > 0) {
        int r = wait_socket(conn, READABLE | WRITABLE);

        if (r < 0)
            return r;
        if (PQconsumeInput(conn) == 0)
            return -ECONNRESET;
    }
    return left == 0 ? 0 : -ECONNRESET;
}

/* The next result, NULL after the last. */
static int next_result(PGconn *conn, PGresult **result)
{
    while (PQisBusy(conn)) {
        int r = wait_socket(conn, READABLE);

        if (r < 0)
            return r;
        if (PQconsumeInput(conn) == 0)
            return -ECONNRESET;
    }
    *result = PQgetResult(conn);
    return 0;
}

/* All results of the command; the last one is the caller's. */
static int last_result(PGconn *conn, PGresult **result)
{
    PGresult *last = NULL, *next = NULL;
    int r;

    while ((r = next_result(conn, &next)) == 0 && next != NULL) {
        PQclear(last);
        last = next;
    }
    if (r < 0) {
        PQclear(last);
        return r;
    }
    *result = last;
    return 0;
}

static int in_thread(void *arg)
{
    char text[256];

    return PQcancel(arg, text, sizeof text) ? 0 : -EIO;
}

/* Whatever comes of it: if it does not reach the server, the command runs to its end. */
static void ask_to_stop(PGconn *conn)
{
    PGcancel *cancel = PQgetCancel(conn);

    if (cancel != NULL)
        asyncio_ignore(asyncio_to_thread(in_thread, cancel));
    PQfreeCancel(cancel);
}

static int send_and_wait(PGconn *conn, PGresult **result, const char *command,
                         const char *const *params, int count)
{
    int sent = count > 0 ? PQsendQueryParams(conn, command, count, NULL, params, NULL, NULL, 0)
                         : PQsendQuery(conn, command);

    if (!sent)
        return -ECONNRESET;
    int r = flush(conn);
    if (r == 0)
        r = last_result(conn, result);
    if (r == -ECANCELED)
        ask_to_stop(conn);
    return r;
}

int pq_exec(PGconn *conn, PGresult **result, const char *command, const char *const *params,
            int count)
{
    PGresult *answer = NULL;

    if (asyncio_current_task() == NULL)
        return ASYNCIO_ENOTASK;
    int r = flush(conn); /* of a command that was cancelled, as is the next */
    if (r == 0)
        r = last_result(conn, &answer);
    PQclear(answer);
    if (r == 0)
        r = send_and_wait(conn, &answer, command, params, count);
    if (r == 0 && PQstatus(conn) == CONNECTION_BAD) {
        PQclear(answer);
        r = -ECONNRESET;
    }
    if (r == 0)
        *result = answer;
    return r;
}

int pq_notification(PGconn *conn, PGnotify **notification)
{
    PGnotify *next;

    while ((next = PQnotifies(conn)) == NULL) {
        int r = wait_socket(conn, READABLE);

        if (r < 0)
            return r;
        if (PQconsumeInput(conn) == 0)
            return -ECONNRESET;
    }
    *notification = next;
    return 0;
}
