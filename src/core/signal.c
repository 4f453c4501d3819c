/* signal.c - from the kernel's signals to the loops that want them.
 *
 * One table for the process, of fixed size, has a slot for each loop that watches for signals.  The
 * handler proper touches nothing else: it notes the signal in each slot that wants it and makes the
 * loop's descriptor readable.  The loop delivers after each wait.
 *
 * A disposition is taken over by the first watch of the process for a signal and given back by the
 * last, unless somebody else has changed it since.  Who adds and removes holds `lock`; the list of
 * a slot is changed by its thread alone, under the lock too, and read by that thread without.
 *
 * A slot is let go of only when no handler runs that might have found it wanted: its descriptor is
 * closed after that.
 *
 * The child of a fork has copies of the slots, whose descriptors are the parent's too.  It forgets
 * them and gives the dispositions back: what comes then is its own affair.
 */
#include "core/signal.h"

#include <sched.h>
#include <signal.h>
#include <string.h>

#include "ground/sys.h"

enum { SLOTS = 1024, SIGNALS = 64 };

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "signal handlers use 64-bit atomics");

struct signal_slot {
    _Atomic uint64_t wanted, last_resort; /* by watches of those kinds */
    _Atomic uint64_t pending;             /* came, and was not delivered */
    _Atomic uint64_t resorted;            /* of the last resort: came once */
    atomic_int fd;
    struct asyncio_loop *loop; /* NULL: the slot is free */
    struct asyncio_link_ watches;
    struct loop_guest guest;
};

static struct signal_slot slots[SLOTS];
static atomic_size_t slots_used; /* how many of the first ones have ever been */
static atomic_int handlers_running;
static struct sigaction before[SIGNALS + 1];

static struct signal_slot *end_of_slots(void)
{
    return slots + atomic_load(&slots_used);
}

uint64_t signal_bit(int signum)
{
    return signum > 0 && signum <= SIGNALS ? UINT64_C(1) << (signum - 1) : 0;
}

/* ---- in the signal handler ---- */

static void note(struct signal_slot *slot, uint64_t bit)
{
    atomic_fetch_or(&slot->pending, bit);
    sys_event_signal(atomic_load(&slot->fd));
}

static bool tell_watchers(uint64_t bit)
{
    bool told = false;

    for (struct signal_slot *slot = slots; slot < end_of_slots(); slot++) {
        if ((atomic_load(&slot->wanted) & bit) == 0)
            continue;
        note(slot, bit);
        told = true;
    }
    return told;
}

/* It is blocked while its handler runs; so the process dies on return. */
static void die_of(int signum)
{
    struct sigaction action = { .sa_handler = SIG_DFL };

    (void)sigaction(signum, &action, NULL); /* cannot fail: it worked for the handler */
    (void)raise(signum);
}

static void tell_last_resort(int signum, uint64_t bit)
{
    for (struct signal_slot *slot = slots; slot < end_of_slots(); slot++) {
        if ((atomic_load(&slot->last_resort) & bit) == 0)
            continue;
        if ((atomic_fetch_or(&slot->resorted, bit) & bit) != 0)
            die_of(signum);
        else
            note(slot, bit);
    }
}

static void caught(int signum)
{
    uint64_t bit = signal_bit(signum);

    atomic_fetch_add(&handlers_running, 1);
    if (!tell_watchers(bit))
        tell_last_resort(signum, bit);
    atomic_fetch_sub(&handlers_running, 1);
}

/* ---- dispositions; with the lock ---- */

static int disposition_take(int signum)
{
    /* On the alternate stack, if there is one: what the kernel saves may be more than a small stack
     * has room for. */
    struct sigaction action = { .sa_handler = caught, .sa_flags = SA_RESTART | SA_ONSTACK };

    (void)sigemptyset(&action.sa_mask);
    return sigaction(signum, &action, &before[signum]) < 0 ? -EINVAL : 0;
}

static void disposition_give_back(int signum)
{
    struct sigaction now;

    /* Neither can fail: the signal could be caught. */
    (void)sigaction(signum, NULL, &now); /* cannot fail: it worked before */
    if ((now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == caught)
        (void)sigaction(signum, &before[signum], NULL);
}

static uint64_t watched_by_any(void)
{
    uint64_t signals = 0;

    for (struct signal_slot *slot = slots; slot < end_of_slots(); slot++)
        signals |= atomic_load(&slot->wanted) | atomic_load(&slot->last_resort);
    return signals;
}

static void give_back_all(uint64_t signals)
{
    for (int signum = 1; signum <= SIGNALS; signum++)
        if ((signals & signal_bit(signum)) != 0)
            disposition_give_back(signum);
}

/* All or none. */
static int take_all(uint64_t signals)
{
    for (int signum = 1; signum <= SIGNALS; signum++) {
        if ((signals & signal_bit(signum)) == 0 || disposition_take(signum) == 0)
            continue;
        give_back_all(signals & (signal_bit(signum) - 1));
        return -EINVAL;
    }
    return 0;
}

/* ---- slots; with the lock ---- */

static struct signal_watch *watch_of(struct asyncio_link_ *link)
{
    return link != NULL ? CONTAINER_OF(link, struct signal_watch, link) : NULL;
}

static struct signal_watch *first_watch(const struct signal_slot *slot)
{
    return watch_of(slot->watches.next_);
}

static struct signal_watch *next_watch(const struct signal_watch *watch)
{
    return watch_of(watch->link.next_);
}

static void count_wanted(struct signal_slot *slot)
{
    uint64_t wanted = 0, last_resort = 0;

    for (struct signal_watch *watch = first_watch(slot); watch != NULL; watch = next_watch(watch))
        if (watch->kind == SIGNAL_LAST_RESORT)
            last_resort |= watch->signals;
        else
            wanted |= watch->signals;
    atomic_store(&slot->wanted, wanted);
    atomic_store(&slot->last_resort, last_resort);
}

static struct signal_watch *handler_in(const struct signal_slot *slot, uint64_t signals)
{
    struct signal_watch *watch = first_watch(slot);

    while (watch != NULL && (watch->kind != SIGNAL_HANDLER || (watch->signals & signals) == 0))
        watch = next_watch(watch);
    return watch;
}

static bool handled_by_another(uint64_t signals, const struct asyncio_loop *loop)
{
    for (const struct signal_slot *slot = slots; slot < end_of_slots(); slot++)
        if (slot->loop != NULL && slot->loop != loop && handler_in(slot, signals) != NULL)
            return true;
    return false;
}

static void closing(struct loop_guest *guest);

/* In the child of a fork, where no other thread is left that could hold or change anything. */
static void forget_slots(void)
{
    uint64_t taken = watched_by_any();

    for (struct signal_slot *slot = slots; slot < end_of_slots(); slot++) {
        if (slot->loop != NULL) {
            slot->loop->signals = NULL;
            slot->loop->signalled = NULL;
        }
        memset(slot, 0, sizeof *slot);
        atomic_store(&slot->fd, -1);
    }
    atomic_store(&handlers_running, 0);
    give_back_all(taken);
}

static struct signal_slot *free_slot(void)
{
    for (struct signal_slot *slot = slots; slot < end_of_slots(); slot++)
        if (slot->loop == NULL)
            return slot;
    return end_of_slots() < slots + SLOTS ? slots + atomic_fetch_add(&slots_used, 1) : NULL;
}

static struct signal_slot *slot_get(struct asyncio_loop *loop)
{
    if (loop->signals != NULL)
        return loop->signals;
    struct signal_slot *slot = free_slot();
    if (slot == NULL)
        return NULL;
    slot->loop = loop;
    atomic_store(&slot->fd, loop->wake_fd);
    slot->guest.closing = closing;
    loop_join(loop, &slot->guest);
    loop->signals = slot;
    loop->signalled = signals_deliver;
    return slot;
}

/* When nobody watches; `wanted` is 0 by now. */
static void slot_put(struct signal_slot *slot)
{
    if (!list_empty(&slot->watches))
        return;
    while (atomic_load(&handlers_running) > 0) /* of other threads */
        (void)sched_yield();
    atomic_store(&slot->pending, 0);
    loop_leave(slot->loop, &slot->guest);
    slot->loop->signals = NULL;
    slot->loop->signalled = NULL;
    slot->loop = NULL;
}

/* ---- watching ---- */

static int start(struct signal_slot *slot, struct signal_watch *watch)
{
    uint64_t watched = watched_by_any();

    /* Wanted first: it may arrive as soon as the disposition is ours. */
    list_push_back(&slot->watches, &watch->link);
    if (watch->kind == SIGNAL_LAST_RESORT)
        atomic_fetch_and(&slot->resorted, ~watch->signals);
    count_wanted(slot);
    int r = take_all(watch->signals & ~watched);
    if (r < 0) {
        list_remove(&slot->watches, &watch->link);
        count_wanted(slot);
    }
    return r;
}

int signal_watch_start(struct signal_watch *watch, struct asyncio_loop *loop)
{
    int r = -EBUSY;

    watch->loop = loop;
    sys_forget_in_child(forget_slots);
    sys_lock(SYS_LOCK_SIGNALS);
    if (watch->kind != SIGNAL_HANDLER || !handled_by_another(watch->signals, loop)) {
        struct signal_slot *slot = slot_get(loop);

        r = slot != NULL ? start(slot, watch) : -EMFILE;
        if (slot != NULL)
            slot_put(slot);
    }
    sys_unlock(SYS_LOCK_SIGNALS);
    if (r == 0 && watch->kind != SIGNAL_LAST_RESORT)
        loop_hold(loop);
    return r;
}

void signal_watch_stop(struct signal_watch *watch)
{
    struct signal_slot *slot = watch->loop->signals;

    if (slot == NULL) /* a fork's child has forgotten it */
        return;
    sys_lock(SYS_LOCK_SIGNALS);
    list_remove(&slot->watches, &watch->link);
    count_wanted(slot);
    give_back_all(watch->signals & ~watched_by_any());
    slot_put(slot);
    sys_unlock(SYS_LOCK_SIGNALS);
    if (watch->kind != SIGNAL_LAST_RESORT)
        loop_release(watch->loop);
}

static void closing(struct loop_guest *guest)
{
    struct signal_slot *slot = CONTAINER_OF(guest, struct signal_slot, guest);
    struct signal_watch *watch, *next;

    loop_join(slot->loop, guest); /* until its last watch has been stopped */
    for (watch = first_watch(slot); watch != NULL; watch = next) {
        next = next_watch(watch);
        signal_watch_stop(watch);
        if (watch->closing != NULL)
            watch->closing(watch);
    }
}

struct signal_watch *signal_find_handler(const struct asyncio_loop *loop, uint64_t signal)
{
    return loop->signals != NULL ? handler_in(loop->signals, signal) : NULL;
}

/* ---- delivering ---- */

static void deliver(struct signal_slot *slot, int signum)
{
    uint64_t bit = signal_bit(signum);
    bool resort = (atomic_load(&slot->wanted) & bit) == 0;

    if (resort)
        atomic_fetch_or(&slot->resorted, bit);
    for (struct signal_watch *watch = first_watch(slot); watch != NULL; watch = next_watch(watch))
        if ((watch->signals & bit) != 0 && (watch->kind == SIGNAL_LAST_RESORT) == resort)
            watch->arrived(watch, signum);
}

void signals_deliver(struct asyncio_loop *loop)
{
    struct signal_slot *slot = loop->signals;
    uint64_t pending = atomic_exchange(&slot->pending, 0);

    for (int signum = 1; pending != 0; signum++, pending >>= 1)
        if ((pending & 1) != 0)
            deliver(slot, signum);
}
