/* sys_process.c - which process this is, without asking the kernel each time; its diagnostics. */
#include "ground/sys.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

static atomic_long process_id;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

static void forked(void)
{
    atomic_store_explicit(&process_id, getpid(), memory_order_relaxed);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forked);
    forked();
}

long sys_process_id(void)
{
    long id = atomic_load_explicit(&process_id, memory_order_relaxed);

    if (id != 0)
        return id;
    pthread_once(&watch_once, watch_forks);
    return atomic_load_explicit(&process_id, memory_order_relaxed);
}

int sys_thread_id(void)
{
    return gettid();
}

void sys_write_text(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        size -= (size_t)n;
    }
}
