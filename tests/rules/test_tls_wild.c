/* test_tls_wild.c - two TLS transports that talk to each other, whose protocols do anything at any
 * moment: close, abort, pause, cancel, start TLS inside TLS, inside whatever they are called for.
 *
 * Nothing is wanted of the talk but that each protocol hears of one beginning and of one end, each
 * future of one result, and that nothing is used that is gone: the protocols free themselves.  The
 * seed of a run that fails is in its message.
 */
#include "core/transport_tls.h"
#include "tls/certificates.h"
#include "wild.h"

enum { SEEDS = 200, STEPS = 60, UPGRADES = 3 };

struct one {
    struct heard heard;
    asyncio_future done, upgraded[UPGRADES], file_sent;
    asyncio_transport *inner[UPGRADES];
    int64_t sent;
    asyncio_transport *below;
    int upgrades;
    bool server, sending;
};

struct party {
    struct wild wild;
    char buffer[700];
};

static int file;
static asyncio_loop *the_loop;
static bool upgrade_first; /* both, before they say anything */

static struct one *one_of(const struct wild *wild)
{
    return CONTAINER_OF(wild->heard, struct one, heard);
}

static void write_some(struct wild *wild)
{
    static char data[100 * 1000];
    size_t size = next_random(4) == 0 ? next_random(sizeof data) : next_random(100);

    asyncio_ignore(asyncio_transport_write(wild->transport, data, size));
}

static void start_inner(struct wild *wild)
{
    struct one *one = one_of(wild);
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
    struct one *one = one_of(wild);

    if (one->sending)
        return;
    one->sending = true;
    asyncio_loop_sendfile(the_loop, &one->file_sent, &one->sent, wild->transport, file, NULL);
}

static void end_somehow(struct wild *wild)
{
    struct one *one = one_of(wild);

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
    const struct one *one = one_of(wild);
    asyncio_transport *inner = one->upgrades > 0 ? one->inner[one->upgrades - 1] : NULL;

    if (inner == NULL || inner == wild->transport || next_random(4) == 0)
        return;
    asyncio_transport_unref(wild->transport);
    wild->transport = asyncio_transport_ref(inner);
}

static void act(struct wild *wild)
{
    struct one *one = one_of(wild);

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

    wild_made(wild, transport);
    if (upgrade_first)
        start_inner(wild);
    else
        act(wild);
}

static int data_received(asyncio_protocol *protocol, const void *data, size_t size)
{
    read_all(data, size);
    act(wild_of(protocol));
    return next_random(40 * calm) == 0 ? -EIO : 0;
}

static int get_buffer(asyncio_protocol *protocol, size_t hint, void **data, size_t *size)
{
    struct party *party = CONTAINER_OF(wild_of(protocol), struct party, wild);

    (void)hint;
    act(&party->wild);
    *data = party->buffer;
    *size = 1 + next_random(sizeof party->buffer);
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
    struct party *party = calloc(1, sizeof *party);
    struct tls_socket both;
    int r = -ENOMEM;

    *one = (struct one){ .server = server };
    if (party != NULL) {
        one->heard.wild = &party->wild;
        party->wild.protocol.type = next_random(2) == 0 ? &plain : &buffered;
        party->wild.heard = &one->heard;
        r = tls_socket_new(&both, the_loop, &party->wild.protocol, &settings, fd, NULL);
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
    const struct heard *heard = &one->heard;
    bool fine = heard_well(heard);

    if (one->below != NULL) /* it was opened */
        fine = fine && asyncio_future_done(&one->done) &&
               (asyncio_future_result(&one->done) == 0) == (heard->made == 1);
    for (int i = 0; i < one->upgrades; i++) {
        fine = fine && asyncio_future_done(&one->upgraded[i]);
        asyncio_ignore(asyncio_future_result(&one->upgraded[i]));
    }
    if (one->sending)
        fine = fine && asyncio_future_done(&one->file_sent) &&
               asyncio_future_result(&one->file_sent) != 1;
    if (!fine)
        FAIL("seed %u: %d made, %d lost, %d upgrades%s%s", seed, heard->made, heard->lost,
             one->upgrades, one->sending ? ", a file" : "", heard->wrong ? ", wrong" : "");
    if (heard->wild != NULL)
        free(CONTAINER_OF(heard->wild, struct party, wild));
    asyncio_transport_unref(one->below);
}

static void run(unsigned seed)
{
    struct one a = { .upgrades = 0 }, b = { .upgrades = 0 };
    int fds[2] = { -1, -1 };

    begin_chance(seed);
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
        struct wild *wild = next_random(2) == 0 ? a.heard.wild : b.heard.wild;

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
