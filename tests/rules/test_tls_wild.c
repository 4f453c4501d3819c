/* test_tls_wild.c - two TLS transports that talk to each other, whose protocols do anything at any
 * moment: close, abort, pause, cancel, start TLS inside TLS, inside whatever they are called for.
 *
 * Nothing is wanted of the talk but that each protocol hears of one beginning and of one end, each
 * future of one result, and that nothing is used that is gone: the protocols free themselves.  The
 * seed of a run that fails is in its message.
 */
#include <stdlib.h>

#include "core/transport_tls.h"
#include "tls/certificates.h"
#include "transports.h"

enum { SEEDS = 200, STEPS = 60, UPGRADES = 3 };

struct one {
    asyncio_future done, upgraded[UPGRADES], file_sent;
    asyncio_transport *inner[UPGRADES];
    int64_t sent;
    struct wild *wild; /* NULL: freed */
    asyncio_transport *below;
    int made, lost, upgrades;
    bool server, wrong, sending;
};

struct wild {
    asyncio_protocol protocol;
    struct one *one;
    asyncio_transport *transport; /* a reference */
    bool paused;
    char buffer[700];
};

static uint32_t state;
static int file;
static asyncio_loop *the_loop;
static unsigned calm;      /* the higher, the less often it ends */
static bool upgrade_first; /* both, before they say anything */

static uint32_t next_random(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % limit;
}

static struct wild *wild_of(asyncio_protocol *protocol)
{
    return (struct wild *)(void *)protocol; /* its first member */
}

static void write_some(struct wild *wild)
{
    static char data[100 * 1000];
    size_t size = next_random(4) == 0 ? next_random(sizeof data) : next_random(100);

    asyncio_ignore(asyncio_transport_write(wild->transport, data, size));
}

static void start_inner(struct wild *wild)
{
    struct one *one = wild->one;
    bool server = one->upgrades == 0 ? one->server : next_random(2) == 0;

    if (one->upgrades == UPGRADES)
        return;
    int i = one->upgrades++;
    asyncio_loop_start_tls(the_loop, &one->upgraded[i], &one->inner[i], wild->transport,
                           server ? tls_contexts.server : tls_contexts.client,
                           &(asyncio_start_tls_options){ .server_side = server,
                                                         .server_hostname = server ? NULL : "" });
}

static void send_file(struct wild *wild)
{
    struct one *one = wild->one;

    if (one->sending)
        return;
    one->sending = true;
    asyncio_loop_sendfile(the_loop, &one->file_sent, &one->sent, wild->transport, file, NULL);
}

static void end_somehow(struct wild *wild)
{
    struct one *one = wild->one;

    switch (next_random(5)) {
    case 0: asyncio_transport_abort(wild->transport); break;
    case 1: asyncio_transport_close(wild->transport); break;
    case 2: asyncio_future_cancel(&one->done); break;
    case 3: asyncio_transport_abort(one->below); break;
    default:
        if (one->upgrades > 0)
            asyncio_future_cancel(&one->upgraded[next_random((uint32_t)one->upgrades)]);
    }
}

/* The one that is there now. */
static void find_transport(struct wild *wild)
{
    const struct one *one = wild->one;
    asyncio_transport *inner = one->upgrades > 0 ? one->inner[one->upgrades - 1] : NULL;

    if (inner == NULL || inner == wild->transport || next_random(4) == 0)
        return;
    asyncio_transport_unref(wild->transport);
    wild->transport = asyncio_transport_ref(inner);
}

static void act(struct wild *wild)
{
    struct one *one = wild->one;

    find_transport(wild);
    switch (next_random(14)) {
    case 0:
    case 1: asyncio_transport_pause_reading(wild->transport); break;
    case 2:
    case 3:
    case 4: asyncio_transport_resume_reading(wild->transport); break;
    case 5:
        asyncio_ignore(asyncio_transport_set_write_buffer_limits(
            wild->transport, next_random(2) * next_random(90000), SIZE_MAX));
        break;
    case 6:
        asyncio_ignore(asyncio_transport_set_read_buffer_limits(wild->transport, next_random(90000),
                                                                SIZE_MAX));
        break;
    case 7:
        if (next_random(calm) == 0)
            end_somehow(wild);
        break;
    case 8:
        if (next_random(calm) == 0)
            start_inner(wild);
        break;
    case 9: send_file(wild); break;
    case 10:
        if (one->sending)
            asyncio_future_cancel(&one->file_sent);
        break;
    default: write_some(wild);
    }
}

/* ---- the protocol ---- */

static void made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    struct wild *wild = wild_of(protocol);

    wild->one->made++;
    wild->transport = asyncio_transport_ref(transport);
    if (upgrade_first)
        start_inner(wild);
    else
        act(wild);
}

static void lost(asyncio_protocol *protocol, int error)
{
    struct wild *wild = wild_of(protocol);

    (void)error;
    act(wild);
    wild->one->lost++;
    wild->one->wild = NULL;
    asyncio_transport_unref(wild->transport);
    free(wild);
}

static void pause_writing(asyncio_protocol *protocol)
{
    struct wild *wild = wild_of(protocol);

    wild->one->wrong = wild->one->wrong || wild->paused;
    wild->paused = true;
    act(wild);
}

static void resume_writing(asyncio_protocol *protocol)
{
    struct wild *wild = wild_of(protocol);

    wild->one->wrong = wild->one->wrong || !wild->paused;
    wild->paused = false;
    act(wild);
}

static int data_received(asyncio_protocol *protocol, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        state += ((const unsigned char *)data)[i]; /* all of it is there to be read */
    act(wild_of(protocol));
    return next_random(40 * calm) == 0 ? -EIO : 0;
}

static int get_buffer(asyncio_protocol *protocol, size_t hint, void **data, size_t *size)
{
    (void)hint;
    act(wild_of(protocol));
    *data = wild_of(protocol)->buffer;
    *size = 1 + next_random(sizeof wild_of(protocol)->buffer);
    return 0;
}

static int buffer_updated(asyncio_protocol *protocol, size_t size)
{
    (void)size;
    act(wild_of(protocol));
    return 0;
}

static int eof_received(asyncio_protocol *protocol)
{
    act(wild_of(protocol));
    return (int)next_random(2);
}

#define WILD                                                                                       \
    .connection_made = made, .connection_lost = lost, .pause_writing = pause_writing,              \
    .resume_writing = resume_writing, .eof_received = eof_received

static const asyncio_protocol_type plain = { WILD, .data_received = data_received };
static const asyncio_protocol_type buffered = { WILD, .get_buffer = get_buffer,
                                                .buffer_updated = buffer_updated };

/* ---- a run ---- */

static int open_one(struct one *one, int fd, bool server)
{
    const struct tls_settings settings = { .context =
                                               server ? tls_contexts.server : tls_contexts.client,
                                           .name = server ? NULL : "localhost",
                                           .server_side = server };
    struct tls_socket both;
    int r = -ENOMEM;

    *one = (struct one){ .wild = calloc(1, sizeof *one->wild), .server = server };
    if (one->wild != NULL) {
        one->wild->protocol.type = next_random(2) == 0 ? &plain : &buffered;
        one->wild->one = one;
        r = tls_socket_new(&both, the_loop, &one->wild->protocol, &settings, fd, NULL);
    }
    if (r < 0) {
        sys_close(fd);
        return r;
    }
    one->below = asyncio_transport_ref(both.below);
    tls_transport_open(both.transport, &one->done, both.below);
    return 0;
}

static void check_one(struct one *one, unsigned seed)
{
    bool opened = one->below != NULL, fine = one->made == one->lost && one->made <= 1;

    if (opened)
        fine = fine && asyncio_future_done(&one->done) &&
               (asyncio_future_result(&one->done) == 0) == (one->made == 1);
    for (int i = 0; i < one->upgrades; i++) {
        fine = fine && asyncio_future_done(&one->upgraded[i]);
        asyncio_ignore(asyncio_future_result(&one->upgraded[i]));
    }
    if (one->sending)
        fine = fine && asyncio_future_done(&one->file_sent) &&
               asyncio_future_result(&one->file_sent) != 1;
    if (!fine || one->wrong)
        FAIL("seed %u: %d made, %d lost, %d upgrades%s%s", seed, one->made, one->lost,
             one->upgrades, one->sending ? ", a file" : "", one->wrong ? ", wrong" : "");
    free(one->wild);
    asyncio_transport_unref(one->below);
}

static void run(unsigned seed)
{
    struct one a = { .made = 0 }, b = { .made = 0 };
    int fds[2] = { -1, -1 };

    state = seed * 7919 + 1;
    calm = 1 + next_random(30);
    upgrade_first = next_random(3) == 0;
    the_loop = loop_for_test();
    if (the_loop == NULL)
        return;
    reported(the_loop);
    if (unix_sockets(&fds[0], &fds[1]) == 0) {
        if (open_one(&a, fds[0], false) < 0)
            sys_close(fds[1]);
        else
            asyncio_ignore(open_one(&b, fds[1], true));
    }
    for (uint32_t i = next_random(STEPS); i > 0; i--) {
        struct wild *wild = next_random(2) == 0 ? a.wild : b.wild;

        if (wild != NULL && wild->transport != NULL)
            act(wild);
        asyncio_ignore(asyncio_loop_run_once(the_loop, next_random(30) == 0 ? 0.001 : 0));
    }
    asyncio_loop_close(the_loop);
    check_one(&a, seed);
    check_one(&b, seed);
    asyncio_loop_unref(the_loop);
}

TEST(wild_talk)
{
    unsigned seeds = test_is_torture() ? 1 : SEEDS;

    file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    for (unsigned seed = 1; seed <= seeds; seed++)
        run(seed);
    close(file);
    asyncio_ignore(log_count("after it was closed or lost"));
    asyncio_ignore(log_count("wants a TLS transport to stay half open"));
}
