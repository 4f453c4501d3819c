/* test_hostile.c - servers and peers that mean no good, or are just slow. */
#include "core/transport.h"
#include "servers.h"

/* ---- bare sockets, as peers that keep no protocol ---- */

static int open_socket(int *socket, asyncio_server *server)
{
    asyncio_address address;
    int fd = small_socket();

    TRY(fd);
    int r = asyncio_address_init(&address, "127.0.0.1", asyncio_server_port(server));
    if (r == 0)
        r = asyncio_sock_connect(fd, &address);
    if (r < 0)
        sys_close(fd);
    else
        *socket = fd;
    return r;
}

static void reset(int socket)
{
    sys_reset_on_close(socket);
    sys_close(socket);
}

/* ---- slow ---- */

/* One byte every tenth of a second, both ways. */
ECHO_TEST(one_byte_at_a_time, .arg = NULL)
{
    static const char text[] = "a request that takes its time\n";
    int socket, r = 0;

    TRY(open_socket(&socket, server));
    for (size_t i = 0; r >= 0 && text[i] != '\0'; i++) {
        char byte = 0;

        r = asyncio_sock_sendall(socket, &text[i], 1);
        if (r >= 0)
            r = asyncio_sock_recv(socket, &byte, 1);
        CHECK(r < 0 || byte == text[i]);
        if (r >= 0)
            r = asyncio_sleep(0.1);
    }
    sys_close(socket);
    return r < 0 ? r : 0;
}

/* ---- never reads ---- */

/* Up to the mark at which it is told to pause, and then what one read has brought. */
enum { MUCH = 64 * 1024, MOST_UNSENT = MUCH + TRANSPORT_READ_SIZE };

/* Sends as much as the server takes, and reads nothing. */
static int sends_and_never_reads(void *arg)
{
    static char data[MUCH];
    int r;

    do
        r = asyncio_sock_sendall(*(int *)arg, data, test_is_torture() ? 500 : sizeof data);
    while (r >= 0 && !test_is_torture()); /* where each byte takes its time, some must do */
    return r < 0 ? r : asyncio_sleep(INFINITY);
}

static size_t largest; /* of what was unsent */

static int echo_and_look(asyncio_stream *stream, void *arg)
{
    char data[4096];
    int n;

    (void)arg;
    while ((n = asyncio_stream_read(stream, data, sizeof data)) > 0) {
        n = asyncio_stream_write(stream, data, (size_t)n);
        if (largest < asyncio_stream_get_write_buffer_size(stream))
            largest = asyncio_stream_get_write_buffer_size(stream);
        if (n < 0)
            return n;
    }
    return n;
}

static int look_at_data(asyncio_protocol *protocol, const void *data, size_t size)
{
    asyncio_transport *transport = ((struct echoing *)(void *)protocol)->transport;
    int r = echoing_data(protocol, data, size);

    if (largest < asyncio_transport_get_write_buffer_size(transport))
        largest = asyncio_transport_get_write_buffer_size(transport);
    return r;
}

static asyncio_protocol *new_looking(void *arg)
{
    static const asyncio_protocol_type type = {
        .connection_made = echoing_made,
        .data_received = look_at_data,
        .pause_writing = echoing_pause,
        .resume_writing = echoing_resume,
        .connection_lost = echoing_lost,
    };

    (void)arg;
    return protocol_of_type(&type);
}

/* One that never reads is not read from any more either: what it costs is bounded.  Others are
 * served meanwhile, and aborting ends it. */
SERVERS_TEST(never_reads, echo_and_look, new_looking, .arg = NULL)
{
    int socket;

    largest = 0;
    TRY(open_socket(&socket, server));
    int r = asyncio_wait_for(sends_and_never_reads, &socket, 5);
    CHECK_INT(r, -ETIMEDOUT); /* the server takes no more */
    CHECK(largest <= MOST_UNSENT);
    r = visit(server);
    asyncio_server_close(server);
    asyncio_server_abort_clients(server);
    int q = asyncio_server_wait_closed(server);
    sys_close(socket);
    return r < 0 ? r : q;
}

/* ---- resets, in each phase ---- */

static int reset_at_once(int socket, asyncio_server *server)
{
    (void)server;
    reset(socket); /* maybe before it was accepted */
    return 0;
}

static int reset_after_accept(int socket, asyncio_server *server)
{
    (void)server;
    int r = asyncio_sleep(0.1);
    reset(socket);
    return r;
}

static int reset_after_sending(int socket, asyncio_server *server)
{
    (void)server;
    int r = asyncio_sock_sendall(socket, "some", 4);
    reset(socket);
    return r;
}

static int reset_before_reading(int socket, asyncio_server *server)
{
    (void)server;
    int r = asyncio_sock_sendall(socket, "some", 4);
    if (r >= 0)
        r = asyncio_sleep(0.1);
    reset(socket);
    return r;
}

static int reset_while_sending(int socket, asyncio_server *server)
{
    (void)server;
    int r = asyncio_wait_for(sends_and_never_reads, &socket, 1);
    reset(socket);
    return r == -ETIMEDOUT ? 0 : r;
}

static int reset_half_closed(int socket, asyncio_server *server)
{
    (void)server;
    int r = asyncio_sock_sendall(socket, "some", 4);
    if (r >= 0)
        r = sys_shutdown_write(socket);
    reset(socket);
    return r;
}

static int reset_after_close_clients(int socket, asyncio_server *server)
{
    int r = asyncio_sleep(0.1);
    asyncio_server_close_clients(server);
    reset(socket);
    return r;
}

/* SRV-16: whenever the peer resets the connection the client leaves, once; nobody is told, since
 * that is everyday life. */
ECHO_TEST(resets_in_each_phase, .options = { .max_clients = 1 })
{
    int (*const phases[])(int socket, asyncio_server *server) = {
        reset_at_once,       reset_after_accept, reset_after_sending,       reset_before_reading,
        reset_while_sending, reset_half_closed,  reset_after_close_clients,
    };
    int socket;

    reported(asyncio_get_running_loop());
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        TRY(open_socket(&socket, server));
        TRY(phases[i](socket, server));
        TRY(visit(server)); /* who is served only when the other has left */
    }
    CHECK_INT(reported_count(""), 0);
    asyncio_server_close(server);
    return asyncio_server_wait_closed(server);
}

/* ---- connects and says nothing ---- */

static int gives_up_on_silence(asyncio_stream *stream, void *arg)
{
    asyncio_timeout limit;
    char line[64];

    (void)arg;
    asyncio_timeout_enter(&limit, 30);
    int r = asyncio_stream_readline(stream, line, sizeof line);
    r = asyncio_timeout_exit(&limit, r);
    if (r <= 0)
        return r == -ETIMEDOUT ? 0 : r;
    return asyncio_stream_write(stream, line, (size_t)r);
}

enum { SILENT = 5 };

/* Those who say nothing take all the places there are, and lose them in time. */
SERVER_TEST(silent_peers, gives_up_on_silence, .options = { .max_clients = SILENT })
{
    asyncio_loop *loop = asyncio_get_running_loop();
    double now = asyncio_loop_time(loop);
    int sockets[SILENT], count = 0, r = 0;
    asyncio_stream *stream;

    while (r == 0 && count < SILENT) {
        r = open_socket(&sockets[count], server);
        count += r == 0;
    }
    if (r == 0)
        r = open_client(&stream, server);
    if (r == 0) {
        r = talk(stream, "hello\n");
        CHECK(r < 0 || asyncio_loop_time(loop) >= now + 29);
        asyncio_stream_free(stream);
    }
    while (count > 0)
        sys_close(sockets[--count]);
    return r;
}

/* ---- many at once ---- */

enum { MANY = 1000 };

struct crowd {
    asyncio_server *server;
    asyncio_event all;
    int there;
};

/* Comes, waits until all are there, talks and goes. */
static int meets_and_talks(void *arg)
{
    struct crowd *crowd = arg;
    asyncio_stream *stream;

    TRY(open_client(&stream, crowd->server));
    if (++crowd->there == MANY)
        asyncio_event_set(&crowd->all);
    int r = asyncio_event_wait(&crowd->all);
    if (r == 0)
        r = talk(stream, "hello");
    asyncio_stream_free(stream);
    return r;
}

/* A thousand connections at once, all of which are there at the same time. */
ECHO_TEST(a_thousand_at_once, .options = { .stack_size = 32 * 1024, .backlog = MANY })
{
    struct crowd crowd = { .server = server };
    asyncio_task_group group;

    if (test_is_torture())
        return 0; /* a run for each of its calls would take for ever */
    asyncio_task_group_enter(&group);
    for (int i = 0; i < MANY; i++)
        asyncio_task_group_spawn(&group, meets_and_talks, &crowd);
    TRY(asyncio_task_group_exit(&group, 0));
    CHECK_INT(crowd.there, MANY);
    asyncio_server_close(server);
    return asyncio_server_wait_closed(server);
}
