/* sim.h - the simulated network of a loop whose back end is `sim`. */
#ifndef ASYNCIO_LOOP_SIM_H
#define ASYNCIO_LOOP_SIM_H

#include "loop/backend.h"

/* NULL: it has none. */
struct sim_network *sim_network_of(struct asyncio_loop *loop);

/* The number of the host that code runs at, as a pointer. */
extern const asyncio_contextvar sim_host_var;

#endif
