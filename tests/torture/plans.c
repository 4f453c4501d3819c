/* plans.c - which runs a subject gets, by what its first run has counted.
 *
 * Each call that can fail fails, once and from then on; each suspension is cancelled; some pairs of
 * them are; SIGINT comes at some.  With less room than that each kind gets its share of it, evenly
 * spread.  Then come runs that do one thing all the time.
 */
#include <stdlib.h>

#include "torture.h"

#ifdef ASYNCIO_FAULT_INJECTION

enum {
    MAX_INTERRUPTS = 50,
    MAX_PAIRS = 100,
    PAIRS_STRIDE = 7,
    PAIRS_APART = 5,
    WHOLE = 3, /* runs that do one thing all the time */
};

enum mode { FAIL, FAIL_ON, CANCEL, PAIR, INTERRUPT, MODES };

/* The second one of a pair comes soon after the first: who handles a cancellation is cancelled. */
static struct fault_plan pair_of(uint64_t i, uint64_t suspensions)
{
    uint64_t first = i * PAIRS_STRIDE % suspensions + 1;

    return (struct fault_plan){ .cancel_suspension = first,
                                .cancel_again = first + 1 + i * PAIRS_STRIDE % PAIRS_APART };
}

static struct fault_plan plan_of(enum mode mode, uint64_t k)
{
    return (struct fault_plan){
        .fail_call = mode == FAIL || mode == FAIL_ON ? k : 0,
        .fail_on = mode == FAIL_ON,
        .cancel_suspension = mode == CANCEL ? k : 0,
        .interrupt_suspension = mode == INTERRUPT ? k : 0,
    };
}

/* Gives each mode as many runs as it can use and is due to it; what one leaves goes to the next. */
static void share_out(const uint64_t available[MODES], uint64_t max, uint64_t share[MODES])
{
    static const uint64_t percent[MODES] = { 40, 20, 20, 10, 10 };
    static const enum mode order[MODES] = { INTERRUPT, PAIR, CANCEL, FAIL_ON, FAIL };
    uint64_t left = max;
    uint64_t percent_left = 100;

    for (int i = 0; i < MODES; i++) {
        enum mode mode = order[i];
        uint64_t due = max == 0 ? available[mode] : left * percent[mode] / percent_left;
        share[mode] = due < available[mode] ? due : available[mode];
        left -= max == 0 ? 0 : share[mode];
        percent_left -= percent[mode];
    }
}

struct list {
    struct fault_plan *plans;
    int count;
};

static void add_plans(struct list *list, enum mode mode, uint64_t available, uint64_t share)
{
    for (uint64_t i = 0; i < share; i++) {
        uint64_t k = share == available ? i + 1 : 1 + (2 * i + 1) * available / (2 * share);
        list->plans[list->count++] =
            mode == PAIR ? pair_of(i, available) : plan_of(mode, k > available ? available : k);
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

struct fault_plan *torture_plans(uint64_t calls, uint64_t suspensions, uint64_t max, int *count)
{
    uint64_t share[MODES], total = WHOLE;
    uint64_t available[MODES] = { calls, calls, suspensions, least(2 * suspensions, MAX_PAIRS),
                                  least(suspensions, MAX_INTERRUPTS) };
    struct list list = { 0 };

    share_out(available, max, share);
    for (int mode = 0; mode < MODES; mode++)
        total += share[mode];
    list.plans = calloc((size_t)total, sizeof *list.plans);
    if (!list.plans)
        abort();
    available[PAIR] = available[INTERRUPT] = suspensions;
    for (enum mode mode = 0; mode < MODES; mode++)
        add_plans(&list, mode, available[mode], share[mode]);
    list.plans[list.count++] = (struct fault_plan){ .short_transfers = true };
    list.plans[list.count++] = (struct fault_plan){ .spurious = true };
    list.plans[list.count++] = (struct fault_plan){ .signals = true };
    *count = list.count;
    return list.plans;
}

#else

/* ISO C wants a declaration in every file. */
typedef int there_are_no_plans;

#endif
