/* test_transport_protocol.c - the rules of transports: what protocols do in their functions. */
#include "transports.h"

/* ---- buffered protocols ---- */

static void prepare_buffered(struct recorder *recorder)
{
    recorder->protocol.type = &buffered_recorder_type;
}

/* TRP-17: the bytes come right into its buffer, then buffer_updated. */
TRANSPORT_TEST(reads_into_the_buffer, prepare_buffered)
{
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.size == 3);
    CHECK_STR(ends->recorder.buffer, "abc");
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made updated:3 eof lost");
}

static void prepare_small(struct recorder *recorder)
{
    prepare_buffered(recorder);
    recorder->room = 2;
}

/* TRP-17: never more than there is room for. */
TRANSPORT_TEST(reads_no_more_than_there_is_room, prepare_small)
{
    peer_sends(ends, "abcde");
    WAIT_FOR(ends->loop, ends->recorder.size == 5);
    CHECK_STR(ends->recorder.data, "abcde");
    CHECK_TRACE("made updated:2 updated:2 updated:1");
}

static void pause_it(struct recorder *recorder)
{
    asyncio_transport_pause_reading(recorder->transport);
}

/* TRP-17: who pauses in get_buffer gets nothing into it, and while paused is not asked for one. */
TRANSPORT_TEST(paused_in_get_buffer, prepare_buffered)
{
    peer_sends(ends, "abc");
    ends->recorder.on_asked = pause_it;
    settle(ends->loop);
    int asked = ends->recorder.asked;
    asyncio_transport_resume_reading(ends->recorder.transport);
    settle(ends->loop);
    CHECK_INT(ends->recorder.asked, asked + 1);
    CHECK_TRACE("made");
    ends->recorder.on_asked = NULL;
    asyncio_transport_resume_reading(ends->recorder.transport);
    WAIT_FOR(ends->loop, ends->recorder.size == 3);
    asyncio_transport_pause_reading(ends->recorder.transport);
    asked = ends->recorder.asked;
    peer_sends(ends, "def");
    settle(ends->loop);
    CHECK_INT(ends->recorder.asked, asked);
    CHECK_TRACE("made updated:3");
}

static int get_nothing(asyncio_protocol *protocol, size_t hint, void **data, size_t *size)
{
    static char nothing;

    (void)protocol;
    CHECK_INT(hint, 0);
    *data = &nothing;
    *size = 0;
    return 0;
}

static int get_null(asyncio_protocol *protocol, size_t hint, void **data, size_t *size)
{
    (void)protocol;
    (void)hint;
    *data = NULL;
    *size = 10;
    return 0;
}

static const asyncio_protocol_type empty_type = { RECORDER_COMMON, .get_buffer = get_nothing,
                                                  .buffer_updated = recorder_updated };
static const asyncio_protocol_type null_type = { RECORDER_COMMON, .get_buffer = get_null,
                                                 .buffer_updated = recorder_updated };

static void check_refused(struct ends *ends, const asyncio_protocol_type *type)
{
    reported(ends->loop);
    ends->recorder.protocol.type = type;
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made lost:EINVAL");
    CHECK_INT(reported_count("empty buffer"), 1);
}

/* TRP-17: an empty buffer, and none, lose the connection. */
TRANSPORT_TEST(empty_buffer, NULL)
{
    check_refused(ends, &empty_type);
}

TRANSPORT_TEST(null_buffer, NULL)
{
    check_refused(ends, &null_type);
}

/* ---- switching ---- */

static void switch_type(struct recorder *recorder)
{
    bool plain = recorder->protocol.type == &recorder_type;

    recorder->protocol.type = plain ? &buffered_recorder_type : &recorder_type;
}

static void prepare_switching(struct recorder *recorder)
{
    recorder->on_data = switch_type;
}

static void exchange(struct recorder *recorder)
{
    struct recorder *other = recorder->arg;

    CHECK(asyncio_transport_get_protocol(recorder->transport) == &recorder->protocol);
    asyncio_transport_set_protocol(recorder->transport, &other->protocol);
    CHECK(asyncio_transport_get_protocol(recorder->transport) == &other->protocol);
    recorder->on_data = NULL;
}

/* TRP-16: the next call is the new protocol's, of whichever kind it is. */
TRANSPORT_TEST(protocols_take_over, NULL)
{
    struct recorder other = { .protocol = { &buffered_recorder_type }, .name = "other-" };

    ends->recorder.on_data = exchange;
    ends->recorder.arg = &other;
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.size == 3);
    peer_sends(ends, "def");
    WAIT_FOR(ends->loop, other.size == 3);
    other.transport = ends->recorder.transport;
    other.on_data = exchange;
    other.arg = &ends->recorder;
    peer_sends(ends, "ghi");
    WAIT_FOR(ends->loop, other.size == 6);
    peer_sends(ends, "jkl");
    WAIT_FOR(ends->loop, ends->recorder.size == 6);
    CHECK_TRACE("made data:3 other-updated:3 other-updated:3 data:3");
    if (ends->recorder.lost == 0)
        asyncio_transport_set_protocol(ends->recorder.transport, &ends->recorder.protocol);
    asyncio_transport_abort(ends->recorder.transport);
    settle(ends->loop);
    ends->recorder.lost = other.lost + ends->recorder.lost;
}

/* TRP-16: a protocol may also change what it is. */
TRANSPORT_TEST(protocol_changes, prepare_switching)
{
    for (int i = 1; i <= 4; i++) {
        peer_sends(ends, "abc");
        WAIT_FOR(ends->loop, ends->recorder.size == 3 * (size_t)i);
    }
    CHECK_TRACE("made data:3 updated:3 data:3 updated:3");
}

/* ---- failures ---- */

static void fail_always(struct recorder *recorder)
{
    recorder->result = -EBADMSG;
}

/* TRP-12: a protocol that fails loses its connection, and is reported. */
TRANSPORT_TEST(data_received_fails, fail_always)
{
    struct reports *reports = reported(ends->loop);

    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made data:3 lost:EBADMSG");
    CHECK_INT(reports->count, 1);
    CHECK_INT(reports->list[0].error, -EBADMSG);
    CHECK_INT(reported_count("data_received"), 1);
}

static void report_from_now_on(struct recorder *recorder)
{
    (void)recorder;
    reported(asyncio_get_running_loop());
}

/* It is asked for a buffer before anything is known to be there. */
static void fail_buffered(struct recorder *recorder)
{
    fail_always(recorder);
    recorder->on_made = report_from_now_on;
    recorder->protocol.type = &buffered_recorder_type;
}

TRANSPORT_TEST(get_buffer_fails, fail_buffered)
{
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made lost:EBADMSG");
    CHECK_INT(reported_count("get_buffer"), 1);
}

static void fail_from_now_on(struct recorder *recorder)
{
    recorder->result = -EBADMSG;
}

static void fail_when_updated(struct recorder *recorder)
{
    recorder->protocol.type = &buffered_recorder_type;
    recorder->on_data = fail_from_now_on;
}

TRANSPORT_TEST(buffer_updated_fails, fail_when_updated)
{
    reported(ends->loop);
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made updated:3 lost:EBADMSG");
    CHECK_INT(reported_count("buffer_updated"), 1);
}

static void fail_at_the_end(struct recorder *recorder)
{
    recorder->eof_result = -EBADMSG;
}

TRANSPORT_TEST(eof_received_fails, fail_at_the_end)
{
    reported(ends->loop);
    shutdown(ends->peer, SHUT_WR);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made eof lost:EBADMSG");
    CHECK_INT(reported_count("eof_received"), 1);
}

/* Unsent bytes of one that has failed are dropped. */
TRANSPORT_TEST(failure_drops_what_is_unsent, fail_always)
{
    reported(ends->loop);
    write_much(ends->recorder.transport);
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made pause data:3 lost:EBADMSG");
    CHECK_INT(asyncio_transport_get_write_buffer_size(ends->recorder.transport), 0);
}

static int look_at_report(asyncio_loop *loop, void *arg, const asyncio_exception_context *context)
{
    struct ends *ends = arg;

    CHECK(loop == ends->loop);
    CHECK(context->transport == ends->recorder.transport);
    CHECK(context->protocol == &ends->recorder.protocol);
    asyncio_loop_default_exception_handler(loop, context);
    asyncio_transport_abort(context->transport); /* which is what is about to happen */
    return 0;
}

/* TRP-12: the exception handler learns which, and may do what it likes. */
TRANSPORT_TEST(report_names_the_transport, fail_always)
{
    asyncio_loop_set_exception_handler(ends->loop, look_at_report, ends);
    log_allow("the protocol failed in data_received");
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    if (log_count("the protocol failed in data_received") > 0) {
        CHECK_INT(log_count("protocol: 0x"), 1);
        CHECK_INT(log_count("transport: <socket transport 0x"), 1);
    }
}

static void exit_always(struct recorder *recorder)
{
    recorder->result = ASYNCIO_EEXIT;
}

/* LOP-16: ASYNCIO_EEXIT ends the run, as out of any callback. */
TRANSPORT_TEST(exit_out_of_a_protocol, exit_always)
{
    int r = 0;

    peer_sends(ends, "abc");
    for (int i = 0; i < 20 && r == 0; i++)
        r = asyncio_loop_run_once(ends->loop, 0.01);
    CHECK_INT(r, ASYNCIO_EEXIT);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made data:3 lost:ASYNCIO_EEXIT");
}

/* ---- ending it within each of its functions ---- */

static void close_it(struct recorder *recorder)
{
    asyncio_transport_close(recorder->transport);
}

static void abort_it(struct recorder *recorder)
{
    asyncio_transport_abort(recorder->transport);
}

static void close_twice_and_abort(struct recorder *recorder)
{
    close_it(recorder);
    close_it(recorder);
    abort_it(recorder);
    CHECK_INT(recorder->lost, recorder->on_lost != NULL);
}

static void (*const endings[])(struct recorder *recorder) = { close_it, abort_it,
                                                              close_twice_and_abort };

/* Everything that can happen to a connection, until it is lost. */
static void live_through(struct ends *ends)
{
    peer_writes(ends, "abc", 3);
    WAIT_FOR(ends->loop, ends->recorder.size > 0 || ends->recorder.lost > 0);
    write_much(ends->recorder.transport);
    peer_drains(ends, MUCH);
    shutdown(ends->peer, SHUT_WR);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_INT(ends->recorder.lost, 1);
    CHECK_INT(ends->recorder.error, 0);
}

static void (*ending)(struct recorder *recorder);

#define ENDED_WITHIN(name, member)                                                                 \
    static void prepare_##name(struct recorder *recorder)                                          \
    {                                                                                              \
        if (offsetof(struct recorder, member) == offsetof(struct recorder, on_asked))              \
            recorder->protocol.type = &buffered_recorder_type;                                     \
        recorder->member = ending;                                                                 \
    }                                                                                              \
    TEST(ended_within_##name)                                                                      \
    {                                                                                              \
        for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {                            \
            ending = endings[i];                                                                   \
            run_ends(unix_sockets, connect_socket, prepare_##name, live_through);                  \
            run_ends(tcp_sockets, connect_socket, prepare_##name, live_through);                   \
        }                                                                                          \
    }

ENDED_WITHIN(connection_made, on_made)
ENDED_WITHIN(data_received, on_data)
ENDED_WITHIN(get_buffer, on_asked)
ENDED_WITHIN(eof_received, on_eof)
ENDED_WITHIN(pause_writing, on_pause)
ENDED_WITHIN(resume_writing, on_resume)
ENDED_WITHIN(connection_lost, on_lost)

/* ---- memory ---- */

/* Frees itself when its connection is lost, as a server's protocol does; it keeps no reference. */
struct passing {
    asyncio_protocol protocol;
    asyncio_transport *transport;
    int *lost;
};

static void passing_made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    struct passing *passing = (struct passing *)(void *)protocol;

    passing->transport = transport;
}

static void passing_lost(asyncio_protocol *protocol, int error)
{
    struct passing *passing = (struct passing *)(void *)protocol;

    (void)error;
    ++*passing->lost;
    free(passing);
}

static int passing_data(asyncio_protocol *protocol, const void *data, size_t size)
{
    struct passing *passing = (struct passing *)(void *)protocol;

    if (*(const char *)data == 'c')
        asyncio_transport_close(passing->transport);
    else if (*(const char *)data == 'f')
        return -EBADMSG;
    return asyncio_transport_write(passing->transport, data, size);
}

static const asyncio_protocol_type passing_type = { .connection_made = passing_made,
                                                    .connection_lost = passing_lost,
                                                    .data_received = passing_data };

static void pass_by(asyncio_loop *loop, const char *text, int *lost)
{
    struct passing *passing = malloc(sizeof *passing);
    asyncio_future done = { 0 };
    int a = -1, b = -1;

    if (passing == NULL || unix_sockets(&a, &b) < 0) {
        free(passing);
        return;
    }
    *passing = (struct passing){ { &passing_type }, NULL, lost };
    asyncio_loop_connect_accepted_socket(loop, &done, &passing->protocol, a, NULL);
    if (asyncio_loop_run_until_complete(loop, &done) < 0) {
        free(passing); /* it is still ours */
        ++*lost;
    } else {
        struct ends ends = { .loop = loop, .peer = b };
        peer_writes(&ends, text, strlen(text));
        WAIT_FOR(loop, *lost > 0 || *text == 'o');
    }
    close(b);
    if (*text == 'o')
        WAIT_FOR(loop, *lost > 0);
}

static void protocols_free_themselves(asyncio_loop *loop)
{
    static const char *const texts[] = { "close", "fail", "open" };

    reported(loop);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int lost = 0;

        pass_by(loop, texts[i], &lost);
        asyncio_loop_run_once(loop, 0);
        CHECK_INT(lost, 1);
    }
}

/* TRP-02: connection_lost is the last call: the protocol may free itself there. */
TEST(protocols_free_themselves)
{
    with_loop(protocols_free_themselves);
}

/* ---- context ---- */

static const asyncio_contextvar who = { .name = "who" };

static const char *whose(void)
{
    const char *value = asyncio_contextvar_get(&who);

    return value != NULL ? value : "nobody";
}

static void set_whose(const char *name)
{
    asyncio_ignore(asyncio_contextvar_set(&who, (void *)(uintptr_t)name, NULL));
}

static void say_whose(struct recorder *recorder)
{
    (void)recorder;
    trace("(%s)", whose());
}

static void say_and_set(struct recorder *recorder)
{
    say_whose(recorder);
    set_whose("its own");
}

static void prepare_context(struct recorder *recorder)
{
    set_whose("the maker's");
    recorder->on_made = say_and_set;
    recorder->on_data = recorder->on_pause = recorder->on_lost = say_whose;
}

static void look_at_contexts(struct ends *ends)
{
    set_whose("somebody else's");
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.size == 3);
    write_much(ends->recorder.transport);
    asyncio_transport_abort(ends->recorder.transport);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made (the maker's) data:3 (its own) pause (its own) lost (its own)");
    CHECK_STR(whose(), "somebody else's");
}

static int with_a_context(void *arg)
{
    (void)arg;
    run_ends(unix_sockets, connect_socket, prepare_context, look_at_contexts);
    return 0;
}

/* CTX-07: a protocol is called in the context in which its transport was made, of which the
 * transport has a copy of its own. */
TEST(called_in_its_context)
{
    asyncio_context *context = NULL;

    if (asyncio_context_new(&context) < 0)
        return;
    CHECK_INT(asyncio_context_run(context, with_a_context, NULL), 0);
    asyncio_context_unref(context);
}
