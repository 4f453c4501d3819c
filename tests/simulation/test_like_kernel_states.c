/* Every call on a socket in every state, wrong ones as well: what it says, and what the socket says
 * afterwards, is the same of the kernel's and of a simulated one. */
#include <netinet/in.h>

#include "simulation/states.h"

/* ---- calls ---- */

static asyncio_address address_of(const char *text, unsigned port)
{
    asyncio_address address;

    CHECK_INT(asyncio_address_init(&address, text, port), 0);
    return address;
}

static int bind_to(struct subject *subject, const char *text, unsigned port)
{
    asyncio_address address = address_of(text, port);

    return sys_bind(subject->fd, &address);
}

static int bind_loopback(struct subject *subject)
{
    return bind_to(subject, "127.0.0.1", 0);
}

static int bind_wildcard(struct subject *subject)
{
    return bind_to(subject, "0.0.0.0", 0);
}

static int bind_foreign(struct subject *subject)
{
    return bind_to(subject, "192.0.2.1", 4711);
}

static int bind_six(struct subject *subject)
{
    return bind_to(subject, "::1", 0);
}

static int bind_nothing(struct subject *subject)
{
    asyncio_address nothing = { .size = 0 };

    return sys_bind(subject->fd, &nothing);
}

static int bind_taken(struct subject *subject)
{
    return subject->target.size > 0 ? sys_bind(subject->fd, &subject->target) : 0;
}

static int listen_five(struct subject *subject)
{
    return sys_listen(subject->fd, 5);
}

static int connect_target(struct subject *subject)
{
    return subject->target.size > 0 ? sys_connect(subject->fd, &subject->target) : 0;
}

static int connect_six(struct subject *subject)
{
    asyncio_address six = address_of("::1", 4711);

    return sys_connect(subject->fd, &six);
}

static int connect_nothing(struct subject *subject)
{
    asyncio_address nothing = { .size = 0 };

    return sys_connect(subject->fd, &nothing);
}

static int accept_one(struct subject *subject)
{
    int fd = sys_accept(subject->fd, NULL);

    if (fd >= 0)
        sys_close(fd);
    return fd >= 0 ? 1 : fd;
}

static int receive_some(struct subject *subject)
{
    char data[100];

    return sys_recv(subject->fd, data, sizeof data);
}

static int receive_none(struct subject *subject)
{
    char data[1];

    return sys_recv(subject->fd, data, 0);
}

static int receive_and_from(struct subject *subject)
{
    char data[100];
    asyncio_address from = { .size = 77 };
    int r = sys_recvfrom(subject->fd, data, sizeof data, &from);

    return r < 0 ? r : 1000 * r + (int)from.size;
}

static int send_one(struct subject *subject)
{
    return sys_send(subject->fd, "x", 1);
}

static int send_none(struct subject *subject)
{
    return sys_send(subject->fd, "", 0);
}

static int send_no_part(struct subject *subject)
{
    return sys_sendv(subject->fd, NULL, 0);
}

static int send_to_target(struct subject *subject)
{
    return subject->target.size > 0 ? sys_sendto(subject->fd, "x", 1, &subject->target) : 0;
}

static int send_to_nobody(struct subject *subject)
{
    asyncio_address nobody = loopback(0);

    return sys_sendto(subject->fd, "x", 1, &nobody);
}

static int send_to_six(struct subject *subject)
{
    asyncio_address six = address_of("::1", 4711);

    return sys_sendto(subject->fd, "x", 1, &six);
}

static int send_to_nothing(struct subject *subject)
{
    asyncio_address nothing = { .size = 0 };

    return sys_sendto(subject->fd, "x", 1, &nothing);
}

static int own_name(struct subject *subject)
{
    asyncio_address name;
    int r = sys_getsockname(subject->fd, &name);

    if (r < 0)
        return r;
    asyncio_address wildcard = name;
    if (asyncio_address_port(&name) == 0)
        return 1;
    r = asyncio_address_init(&wildcard, "0.0.0.0", asyncio_address_port(&name));
    return r < 0 ? r : 2 + address_equal(&name, &wildcard);
}

static int peer_name(struct subject *subject)
{
    asyncio_address name;
    int r = sys_getpeername(subject->fd, &name);

    return r < 0 ? r : 1 + address_equal(&name, &subject->target);
}

static int error_of(struct subject *subject)
{
    return sys_socket_error(subject->fd);
}

static int error_by_option(struct subject *subject)
{
    return sys_get_option(subject->fd, SOL_SOCKET, SO_ERROR);
}

static int get_family(struct subject *subject)
{
    return sys_get_option(subject->fd, SOL_SOCKET, SO_DOMAIN);
}

static int get_listening(struct subject *subject)
{
    return sys_get_option(subject->fd, SOL_SOCKET, SO_ACCEPTCONN);
}

static const struct {
    const char *name;
    int (*call)(struct subject *subject);
} calls[] = {
    { "bind", bind_loopback },
    { "bind to the wildcard", bind_wildcard },
    { "bind to a foreign address", bind_foreign },
    { "bind to IPv6", bind_six },
    { "bind to nothing", bind_nothing },
    { "bind to what is taken", bind_taken },
    { "listen", listen_five },
    { "connect", connect_target },
    { "connect to IPv6", connect_six },
    { "connect to nothing", connect_nothing },
    { "accept", accept_one },
    { "recv", receive_some },
    { "recv of nothing", receive_none },
    { "recvfrom", receive_and_from },
    { "send", send_one },
    { "send of nothing", send_none },
    { "sendv of no part", send_no_part },
    { "sendto", send_to_target },
    { "sendto port 0", send_to_nobody },
    { "sendto IPv6", send_to_six },
    { "sendto nothing", send_to_nothing },
    { "shutdown", shut_it },
    { "getsockname", own_name },
    { "getpeername", peer_name },
    { "SO_ERROR", error_of },
    { "SO_ERROR as an option", error_by_option },
    { "SO_DOMAIN", get_family },
    { "SO_ACCEPTCONN", get_listening },
};
enum { STATES = sizeof states / sizeof *states, CALLS = sizeof calls / sizeof *calls };

/* ---- both worlds ---- */

struct outcome {
    int result, then[5]; /* of the call; of others after it */
};

static void look_afterwards(struct subject *subject, struct outcome *outcome)
{
    arrive();
    if (outcome->result == -EINPROGRESS)
        wait_writable(subject->fd);
    outcome->then[0] = receive_some(subject);
    outcome->then[1] = error_of(subject);
    outcome->then[2] = send_one(subject);
    outcome->then[3] = peer_name(subject);
    outcome->then[4] = own_name(subject) > 1; /* a port */
}

static struct outcome outcome_of(const struct state *state, size_t call)
{
    struct subject subject = { .fd = sys_socket(state->family, state->type, 0) };
    struct outcome outcome;

    if (state->family == AF_INET6)
        CHECK_INT(sys_set_option(subject.fd, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
    state->make(&subject);
    outcome.result = calls[call].call(&subject);
    look_afterwards(&subject, &outcome);
    sys_close(subject.fd);
    for (int i = 0; i < subject.count; i++)
        sys_close(subject.helpers[i]);
    return outcome;
}

static const char *word_of(int result, char *text, size_t size)
{
    if (result >= 0)
        snprintf(text, size, "%d", result);
    else
        snprintf(text, size, "%s", asyncio_error_name(result));
    return text;
}

static void add_outcome(char *text, size_t size, const char *world, const struct outcome *outcome)
{
    char word[40];
    size_t used = strlen(text);

    used += (size_t)snprintf(text + used, size - used, " %s %s, then", world,
                             word_of(outcome->result, word, sizeof word));
    for (int i = 0; i < 5; i++)
        used += (size_t)snprintf(text + used, size - used, " %s",
                                 word_of(outcome->then[i], word, sizeof word));
}

static void compare_call(const struct state *state, size_t call, char *text, size_t size)
{
    struct outcome real = outcome_of(state, call);
    int64_t clock = NS_PER_S;
    struct sim_network *network = sim_network_open(&clock);

    CHECK(network != NULL);
    struct outcome simulated = outcome_of(state, call);
    sim_network_close(network);
    if (memcmp(&real, &simulated, sizeof real) == 0)
        return;
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s, %s:", state->name, calls[call].name);
    add_outcome(text, size, "the kernel", &real);
    add_outcome(text, size, "; simulated", &simulated);
    used = strlen(text);
    snprintf(text + used, size - used, "\n");
}

TEST(like_kernel_in_every_state)
{
    static char differences[200000];

    if (test_is_torture())
        SKIP("nothing is used but single calls, whose results are compared");
    for (size_t state = 0; state < STATES; state++)
        for (size_t call = 0; call < CALLS; call++)
            compare_call(&states[state], call, differences, sizeof differences);
    CHECK_STR(differences, "");
}

/* ---- what is reported ---- */

static unsigned reported_by_kernel(int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };

    CHECK(poll(&one, 1, 0) >= 0);
    return ((one.revents & POLLIN) != 0 ? SIM_READ : 0U) |
           ((one.revents & POLLOUT) != 0 ? SIM_WRITE : 0U) |
           ((one.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0 ? SIM_HANGUP : 0U);
}

static unsigned reported_by_simulation(int fd)
{
    unsigned ready = 0;
    int changed = -1;

    sim_watch(sim_of(fd), SIM_READ | SIM_WRITE | SIM_HANGUP);
    while (changed != fd && sim_take_changed(sim_current, &changed, &ready))
        continue;
    return changed == fd ? ready : 0;
}

static unsigned reported_in(const struct state *state)
{
    struct subject subject = { .fd = sys_socket(state->family, state->type, 0) };

    state->make(&subject);
    unsigned ready =
        sim_current != NULL ? reported_by_simulation(subject.fd) : reported_by_kernel(subject.fd);
    sys_close(subject.fd);
    for (int i = 0; i < subject.count; i++)
        sys_close(subject.helpers[i]);
    return ready;
}

TEST(like_kernel_reports_in_every_state)
{
    char differences[2000] = "";
    int64_t clock = NS_PER_S;

    if (test_is_torture())
        SKIP("nothing is used but single calls, whose results are compared");
    for (size_t i = 0; i < STATES; i++) {
        size_t used = strlen(differences);
        unsigned real = reported_in(&states[i]);
        struct sim_network *network = sim_network_open(&clock);

        CHECK(network != NULL);
        unsigned simulated = reported_in(&states[i]);
        sim_network_close(network);
        if (real != simulated)
            snprintf(differences + used, sizeof differences - used,
                     "%s: the kernel %u, simulated %u\n", states[i].name, real, simulated);
    }
    CHECK_STR(differences, "");
}
