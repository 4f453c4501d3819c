/* test_connect_many.c - the rules of connecting to a host that has many addresses. */
#include "sites.h"

static const struct fake_name fakes[] = {
    { "second.test", "127.0.0.5 127.0.0.1", 0, 0 },
    { "third.test", "127.0.0.5 127.0.0.6 127.0.0.1", 0, 0 },
    { "refused.test", "127.0.0.5 127.0.0.6", 0, 0 },
    { "unroutable.test", "224.0.0.1 127.0.0.5", 0, 0 },
    { "both.test", "::1 127.0.0.1", 0, 0 },
    { "dead.test", "::1 127.0.0.5", 0, 0 },
    { "three.test", "::1 127.0.0.5 127.0.0.1", 0, 0 },
    { "turns.test", "127.0.0.2 127.0.0.3 127.0.0.4 ::1 ::ffff:127.0.0.5", 0, 0 },
    { "here.test", "::1 127.0.0.2", 0, 0 },
    { "taken.test", "127.0.0.1 127.0.0.2", 0, 0 },
    { "in6.test", "::1", 0, 0 },
    { "none.test", NULL, ASYNCIO_EAI_NONAME, 0 },
    { NULL, NULL, 0, 0 },
};

static int fails_with(const char *host, unsigned port, const asyncio_connection_options *options)
{
    asyncio_stream *stream;
    int r = asyncio_open_connection(&stream, host, port, options);

    if (r == 0)
        asyncio_stream_free(stream);
    return r;
}

/* ---- one after the other ---- */

/* CON-01: in the resolver's order; the first success wins. */
SITE_TEST(first_success, fakes, 0)
{
    TRY(connect_and_tell("second.test", sites->port, NULL));
    TRY(connect_and_tell("third.test", sites->port, NULL));
    CHECK_TRACE("127.0.0.1@0.00 127.0.0.1@0.00");
    return 0;
}

/* CON-01: all fail: the error is that of the first address, and the detail has all. */
SITE_TEST(all_fail, fakes, 0)
{
    CHECK_INT(fails_with("refused.test", sites->port, NULL), -ECONNREFUSED);
    CHECK_STR(detail_without(sites->port), "connect to 127.0.0.5: Connection refused; "
                                           "connect to 127.0.0.6: Connection refused");
    CHECK_INT(fails_with("unroutable.test", sites->port, NULL), -ENETUNREACH);
    CHECK_STR(detail_without(sites->port), "connect to 224.0.0.1: Network is unreachable; "
                                           "connect to 127.0.0.5: Connection refused");
    return 0;
}

SITE_TEST(unknown_name, fakes, 0)
{
    asyncio_connection_options options = { .local_host = "none.test" };

    CHECK_INT(fails_with("none.test", sites->port, NULL), ASYNCIO_EAI_NONAME);
    CHECK(strstr(asyncio_error_detail(), "look up 'none.test'") != NULL);
    CHECK_INT(fails_with("127.0.0.1", sites->port, &options), ASYNCIO_EAI_NONAME);
    CHECK(strstr(asyncio_error_detail(), "look up 'none.test'") != NULL);
    options = (asyncio_connection_options){ .family = AF_INET6 };
    CHECK_INT(fails_with("127.0.0.1", sites->port, &options), ASYNCIO_EAI_NONAME);
    CHECK_INT(fails_with("second.test", sites->port, &options), ASYNCIO_EAI_NONAME);
    return 0;
}

/* Of the family that is asked for, and by the protocol. */
SITE_TEST(family, fakes, 0)
{
    asyncio_connection_options options = { .family = AF_INET, .protocol = IPPROTO_TCP };

    TRY(connect_and_tell("both.test", sites->port, &options));
    CHECK_TRACE("127.0.0.1@0.00");
    options.protocol = IPPROTO_ICMP;
    CHECK_INT(fails_with("127.0.0.1", sites->port, &options), -EPROTONOSUPPORT);
    options.protocol = IPPROTO_UDP;
    CHECK_INT(fails_with("127.0.0.1", sites->port, &options), ASYNCIO_EAI_BADHINTS);
    return 0;
}

struct patient {
    const char *host;
    unsigned port;
    const asyncio_connection_options *options;
};

static int connects(void *arg)
{
    const struct patient *patient = arg;

    return connect_and_tell(patient->host, patient->port, patient->options);
}

/* CON-02: without a delay a dead address keeps the others from being tried. */
SITE_TEST(dead_and_patient, fakes, 0)
{
    struct patient patient = { "both.test", sites->port, NULL };

    CHECK_INT(asyncio_wait_for(connects, &patient, 10), -ETIMEDOUT);
    CHECK_TRACE("");
    return 0;
}

enum { MANY = 200 };

/* All of them, whatever their number; the detail has as many as it has room for. */
static int has_very_many(struct sites *sites, char *list, size_t used)
{
    CHECK_INT(fails_with("very.many.test", sites->port, NULL), -ECONNREFUSED);
    CHECK(strstr(asyncio_error_detail(), "127.1.0.9:") != NULL);
    snprintf(list + used, 16, " 127.0.0.1");
    TRY(connect_and_tell("very.many.test", sites->port, NULL));
    CHECK_TRACE("127.0.0.1@0.00");
    return 0;
}

SITE_TEST(very_many, NULL, 0)
{
    static char list[MANY * 16];
    static const struct fake_name many[] = { { "very.many.test", list, 0, 0 },
                                             { NULL, NULL, 0, 0 } };
    int used = 0;

    for (int i = 0; i < MANY - 1; i++)
        used += snprintf(list + used, sizeof list - (size_t)used, "%s127.1.0.%d", i > 0 ? " " : "",
                         i + 1);
    names_set(many);
    return has_very_many(sites, list, (size_t)used);
}

/* ---- happy eyeballs ---- */

static const asyncio_connection_options eager = { .happy_eyeballs_delay = 0.25 };

/* CON-02: with one, the next starts when it has passed; who wins ends the others. */
SITE_TEST(dead_and_eager, fakes, 0)
{
    struct patient patient = { "both.test", sites->port, &eager };

    TRY(asyncio_wait_for(connects, &patient, 10));
    CHECK_TRACE("127.0.0.1@0.25");
    return 0;
}

/* CON-02: or as soon as the one before has failed. */
SITE_TEST(refused_and_eager, fakes, 0)
{
    TRY(connect_and_tell("third.test", sites->port, &eager));
    CHECK_TRACE("127.0.0.1@0.00");
    return 0;
}

/* CON-02: also while one that began earlier is still being tried. */
SITE_TEST(dead_refused_and_eager, fakes, 0)
{
    struct patient patient = { "three.test", sites->port, &eager };

    TRY(asyncio_wait_for(connects, &patient, 10));
    CHECK_TRACE("127.0.0.1@0.25");
    return 0;
}

/* CON-02: one that is still being tried when the rest has failed may still win, or not end. */
SITE_TEST(dead_and_refused, fakes, 0)
{
    struct patient patient = { "dead.test", sites->port, &eager };

    CHECK_INT(asyncio_wait_for(connects, &patient, 10), -ETIMEDOUT);
    CHECK_TRACE("");
    return 0;
}

/* The hosts that were tried, in order. */
static void tell_order(void)
{
    const char *text = asyncio_error_detail();
    char host[64];

    while ((text = strstr(text, "connect to ")) != NULL) {
        text += strlen("connect to ");
        snprintf(host, sizeof host, "%.*s", (int)strcspn(text, " "), text);
        host[strlen(host) - 3] = '\0'; /* ":1:" */
        trace("%s", host);
    }
}

static int tell_turns(const asyncio_connection_options *options)
{
    trace_clear();
    int r = fails_with("turns.test", 1, options);
    tell_order();
    CHECK(r < 0);
    return 0;
}

/* CON-02: with a delay the families take turns; so do they if that is asked for, after as many of
 * the first one as are asked for. */
SITE_TEST(takes_turns, fakes, 0)
{
    (void)sites;
    TRY(tell_turns(NULL));
    CHECK_TRACE("127.0.0.2 127.0.0.3 127.0.0.4 [::1] [::ffff:127.0.0.5]");
    TRY(tell_turns(&eager));
    CHECK_TRACE("127.0.0.2 [::1] 127.0.0.3 [::ffff:127.0.0.5] 127.0.0.4");
    TRY(tell_turns(&(asyncio_connection_options){ .interleave = 2 }));
    CHECK_TRACE("127.0.0.2 127.0.0.3 [::1] 127.0.0.4 [::ffff:127.0.0.5]");
    TRY(tell_turns(&(asyncio_connection_options){ .interleave = 9 }));
    CHECK_TRACE("127.0.0.2 127.0.0.3 127.0.0.4 [::1] [::ffff:127.0.0.5]");
    return 0;
}

/* ---- this end ---- */

/* CON-05: what is of another family is skipped; and if none is left, or none can be bound to, that
 * attempt fails and the next address is tried. */
SITE_TEST(local_addresses, fakes, 0)
{
    asyncio_connection_options options = { .local_host = "here.test" };

    TRY(connect_and_tell("second.test", sites->port, &options));
    options.local_host = "127.0.0.2";
    TRY(connect_and_tell("both.test", sites->port, &options));
    options = (asyncio_connection_options){ .local_host = "taken.test",
                                            .local_port = sites->port,
                                            .family = AF_INET };
    TRY(connect_and_tell("both.test", sites->port, &options));
    CHECK_TRACE("127.0.0.1@0.00 127.0.0.1@0.00 127.0.0.1@0.00");
    return 0;
}

SITE_TEST(no_local_address, fakes, 0)
{
    asyncio_connection_options options = { .local_host = "in6.test" };

    CHECK_INT(fails_with("second.test", sites->port, &options), -EINVAL);
    CHECK_STR(detail_without(sites->port),
              "connect to 127.0.0.5: bind to [::1]:0: Invalid argument; "
              "connect to 127.0.0.1: bind to [::1]:0: Invalid argument");
    options = (asyncio_connection_options){ .local_host = "127.0.0.1", .local_port = sites->port };
    CHECK_INT(fails_with("127.0.0.1", sites->port, &options), -EADDRINUSE);
    CHECK_STR(detail_without(sites->port),
              "connect to 127.0.0.1: bind to 127.0.0.1: Address already in use");
    return 0;
}

/* ---- cancelled ---- */

/* Cancels it after so many seconds; what it leaves open is found by SITE_TEST. */
static int cancel_after(double seconds, struct patient *patient)
{
    CHECK_INT(asyncio_wait_for(connects, patient, seconds), -ETIMEDOUT);
    CHECK_TRACE("");
    return 0;
}

/* CON-06: while the name is looked up; the one of this end, too. */
SITE_TEST(cancelled_while_looking_up, fakes, 3)
{
    asyncio_connection_options options = { .local_host = "here.test" };
    struct patient patient = { "both.test", sites->port, NULL };

    TRY(cancel_after(1, &patient));
    patient.options = &options;
    TRY(cancel_after(1, &patient));
    patient.host = "127.0.0.1";
    TRY(cancel_after(1, &patient));
    return 0;
}

/* CON-06: while the first address is tried, or two are, or the last. */
SITE_TEST(cancelled_while_connecting, fakes, 0)
{
    asyncio_connection_options options = { .happy_eyeballs_delay = 2 };
    struct patient patient = { "::1", sites->port, NULL };

    TRY(cancel_after(1, &patient));
    patient = (struct patient){ "dead.test", sites->port, &options };
    TRY(cancel_after(1, &patient));
    TRY(cancel_after(3, &patient));
    return 0;
}

/* Names and connection together take as long as both, and a limit is for both. */
SITE_TEST(slow_name, fakes, 1)
{
    struct patient patient = { "second.test", sites->port, NULL };

    TRY(asyncio_wait_for(connects, &patient, 2));
    CHECK_TRACE("127.0.0.1@1.00");
    return 0;
}

/* ---- cost ---- */

/* CON-03: a number is connected to without a thread, and with two pieces of memory: the stream, and
 * what opens it. */
SITE_TEST(to_a_number, fakes, 0)
{
    TRY(connect_and_tell("127.0.0.1", sites->port, NULL));
    long before = memory_requests();
    TRY(connect_and_tell("127.0.0.1", sites->port, NULL));
    CHECK_INT(memory_requests() - before, 2);
    CHECK_INT(names_asked(), 0);
    return 0;
}
