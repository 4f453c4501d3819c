/* onlooker.h - hearing of the failure of a future without waiting for it.
 *
 * Whoever waits is in the future's list, and keeps the future alive by having promised to be there.
 * An onlooker promises nothing and asks for nothing: the future may be freed before it is done, or
 * right after, and the loop may be closed.  So the onlooker is with the loop, and the two meet only
 * at the moment in which the future is completed or destroyed.
 */
#ifndef ASYNCIO_CORE_ONLOOKER_H
#define ASYNCIO_CORE_ONLOOKER_H

#include "core/future.h"

struct onlooker {
    struct loop_guest guest;
    asyncio_handle handle;
    asyncio_callback *fn;
    asyncio_future *future; /* for `fn` only if it is a task's, else NULL then */
    int result;
};

/* NULL: no memory. */
struct onlooker *onlooker_new(void);
void onlooker_free(struct onlooker *onlooker); /* one that was not placed; or NULL */

/* Gives it to the loop of a future that is not done.  Should that fail, but not with -ECANCELED,
 * the failure counts as taken, and the loop calls fn(onlooker) and frees it after that.  A future
 * has at most one: any other is freed at once. */
void onlooker_place(struct onlooker *onlooker, asyncio_future *future, asyncio_callback *fn);

/* For a future with FUTURE_ONLOOKER that is now done, or is destroyed. */
void onlooker_tell(asyncio_future *future);

#endif
