/* counted.h - operations whose price is counted, not timed: bench/gate compares it with the
 * recorded one.  Each function does its operation so many times and returns 0 or an error. */
#ifndef COUNTED_H
#define COUNTED_H

#include <asyncio.h>

#include "../bench.h"

typedef int counted(size_t n);

struct counted_operation {
    const char *name;
    counted *run;
    size_t once; /* how often it is done for the difference; slow ones less */
};

/* Each ended by one without a name. */
extern const struct counted_operation counted_tasks[], counted_streams[], counted_files[];

#endif
