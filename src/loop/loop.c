/* loop.c - the life of a loop: making, closing, freeing; and which one is current.
 *
 * A loop is made whole or not at all.  Closing gives back what it holds of the kernel and drops
 * what is scheduled; the memory stays until the last reference, since other threads may still ask
 * it to schedule something and must be told that it is closed.
 */
#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ground/memory.h"
#include "ground/sys.h"
#include "ground/sys_uring.h"
#include "loop/backend.h"
#include "loop/files.h"
#include "loop/origin.h"

static const double SLOW_CALLBACK_DURATION = 0.1;
static const int64_t SIMULATION_BEGINS_NS = INT64_C(1000) * NS_PER_S;

_Thread_local struct asyncio_loop *loop_current __attribute__((tls_model("initial-exec")));
static _Thread_local struct asyncio_loop *loop_set;

static atomic_size_t loops_alive;

/* ---- making ---- */

static bool debug_wanted(const struct asyncio_loop_options *options)
{
    const char *variable = getenv("ASYNCIO_DEBUG");

    if (options->debug != ASYNCIO_DEFAULT)
        return options->debug == ASYNCIO_ON;
    return variable != NULL && *variable != '\0';
}

/* NULL: there is none of that name. */
static const struct backend *find_backend(const char *name)
{
    static const struct backend *const known[] = {
        &backend_epoll,
        &backend_poll,
        &backend_sim,
#if defined(ASYNCIO_URING)
        &backend_uring,
#endif
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]->name) == 0)
            return known[i];
    return NULL;
}

/* The user's of the program before its author's; `name` where neither says any. */
static const char *wanted_backend(const struct asyncio_loop_options *options, const char *name)
{
    const char *variable = getenv("ASYNCIO_BACKEND");

    if (variable != NULL && *variable != '\0')
        return variable;
    return options != NULL && options->backend != NULL ? options->backend : name;
}

/* The clock of a simulation begins at the same time always: what follows is to be the same. */
static void set_options(struct asyncio_loop *loop, const struct asyncio_loop_options *options)
{
    bool simulated = loop->backend == &backend_sim;

    loop->debug = debug_wanted(options);
    loop->virtual_time = options->virtual_time || simulated;
    loop->now_ns = simulated ? SIMULATION_BEGINS_NS : sys_now_ns();
    loop->stack_size = options->stack_size;
    loop->before_wait = options->before_wait;
    loop->after_wait = options->after_wait;
    loop->hook_arg = options->hook_arg;
    loop->spin_ns = options->busy_poll > 0 ? sys_seconds_to_ns(options->busy_poll) : 0;
    loop->slow_ns = sys_seconds_to_ns(SLOW_CALLBACK_DURATION);
    loop->stride = loop->steps_left = LOOP_STEPS_MAX;
    loop->process = sys_process_id();
}

/* A fork's child runs no loop and has none.  Those of its parent, and what they have of the kernel,
 * are the parent's: it may not use them (loop_check), nor close them. */
static void forget_loops(void)
{
    loop_current = NULL;
    loop_set = NULL;
}

static void init(struct asyncio_loop *loop)
{
    sys_forget_in_child(forget_loops);
    circle_init(&loop->ready);
    circle_init(&loop->batch);
    atomic_init(&loop->references, 1);
    atomic_init(&loop->keepers, 1);
    atomic_init(&loop->stopping, false);
    atomic_init(&loop->asleep, false);
    loop->wake_fd = -1;
    remote_init(&loop->remote);
    atomic_fetch_add(&loops_alive, 1);
}

static void destroy(struct asyncio_loop *loop)
{
    remote_destroy(&loop->remote);
    memory_free(loop->scratch);
    memory_free(loop);
    if (atomic_fetch_sub(&loops_alive, 1) == 1)
        origin_forget_all();
}

/* io_uring is refused by old kernels, by administrators, by containers and for want of locked
 * memory; what it does epoll does, too. */
static int open_or_fall_back(struct asyncio_loop *loop, int *refused)
{
    int r = loop->backend->open(loop);

    *refused = 0;
    if (r == 0 || loop->backend == &backend_epoll || loop->backend == &backend_poll ||
        loop->backend == &backend_sim)
        return r;
    *refused = r;
    loop->backend = &backend_epoll;
    return loop->backend->open(loop);
}

static int open_backend(struct asyncio_loop *loop, int *refused)
{
    loop->wake_fd = sys_event_open();
    if (loop->wake_fd < 0)
        return loop->wake_fd;
    int r = open_or_fall_back(loop, refused);
    if (r < 0)
        sys_close(loop->wake_fd);
    return r;
}

static void describe_backend(struct asyncio_loop *loop, const char *why)
{
    snprintf(loop->backend_info, sizeof loop->backend_info, "%s%s%s%s%s", loop->backend->name,
             loop->virtual_time ? ", virtual time" : "", why != NULL ? " (io_uring: " : "",
             why != NULL ? why : "", why != NULL ? ")" : "");
}

/* `why` is why it is not the one that was wanted; NULL: it is. */
static int make(asyncio_loop **loop, const asyncio_loop_options *options,
                const struct backend *backend, const char *why)
{
    static const asyncio_loop_options defaults = { 0 };
    struct asyncio_loop *made = memory_zeroed(sizeof *made);
    int refused = 0;

    if (made == NULL)
        return -ENOMEM;
    init(made);
    made->backend = backend;
    int r = backend != NULL ? 0 : -EINVAL;
    if (r == 0) {
        set_options(made, options != NULL ? options : &defaults);
        r = open_backend(made, &refused);
    }
    if (r < 0) {
        destroy(made);
        return r;
    }
    describe_backend(made, refused < 0 ? asyncio_strerror(refused) : why);
    *loop = made;
    return 0;
}

/* `name` is that of the back end where nobody wants another. */
static int make_wanted(asyncio_loop **loop, const asyncio_loop_options *options, const char *name)
{
    const char *wanted = wanted_backend(options, name);
    const struct backend *backend = find_backend(wanted);

    if (backend == NULL && strcmp(wanted, "uring") == 0)
        return make(loop, options, &backend_epoll, "not in this build");
    return make(loop, options, backend, NULL);
}

int loop_new_with(asyncio_loop **loop, const asyncio_loop_options *options,
                  const struct backend *backend)
{
    return make(loop, options, backend, NULL);
}

int asyncio_new_event_loop(asyncio_loop **loop, const asyncio_loop_options *options)
{
    return make_wanted(loop, options, "epoll");
}

int asyncio_selector_event_loop_new(asyncio_loop **loop, const asyncio_loop_options *options)
{
    return make_wanted(loop, options, "epoll");
}

int asyncio_proactor_event_loop_new(asyncio_loop **loop, const asyncio_loop_options *options)
{
    return make_wanted(loop, options, "uring");
}

const char *asyncio_loop_backend_info(const asyncio_loop *loop)
{
    return loop->backend_info;
}

int asyncio_loop_fd(const asyncio_loop *loop)
{
    return loop->closed ? ASYNCIO_ECLOSED
                        : loop->backend->fd((struct asyncio_loop *)(uintptr_t)loop);
}

/* ---- closing ---- */

static void drop_timers(struct asyncio_loop *loop)
{
    struct asyncio_timer *timer;

    while ((timer = timers_any(&loop->timers)) != NULL)
        asyncio_timer_cancel(timer);
}

static void drop_handles(struct asyncio_loop *loop, struct asyncio_link_ *queue)
{
    while (!circle_empty(queue))
        asyncio_handle_cancel(handle_of(queue->next_));
}

/* The first completion that is ready, handed to its owner; false: there is none. */
static bool complete_operation(struct asyncio_loop *loop)
{
    for (struct asyncio_link_ *link = loop->ready.next_; link != &loop->ready; link = link->next_) {
        if (!op_is_completion(handle_of(link)))
            continue;
        loop_take(loop, handle_of(link));
        handle_run(loop, handle_of(link));
        return true;
    }
    return false;
}

/* Operations hear of their end even now: what they point to is their owner's again after it.
 * Nothing else runs any more. */
static void complete_operations(struct asyncio_loop *loop)
{
    while (complete_operation(loop))
        continue;
}

static void close_backend(struct asyncio_loop *loop)
{
    loop->backend->close(loop); /* may yet leave something to the files' threads */
    files_close(loop);
    complete_operations(loop);
}

static void tell_guests(struct asyncio_loop *loop)
{
    struct asyncio_link_ *link;

    while ((link = list_pop_front(&loop->guests)) != NULL) {
        struct loop_guest *guest = CONTAINER_OF(link, struct loop_guest, link);

        guest->closing(guest);
    }
}

int asyncio_loop_close(asyncio_loop *loop)
{
    if (loop->process != sys_process_id())
        return ASYNCIO_EWRONGLOOP;
    if (loop->running)
        return -EBUSY;
    if (loop->closed || loop->closing)
        return 0;
    if (loop->backend->claim != NULL && loop->backend->claim(loop) < 0)
        return ASYNCIO_EWRONGLOOP;
    loop->closing = true; /* whom it tells of that may call anything */
    if (loop->client != NULL)
        loop->client->closing(loop);
    watches_close(loop);
    close_backend(loop);
    remote_drop(loop);
    tell_guests(loop);
    complete_operations(loop); /* that guests submitted all the same */
    if (loop->remote.runner.state_ == HANDLE_READY)
        loop_unready(&loop->remote.runner);
    drop_handles(loop, &loop->ready);
    drop_timers(loop);
    sys_close(loop->wake_fd);
    loop->wake_fd = -1;
    if (loop_set == loop)
        loop_set = NULL;
    return 0;
}

asyncio_loop *asyncio_loop_ref(asyncio_loop *loop)
{
    if (loop != NULL)
        atomic_fetch_add(&loop->references, 1);
    return loop;
}

void asyncio_loop_unref(asyncio_loop *loop)
{
    if (loop == NULL || loop->process != sys_process_id() ||
        atomic_fetch_sub(&loop->references, 1) != 1)
        return;
    if (asyncio_loop_close(loop) == ASYNCIO_EWRONGLOOP)
        return; /* the kernel may write to what its operations point to, so it stays for ever */
    /* Now, and not in whichever thread lets go last: tasks are for one thread. */
    if (loop->client != NULL)
        loop->client->freed(loop);
    loop->client = NULL;
    loop->scheduler = NULL;
    loop_let_go(loop);
}

void loop_keep(struct asyncio_loop *loop)
{
    atomic_fetch_add(&loop->keepers, 1);
}

void loop_let_go(struct asyncio_loop *loop)
{
    if (atomic_fetch_sub(&loop->keepers, 1) == 1)
        destroy(loop);
}

/* ---- which one, and in what state ---- */

asyncio_loop *asyncio_get_running_loop(void)
{
    return loop_current;
}

asyncio_loop *asyncio_get_event_loop(void)
{
    asyncio_loop *running = asyncio_get_running_loop();

    return running != NULL ? running : loop_set;
}

void asyncio_set_event_loop(asyncio_loop *loop)
{
    loop_set = loop;
}

bool asyncio_loop_is_running(const asyncio_loop *loop)
{
    return loop->running;
}

bool asyncio_loop_is_closed(const asyncio_loop *loop)
{
    struct asyncio_loop *locked = (struct asyncio_loop *)(uintptr_t)loop;

    pthread_mutex_lock(&locked->remote.lock);
    bool closed = loop->closed;
    pthread_mutex_unlock(&locked->remote.lock);
    return closed;
}

/* Asked in debug mode, or when one of the first two is so. */
int loop_check_closely(const struct asyncio_loop *loop)
{
    if (loop->closed)
        return ASYNCIO_ECLOSED;
    if (loop->process != sys_process_id())
        return ASYNCIO_EWRONGLOOP;
    if (loop->running && !pthread_equal(loop->thread, pthread_self()))
        return ASYNCIO_EWRONGLOOP;
    return 0;
}

void loop_wake(struct asyncio_loop *loop)
{
    if (atomic_exchange(&loop->asleep, false))
        sys_event_signal(loop->wake_fd);
}

void loop_woken(struct asyncio_loop *loop)
{
    sys_event_clear(loop->wake_fd);
    loop->woken = true;
}

double asyncio_loop_time(const asyncio_loop *loop)
{
    return sys_ns_to_seconds(loop_time_ns(loop));
}

void asyncio_loop_advance_time(asyncio_loop *loop, double seconds)
{
    if (loop->virtual_time && seconds > 0)
        loop->now_ns += sys_seconds_to_ns(seconds);
}

void asyncio_loop_set_debug(asyncio_loop *loop, bool enabled)
{
    loop->debug = enabled;
}

bool asyncio_loop_get_debug(const asyncio_loop *loop)
{
    return loop->debug;
}

void asyncio_loop_set_slow_callback_duration(asyncio_loop *loop, double seconds)
{
    if (!isnan(seconds))
        loop->slow_ns = sys_seconds_to_ns(seconds);
}

double asyncio_loop_get_slow_callback_duration(const asyncio_loop *loop)
{
    return sys_ns_to_seconds(loop->slow_ns);
}
