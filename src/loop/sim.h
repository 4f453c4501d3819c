/* sim.h - the simulated network of a loop whose back end is `sim`. */
#ifndef ASYNCIO_LOOP_SIM_H
#define ASYNCIO_LOOP_SIM_H

#include "loop/backend.h"

/* NULL: it has none. */
struct sim_network *sim_network_of(struct asyncio_loop *loop);

/* The number of the host that code runs at, as a pointer. */
extern const asyncio_contextvar sim_host_var;

/* Has `fn` called instead of letting time go past `when`, once.  INT64_MAX: no limit.  Before the
 * run, or by `fn`. */
void sim_set_limit(struct asyncio_loop *loop, int64_t when, asyncio_callback *fn, void *arg);

/* Whether nothing is left to happen at this moment, but for what runs now. */
bool sim_is_settled(const struct asyncio_loop *loop);

#endif
