/* sys_process.c - which this process is, without asking the kernel each time; forks; diagnostics.
 *
 * A fork may come at any time, in any thread.  Its child has that thread alone: a lock that another
 * one held would stay shut for ever, over data that was about to change.  So who forks takes all
 * locks of the process first.  Signals are blocked from then on until the child has forgotten what
 * it has of its parent: what is sent to it before that must not reach the parent.
 */
#include "ground/sys.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "ground/log.h"

enum { FORGETTERS = 8 };

atomic_long sys_process_known;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t locks[SYS_LOCKS];
static void (*_Atomic forgetters[FORGETTERS])(void);
static _Thread_local sigset_t signals_before;

static void keep_process_id(void)
{
    atomic_store_explicit(&sys_process_known, getpid(), memory_order_relaxed);
}

static void before_fork(void)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &signals_before);
    for (size_t i = 0; i < SYS_LOCKS; i++)
        pthread_mutex_lock(&locks[i]);
}

static void unlock_all(void)
{
    for (size_t i = SYS_LOCKS; i-- > 0;)
        pthread_mutex_unlock(&locks[i]);
}

static void after_fork_in_parent(void)
{
    unlock_all();
    (void)pthread_sigmask(SIG_SETMASK, &signals_before, NULL);
}

static void after_fork_in_child(void)
{
    keep_process_id();
    unlock_all();
    for (size_t i = 0; i < FORGETTERS; i++) {
        void (*forget)(void) = atomic_load(&forgetters[i]);

        if (forget != NULL)
            forget();
    }
    (void)pthread_sigmask(SIG_SETMASK, &signals_before, NULL);
}

/* Without memory for it a child goes on as well as it can. */
static void watch_forks(void)
{
    for (size_t i = 0; i < SYS_LOCKS; i++)
        pthread_mutex_init(&locks[i], NULL);
    (void)pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    keep_process_id();
}

long sys_process_find(void)
{
    pthread_once(&watch_once, watch_forks);
    return atomic_load_explicit(&sys_process_known, memory_order_relaxed);
}

void sys_lock(enum sys_lock lock)
{
    (void)sys_process_id(); /* makes them */
    pthread_mutex_lock(&locks[lock]);
}

void sys_unlock(enum sys_lock lock)
{
    pthread_mutex_unlock(&locks[lock]);
}

void sys_forget_in_child(void (*forget)(void))
{
    (void)sys_process_id(); /* forks are watched from now on */
    for (size_t i = 0; i < FORGETTERS; i++) {
        void (*found)(void) = NULL;

        if (atomic_compare_exchange_strong(&forgetters[i], &found, forget) || found == forget)
            return;
    }
    die("more than %d have something to forget in a fork's child", (int)FORGETTERS);
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
