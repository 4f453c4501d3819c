/* backend_sim.c - the back end of tests: a network and a clock inside the process.
 *
 * Sockets of IPv4 and IPv6 that the library makes are simulated (ground/sim.h).  What they report
 * is taken for the readiness of epoll, so that the same code as there makes completions out of it.
 * All other descriptors are the kernel's, and are waited for with poll(2), if there are any.
 *
 * Time is virtual, and jumps to the next timer or to the next event of the network.  Where there is
 * neither, and no real descriptor, thread or signal to wait for, operations that wait will do so
 * for ever, and the loop is stuck.
 *
 * At which host of the network code runs is a context variable, which tasks inherit.
 */
#include "ground/memory.h"
#include "ground/sim.h"
#include "loop/poll.h"
#include "loop/sim.h"

enum { ORDER_WINDOW = 16 };

struct sim_backend {
    struct poll_set set; /* of real descriptors */
    struct sim_network *network;
    int64_t limit;
    asyncio_handle at_limit;
};

const asyncio_contextvar sim_host_var = { .name = "simulated host" };

static struct sim_backend *backend_of(struct asyncio_loop *loop)
{
    return loop->backend_state;
}

struct sim_network *sim_network_of(struct asyncio_loop *loop)
{
    bool simulated = loop->backend == &backend_sim && loop->backend_state != NULL;

    return simulated ? backend_of(loop)->network : NULL;
}

static unsigned where(void)
{
    return (unsigned)(uintptr_t)asyncio_contextvar_get(&sim_host_var);
}

static int arm(struct asyncio_loop *loop, int fd, struct readiness_fd *entry, unsigned wanted)
{
    struct sim_socket *socket = sim_of(fd);

    if (socket == NULL)
        return poll_arm(loop, fd, entry, wanted);
    if (entry->owned)
        entry->armed = true;
    sim_watch(socket, wanted);
    return 0;
}

static int open_sim(struct asyncio_loop *loop)
{
    struct sim_backend *sim = memory_zeroed(sizeof *sim);

    if (sim == NULL)
        return -ENOMEM;
    sim->limit = INT64_MAX;
    sim->network = sim_network_open(&loop->now_ns);
    int r = sim->network != NULL ? poll_open(loop, &sim->set) : -ENOMEM;
    if (r < 0) {
        if (sim->network != NULL)
            sim_network_close(sim->network);
        memory_free(sim);
        return r;
    }
    sim->set.readiness.arm = arm;
    sim_set_where(sim->network, where);
    return 0;
}

static void close_sim(struct asyncio_loop *loop)
{
    struct sim_network *network = backend_of(loop)->network;

    poll_close(loop);
    sim_network_close(network);
}

static int begin(struct asyncio_loop *loop)
{
    sim_current = backend_of(loop)->network;
    return 0;
}

static void wait_sim(struct asyncio_loop *loop, int64_t timeout_ns)
{
    struct sim_network *network = backend_of(loop)->network;
    int fd;
    unsigned ready;

    sim_run_events(network);
    while (sim_take_changed(network, &fd, &ready))
        readiness_event(loop, fd, ready);
    if (sim_take_spurious(network, &fd, &ready))
        readiness_event(loop, fd, ready);
    if (!circle_empty(&loop->ready))
        timeout_ns = 0;
    if (timeout_ns != 0 || backend_of(loop)->set.count > 1)
        poll_wait(loop, timeout_ns);
}

static int fd_sim(struct asyncio_loop *loop)
{
    (void)loop;
    return -ENOTSUP;
}

static int64_t next_sim(struct asyncio_loop *loop)
{
    return sim_next_event(backend_of(loop)->network);
}

void sim_set_limit(struct asyncio_loop *loop, int64_t when, asyncio_callback *fn, void *arg)
{
    struct sim_backend *sim = backend_of(loop);

    sim->limit = when;
    sim->at_limit = (asyncio_handle){ .queued_ = { .loop_ = loop }, .fn_ = fn, .arg_ = arg };
}

static int64_t jump_sim(struct asyncio_loop *loop, int64_t to)
{
    struct sim_backend *sim = backend_of(loop);

    if (to <= sim->limit)
        return sim_jump(sim->network, to);
    sim->limit = INT64_MAX;
    loop_ready(loop, &sim->at_limit);
    return loop->now_ns;
}

bool sim_is_settled(const struct asyncio_loop *loop)
{
    const struct sim_backend *sim = loop->backend_state;

    return circle_empty(&loop->ready) && circle_empty(&loop->batch) &&
           !sim_has_changed(sim->network) && sim_next_event(sim->network) > loop->now_ns &&
           timers_next(&loop->timers) > loop->now_ns;
}

/* ---- any order ---- */

static bool is_step(const struct asyncio_loop *loop, struct asyncio_link_ *link)
{
    return link != &loop->ready && loop->client != NULL && loop->client->is_step(handle_of(link));
}

/* How many steps of tasks follow one another from here on. */
static unsigned steps_from(const struct asyncio_loop *loop, struct asyncio_link_ *link)
{
    unsigned count = 0;

    for (; count < ORDER_WINDOW && is_step(loop, link); link = link->next_)
        count++;
    return count;
}

/* Tasks alone change places, and only with each other: that callbacks come in order is promised,
 * and so is what comes before a callback and after it. */
static void order_sim(struct asyncio_loop *loop)
{
    struct sim_network *network = backend_of(loop)->network;
    struct asyncio_link_ *link = loop->ready.next_;

    if (!sim_faults(network)->any_order)
        return;
    while (link != &loop->ready) {
        struct asyncio_link_ *chosen = link;
        unsigned count = steps_from(loop, link);

        for (uint64_t skip = sim_below(network, count); skip > 0; skip--)
            chosen = chosen->next_;
        if (chosen == link) {
            link = link->next_;
            continue;
        }
        sim_counts(network)->shuffles++;
        circle_remove(chosen);
        circle_push_back(link, chosen); /* in front of it */
    }
}

/* Operations that wait for no descriptor are with a thread, and will end. */
static bool is_hopeless(struct asyncio_loop *loop)
{
    const struct sim_backend *sim = backend_of(loop);

    poll_refresh(loop);
    return sim->set.count == 1 && loop->operations == readiness_waiting(loop) &&
           !sim_has_changed(sim->network) && sim_next_event(sim->network) == INT64_MAX;
}

const struct backend backend_sim = {
    .name = "sim",
    .open = open_sim,
    .close = close_sim,
    .begin = begin,
    .submit = readiness_submit,
    .attempt = readiness_attempt,
    .cancel = readiness_cancel,
    .own = readiness_own,
    .disown = readiness_disown,
    .owns = readiness_owns,
    .wait = wait_sim,
    .fd = fd_sim,
    .next = next_sim,
    .jump = jump_sim,
    .hopeless = is_hopeless,
    .order = order_sim,
};
