/* test_connection.c - the rules of connecting a protocol, without tasks. */
#include <stdio.h>

#include "names.h"
#include "transports.h"

static const struct fake_name fakes[] = {
    { "second.test", "127.0.0.5 127.0.0.1", 0, 0 },
    { "none.test", NULL, ASYNCIO_EAI_NONAME, 0 },
    { NULL, NULL, 0, 0 },
};

struct scene {
    asyncio_loop *loop;
    struct recorder recorder;
    int listener;
    unsigned port;
};

static int listen_for(struct scene *scene)
{
    asyncio_address address;
    int r = scene->listener = sys_socket(AF_INET, SOCK_STREAM, 0);

    if (r >= 0)
        r = asyncio_address_init(&address, "127.0.0.1", 0);
    if (r >= 0)
        r = sys_bind(scene->listener, &address);
    if (r >= 0)
        r = sys_listen(scene->listener, 10);
    if (r >= 0)
        r = sys_getsockname(scene->listener, &address);
    scene->port = r >= 0 ? asyncio_address_port(&address) : 0;
    return r;
}

static void run_scene(void (*body)(struct scene *scene))
{
    struct scene scene = { .loop = loop_for_test(),
                           .recorder = { .protocol = { &recorder_type }, .name = "" } };

    names_set(fakes);
    if (scene.loop == NULL)
        return;
    if (listen_for(&scene) >= 0)
        body(&scene);
    sys_close(scene.listener);
    asyncio_loop_close(scene.loop);
    asyncio_loop_unref(scene.loop);
    asyncio_transport_unref(scene.recorder.transport);
    CHECK_INT(scene.recorder.lost, scene.recorder.made);
}

#define CONNECTION_TEST(name)                                                                      \
    static void name(struct scene *scene);                                                         \
    TEST(connection_##name)                                                                        \
    {                                                                                              \
        run_scene(name);                                                                           \
    }                                                                                              \
    static void name(struct scene *scene)

static int connect_recorder(struct scene *scene, const char *host, unsigned port,
                            const asyncio_connection_options *options)
{
    asyncio_future done = { 0 };

    asyncio_loop_create_connection(scene->loop, &done, &scene->recorder.protocol, host, port,
                                   options);
    CHECK_INT(scene->recorder.made, 0);
    return asyncio_loop_run_until_complete(scene->loop, &done);
}

/* ---- it works ---- */

static void exchange(struct scene *scene)
{
    int fd = sys_accept(scene->listener, NULL);

    if (fd < 0)
        return;
    CHECK_INT(sys_send(fd, "hello", 5), 5);
    sys_close(fd);
    WAIT_FOR(scene->loop, scene->recorder.lost > 0);
    CHECK_TRACE("made data:5 eof lost");
}

/* CON-01: the first address that answers, to which the transport then is connected. */
CONNECTION_TEST(by_name)
{
    asyncio_address peer;
    char text[64] = "", wanted[64];

    if (connect_recorder(scene, "second.test", scene->port, NULL) < 0)
        return;
    CHECK_INT(asyncio_transport_get_peername(scene->recorder.transport, &peer), 0);
    asyncio_address_format(&peer, text, sizeof text);
    snprintf(wanted, sizeof wanted, "127.0.0.1:%u", scene->port);
    CHECK_STR(text, wanted);
    exchange(scene);
}

/* CON-03: nobody is asked; and small writes go out at once. */
CONNECTION_TEST(by_number)
{
    int fd = -1;

    if (connect_recorder(scene, "127.0.0.1", scene->port, NULL) < 0)
        return;
    CHECK_INT(asyncio_transport_get_socket(scene->recorder.transport, &fd), 0);
    CHECK_INT(sys_get_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    exchange(scene);
    CHECK_INT(names_asked(), 0);
}

CONNECTION_TEST(over_a_socket)
{
    int a = -1, b = -1;
    asyncio_connection_options options = { .socket = &a };

    if (connect_sockets(&a, &b, scene->listener) < 0)
        return;
    if (connect_recorder(scene, NULL, 0, &options) == 0) {
        CHECK_INT(sys_send(b, "hello", 5), 5);
        WAIT_FOR(scene->loop, scene->recorder.size > 0);
        CHECK_TRACE("made data:5");
    }
    sys_close(b);
}

CONNECTION_TEST(to_a_path)
{
    asyncio_future done = { 0 };
    asyncio_address address;
    char path[64];
    int fd = sys_socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(path, sizeof path, "@asyncio-connection-%d", (int)getpid());
    int r = fd < 0 ? fd : asyncio_address_init_unix(&address, path);
    if (r == 0)
        r = sys_bind(fd, &address);
    if (r == 0)
        r = sys_listen(fd, 1);
    if (r == 0) {
        asyncio_loop_create_unix_connection(scene->loop, &done, &scene->recorder.protocol, path,
                                            NULL);
        CHECK_INT(asyncio_loop_run_until_complete(scene->loop, &done), 0);
        CHECK_TRACE("made");
    }
    sys_close(fd);
}

/* ---- it does not ---- */

/* CON-04, and what fails: the protocol hears nothing, and stays its owner's. */
CONNECTION_TEST(fails)
{
    asyncio_future done = { 0 };
    int fd = sys_socket(AF_INET, SOCK_DGRAM, 0);
    asyncio_connection_options options = { .socket = &fd };

    CHECK_INT(connect_recorder(scene, "127.0.0.5", scene->port, NULL), -ECONNREFUSED);
    CHECK_INT(connect_recorder(scene, "none.test", scene->port, NULL), ASYNCIO_EAI_NONAME);
    CHECK_INT(connect_recorder(scene, NULL, 0, NULL), -EINVAL);
    CHECK_INT(connect_recorder(scene, "127.0.0.1", scene->port, &options), -EINVAL);
    if (fd >= 0)
        CHECK_INT(connect_recorder(scene, NULL, 0, &options), -EINVAL);
    asyncio_loop_create_unix_connection(scene->loop, &done, &scene->recorder.protocol, "", NULL);
    CHECK_INT(asyncio_loop_run_until_complete(scene->loop, &done), -EINVAL);
    sys_close(fd); /* it was not taken over */
    CHECK_TRACE("");
}

/* A socket that is not connected is taken over all the same, and closed. */
CONNECTION_TEST(over_no_connection)
{
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);
    asyncio_connection_options options = { .socket = &fd };

    if (fd >= 0)
        CHECK_INT(connect_recorder(scene, NULL, 0, &options), -ENOTCONN);
    CHECK_TRACE("");
}

/* One that is another transport's is left alone. */
CONNECTION_TEST(over_a_socket_in_use)
{
    int a = -1, b = -1;
    asyncio_connection_options options = { .socket = &a };
    struct recorder second = { .protocol = { &recorder_type }, .name = "second " };
    asyncio_future done = { 0 };

    if (connect_sockets(&a, &b, scene->listener) < 0)
        return;
    if (connect_recorder(scene, NULL, 0, &options) == 0) {
        asyncio_loop_create_connection(scene->loop, &done, &second.protocol, NULL, 0, &options);
        CHECK_INT(asyncio_loop_run_until_complete(scene->loop, &done), -EBUSY);
        CHECK_INT(sys_send(b, "hello", 5), 5);
        WAIT_FOR(scene->loop, scene->recorder.size > 0);
        CHECK_TRACE("made data:5");
    }
    sys_close(b);
}

/* ---- cancelled ---- */

/* Cancels after so many iterations; whatever it was doing then, nothing is left. */
static void cancel_after(struct scene *scene, const char *host, int iterations)
{
    asyncio_future done = { 0 };

    asyncio_loop_create_connection(scene->loop, &done, &scene->recorder.protocol, host, scene->port,
                                   NULL);
    for (int i = 0; i < iterations; i++)
        asyncio_ignore(asyncio_loop_run_once(scene->loop, 0));
    if (asyncio_future_cancel_with(&done, "enough")) {
        CHECK_INT(asyncio_future_result(&done), -ECANCELED);
        CHECK_STR(asyncio_future_cancel_reason(&done), "enough");
    } else {
        asyncio_ignore(asyncio_future_result(&done));
    }
    if (scene->recorder.transport != NULL) /* it was too late */
        asyncio_transport_abort(scene->recorder.transport);
    settle(scene->loop);
    asyncio_transport_unref(scene->recorder.transport);
    scene->recorder.transport = NULL;
}

/* CON-06: at every stage: names, connecting, connected and not told yet. */
CONNECTION_TEST(cancelled)
{
    int before = descriptors_open();

    for (int i = 0; i < 4; i++) {
        cancel_after(scene, "127.0.0.1", i);
        cancel_after(scene, "second.test", i);
        CHECK_INT(descriptors_open(), before);
    }
}

static void close_after(struct scene *scene, int iterations)
{
    asyncio_future done = { 0 };

    asyncio_loop_create_connection(scene->loop, &done, &scene->recorder.protocol, "second.test",
                                   scene->port, NULL);
    for (int i = 0; i < iterations; i++)
        asyncio_ignore(asyncio_loop_run_once(scene->loop, 0.01));
    asyncio_loop_close(scene->loop);
    CHECK(asyncio_future_done(&done));
    asyncio_ignore(asyncio_future_result(&done));
}

/* A loop that is closed meanwhile ends it, too. */
CONNECTION_TEST(of_a_closed_loop)
{
    close_after(scene, 0);
    CHECK_TRACE("");
    CHECK_INT(connect_recorder(scene, "127.0.0.1", scene->port, NULL), ASYNCIO_ECLOSED);
}

CONNECTION_TEST(of_a_loop_closed_later)
{
    close_after(scene, 1);
}

CONNECTION_TEST(of_a_loop_closed_late)
{
    close_after(scene, 2);
}

/* ---- the context ---- */

static const asyncio_contextvar variable = { .name = "variable" };

static void tell_variable(struct recorder *recorder)
{
    const char *value = asyncio_contextvar_get(&variable);

    (void)recorder;
    trace("%s", value != NULL ? value : "none");
}

struct asked {
    asyncio_future done;
    struct scene *scene;
};

static int ask(void *arg)
{
    struct asked *asked = arg;

    if (asyncio_contextvar_set(&variable, (void *)(uintptr_t) "mine", NULL) < 0)
        trace("none");
    asyncio_loop_create_connection(asked->scene->loop, &asked->done,
                                   &asked->scene->recorder.protocol, "second.test",
                                   asked->scene->port, NULL);
    return 0;
}

/* The protocol has the context of who asked for the connection. */
CONNECTION_TEST(context)
{
    struct asked asked = { .scene = scene };
    asyncio_context *context;

    scene->recorder.on_made = tell_variable;
    if (asyncio_context_new(&context) < 0)
        return;
    if (asyncio_context_run(context, ask, &asked) == 0 &&
        asyncio_loop_run_until_complete(scene->loop, &asked.done) == 0)
        CHECK_TRACE("made mine");
    asyncio_context_unref(context);
}
