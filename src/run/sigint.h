/* sigint.h - Ctrl-C while a main task runs. */
#ifndef ASYNCIO_RUN_SIGINT_H
#define ASYNCIO_RUN_SIGINT_H

#include "asyncio.h"

struct sigint {
    asyncio_task *main;
};

/* From now on SIGINT cancels `main`; NULL: it is left alone. */
void sigint_watch(struct sigint *sigint, asyncio_loop *loop, asyncio_task *main);

/* Leaves SIGINT as it was; makes -EINTR of `r` if that came of a SIGINT. */
int sigint_unwatch(struct sigint *sigint, int r);

#endif
