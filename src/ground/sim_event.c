/* sim_event.c - what happens later in a simulated network: a pairing heap.
 *
 * It needs no memory of its own, so that nothing that was promised to happen can fail to.
 */
#include "ground/sim_parts.h"

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->when != b->when ? a->when < b->when : a->number < b->number;
}

/* Of two trees, either of which may be NULL. */
static struct sim_event *merge(struct sim_event *a, struct sim_event *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (is_before(b, a)) {
        struct sim_event *first = b;

        b = a;
        a = first;
    }
    b->sibling = a->child;
    if (a->child != NULL)
        a->child->before = b;
    b->before = a;
    a->child = b;
    return a;
}

/* Pairs from the left, then all of them from the right. */
static struct sim_event *merge_siblings(struct sim_event *first)
{
    struct sim_event *pairs = NULL, *root = NULL;

    while (first != NULL) {
        struct sim_event *a = first, *b = a->sibling;

        first = b != NULL ? b->sibling : NULL;
        a->sibling = NULL;
        if (b != NULL)
            b->sibling = NULL;
        a = merge(a, b);
        a->sibling = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct sim_event *next = pairs->sibling;

        pairs->sibling = NULL;
        root = merge(root, pairs);
        pairs = next;
    }
    return root;
}

static void cut_out(struct sim_event *event)
{
    if (event->before->child == event)
        event->before->child = event->sibling;
    else
        event->before->sibling = event->sibling;
    if (event->sibling != NULL)
        event->sibling->before = event->before;
}

void sim_event_clear(struct sim_network *network, struct sim_event *event)
{
    if (!event->set)
        return;
    struct sim_event *children = merge_siblings(event->child);
    if (network->events == event) {
        network->events = children;
    } else {
        cut_out(event);
        network->events = merge(network->events, children);
    }
    event->set = false;
}

void sim_event_set(struct sim_network *network, struct sim_event *event, int64_t when)
{
    sim_event_clear(network, event);
    event->child = event->sibling = event->before = NULL;
    event->when = when;
    event->number = network->event_number++;
    event->set = true;
    network->events = merge(network->events, event);
}

struct sim_event *sim_event_take(struct sim_network *network)
{
    struct sim_event *first = network->events;

    sim_event_clear(network, first);
    return first;
}

int64_t sim_next_event(const struct sim_network *network)
{
    return network->events != NULL ? network->events->when : INT64_MAX;
}

void sim_run_events(struct sim_network *network)
{
    while (sim_next_event(network) <= sim_now(network)) {
        struct sim_event *event = sim_event_take(network);

        event->fire(network, event);
    }
}
