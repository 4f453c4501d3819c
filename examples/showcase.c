/* showcase.c - a web server, its workers and a thousand clients: one program, one thread.
 *
 *     make run                        or, with other numbers, make run ARGS="2000 5"
 *
 * The clients talk HTTP/1.1 to the server over real sockets for some seconds, each as fast as it
 * gets answers.  Some questions need a worker: they go through a queue.  Some pages are slow on
 * purpose, and the clients give up; some requests are too long, and the server refuses them.  In
 * the end both sides compare what they counted, and the program succeeds only if all of it agrees.
 */
#include <asyncio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "showcase_report.h" /* the pages, struct counts, count_...() and report() */

enum { WORKERS = 8, HEAD_MAX = 2048, BODY_MAX = 128 };
static const double SLOW = 1, PATIENCE = 0.2, PATIENCE_OTHERWISE = 60, GRACE = 10, TICK = 0.5;

struct show {
    size_t clients;
    double seconds, start;
    unsigned port;
    asyncio_queue jobs;
    struct counts counts;
};

static double now(void)
{
    return asyncio_loop_time(asyncio_get_running_loop());
}

/* ---- workers: they take jobs out of the queue ----------------------------------------------- */

struct job {
    size_t n, steps;
    asyncio_future done;
};

/* How many steps it takes to 1, halving what is even and tripling, plus one, what is odd. */
static size_t collatz(size_t n)
{
    size_t steps = 0;

    for (; n > 1; steps++)
        n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return steps;
}

static int worker(void *arg)
{
    struct show *show = arg;
    struct job *job;
    int r;

    count_task(&show->counts);
    while ((r = asyncio_queue_get(&show->jobs, &job)) == 0) {
        job->steps = collatz(job->n);
        show->counts.jobs++;
        asyncio_future_set_result(&job->done, 0);
    }
    return r == ASYNCIO_ESHUTDOWN ? 0 : r;
}

/* The job is a local variable that a worker writes to.  Therefore join, which stays until it has,
 * even if this task is cancelled meanwhile. */
static int ask_worker(struct show *show, struct job *job)
{
    int r = asyncio_queue_put(&show->jobs, &job);

    return r < 0 ? r : asyncio_future_join(&job->done);
}

/* ---- the server ----------------------------------------------------------------------------- */

static int respond(asyncio_stream *stream, const char *status, const char *body)
{
    return asyncio_stream_printf(stream, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
                                 strlen(body), body);
}

static int respond_collatz(struct show *show, asyncio_stream *stream, size_t n)
{
    struct job job = { .n = n };
    char body[BODY_MAX];

    int r = ask_worker(show, &job);
    if (r < 0)
        return r;
    snprintf(body, sizeof body, "%zu\n", job.steps);
    return respond(stream, "200 OK", body);
}

static int respond_slowly(asyncio_stream *stream)
{
    int r = asyncio_sleep(SLOW);
    return r < 0 ? r : respond(stream, "200 OK", "At last.\n");
}

static enum page find_page(const char *name)
{
    enum page page = PAGE_HELLO;

    while (page < PAGES && strcmp(name, pages[page].name) != 0)
        page++;
    return page < PAGES ? page : PAGE_MISSING;
}

static int answer(struct show *show, asyncio_stream *stream, const char *head)
{
    char name[16];
    size_t n;

    if (sscanf(head, "GET /%15[a-z]/%zu HTTP/1.1", name, &n) != 2)
        return respond(stream, "400 Bad Request", "What?\n");
    enum page page = find_page(name);
    show->counts.server.requests[page]++;
    switch (page) {
    case PAGE_HELLO: return respond(stream, "200 OK", "Hello!\n");
    case PAGE_COLLATZ: return respond_collatz(show, stream, n);
    case PAGE_SLOW: return respond_slowly(stream);
    default: return respond(stream, "404 Not Found", "There is no such page.\n");
    }
}

/* What the server runs for each connection, in a task of its own. */
static int serve_client(asyncio_stream *stream, void *arg)
{
    struct show *show = arg;
    char head[HEAD_MAX];
    int r = 0;

    count_task(&show->counts);
    show->counts.server.connections++;
    while (r >= 0) {
        r = asyncio_stream_readuntil(stream, head, sizeof head, "\r\n\r\n");
        if (r >= 0)
            r = answer(show, stream, head);
    }
    count_error(&show->counts, r);
    if (r != ASYNCIO_ELIMIT)
        return r == ASYNCIO_EINCOMPLETE ? 0 : r; /* the client hung up: no failure of ours */
    show->counts.server.requests[PAGE_TOO_LONG]++;
    return respond(stream, "431 Request Header Fields Too Large", "Too long.\n");
}

/* ---- the clients ---------------------------------------------------------------------------- */

struct client {
    struct show *show;
    size_t number;
    asyncio_stream *stream; /* NULL: not connected */
    int status;
    char body[BODY_MAX];
};

static enum page choose_page(size_t turn)
{
    switch (turn % 100) {
    case 99: return PAGE_TOO_LONG;
    case 98: return PAGE_SLOW;
    case 97: return PAGE_MISSING;
    default: return turn % 3 == 0 ? PAGE_COLLATZ : PAGE_HELLO;
    }
}

static int send_request(asyncio_stream *stream, enum page page, size_t n)
{
    return asyncio_stream_printf(stream, "GET /%s/%zu HTTP/1.1\r\nHost: %*s\r\n\r\n",
                                 pages[page].name, n, page == PAGE_TOO_LONG ? HEAD_MAX : 0,
                                 "local");
}

static int read_response(struct client *client)
{
    char head[HEAD_MAX];
    size_t size;

    int r = asyncio_stream_readuntil(client->stream, head, sizeof head, "\r\n\r\n");
    if (r < 0)
        return r;
    if (sscanf(head, "HTTP/1.1 %d %*[^\r] Content-Length: %zu", &client->status, &size) != 2 ||
        size >= BODY_MAX)
        return -EPROTO;
    client->body[size] = '\0';
    return asyncio_stream_readexactly(client->stream, client->body, size);
}

/* One request and its answer, within some time. */
static int get_page(struct client *client, enum page page, size_t n)
{
    asyncio_timeout timeout;

    client->status = 0;
    asyncio_timeout_enter(&timeout, page == PAGE_SLOW ? PATIENCE : PATIENCE_OTHERWISE);
    int r = send_request(client->stream, page, n);
    if (r == 0)
        r = read_response(client);
    return asyncio_timeout_exit(&timeout, r);
}

static bool as_expected(const struct client *client, enum page page, size_t n)
{
    if (client->status != pages[page].status)
        return false;
    return page != PAGE_COLLATZ || strtoul(client->body, NULL, 10) == collatz(n);
}

static int dial(struct client *client)
{
    int r = asyncio_open_connection(&client->stream, "127.0.0.1", client->show->port, NULL);

    client->show->counts.client.connections += r == 0;
    return r;
}

static void hang_up(struct client *client)
{
    asyncio_stream_free(client->stream);
    client->stream = NULL;
}

/* Asks for a page, and looks at the answer. */
static int take_turn(struct client *client, enum page page, size_t n)
{
    struct show *show = client->show;
    double start = now();

    int r = get_page(client, page, n);
    double latency = now() - start;
    if (as_expected(client, page, n))
        show->counts.client.requests[page]++;
    else
        show->counts.wrong_answers++;
    if (r < 0)
        count_error(&show->counts, r);
    else
        count_answer(&show->counts, latency);
    if (r < 0 || page == PAGE_TOO_LONG)
        hang_up(client); /* after giving up, the next thing to come would be the old answer */
    return r == -ETIMEDOUT ? 0 : r;
}

static int be_client(void *arg)
{
    struct client *client = arg;
    struct show *show = client->show;
    int r = 0;

    count_task(&show->counts);
    for (size_t turn = client->number; r == 0 && now() < show->start + show->seconds; turn++) {
        if (client->stream == NULL)
            r = dial(client);
        if (r == 0)
            r = take_turn(client, choose_page(turn), turn);
    }
    hang_up(client);
    return r;
}

/* ---- all together --------------------------------------------------------------------------- */

static int tick(void *arg)
{
    struct show *show = arg;
    size_t before = 0;
    int r;

    count_task(&show->counts);
    while ((r = asyncio_sleep(TICK)) == 0) {
        size_t so_far = answers(&show->counts);
        printf("%5.1f s %9zu requests %9.0f a second %7zu tasks %5zu jobs queued\n",
               now() - show->start, so_far, (double)(so_far - before) / TICK,
               asyncio_all_tasks(NULL, 0, asyncio_get_running_loop()),
               asyncio_queue_qsize(&show->jobs));
        before = so_far;
    }
    return r;
}

static int run_clients(struct show *show)
{
    asyncio_task_group clients;

    asyncio_task_group_enter(&clients);
    for (size_t i = 0; i < show->clients; i++)
        asyncio_task_group_spawn_copy(&clients, be_client,
                                      &(struct client){ .show = show, .number = i });
    return asyncio_task_group_exit(&clients, 0); /* waits for all; one failure cancels the rest */
}

static int run_server(struct show *show)
{
    asyncio_server_options options = { .host = "127.0.0.1", .backlog = (int)show->clients };
    asyncio_server *server;

    int r = asyncio_start_server(&server, serve_client, show, &options);
    if (r < 0)
        return r;
    show->port = asyncio_server_port(server);
    r = run_clients(show);
    show->counts.seconds = now() - show->start;
    int ended = asyncio_server_shutdown(server, GRACE, &show->counts.shutdown);
    asyncio_server_free(server);
    return r < 0 ? r : ended;
}

static int run_show(void *arg)
{
    struct show *show = arg;
    struct job *room[64];
    asyncio_task_group staff;
    asyncio_task *ticker;

    show->jobs = (asyncio_queue)ASYNCIO_QUEUE_INIT(room);
    show->start = now();
    printf("on %s\n", asyncio_loop_backend_info(asyncio_get_running_loop()));
    asyncio_task_group_enter(&staff);
    for (int i = 0; i < WORKERS; i++)
        asyncio_task_group_spawn(&staff, worker, show);
    int r = asyncio_task_group_create_task(&staff, &ticker, tick, show, NULL);
    if (r == 0) {
        r = run_server(show);
        asyncio_task_cancel(ticker);
    }
    asyncio_queue_shutdown(&show->jobs, false); /* which sends the workers home */
    return asyncio_task_group_exit(&staff, r);
}

/* Two descriptors for each client, and more for the handlers of those that have given up. */
static void allow_files(struct show *show)
{
    struct rlimit files;
    rlim_t wanted = 2 * show->clients + 2000;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= wanted)
        return;
    rlim_t before = files.rlim_cur;
    files.rlim_cur = wanted < files.rlim_max ? wanted : files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) == 0)
        printf("(raised the limit of open files from %zu to %zu)\n", (size_t)before,
               (size_t)files.rlim_cur);
    if (files.rlim_cur < wanted)
        show->clients = files.rlim_cur / 4;
}

int main(int argc, char **argv)
{
    struct show show = { .clients = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000,
                         .seconds = argc > 2 ? strtod(argv[2], NULL) : 3,
                         .counts.memory_before_kb = memory_kb() };

    setvbuf(stdout, NULL, _IOLBF, 0); /* progress, line by line, also into a pipe */
    allow_files(&show);
    printf("libasyncio %s: %zu clients, their web server and %d workers, in one thread, ",
           asyncio_version(), show.clients, WORKERS);
    int r = asyncio_run(run_show, &show);
    report(&show.counts);
    asyncio_buffer_free(&show.counts.latencies);
    if (r < 0)
        printf("%s %s\n", r == -EINTR ? "Interrupted." : asyncio_strerror(r),
               asyncio_error_detail());
    else if (adds_up(&show.counts))
        puts("All numbers add up.");
    else
        r = -EPROTO;
    return r < 0;
}
