/* sys_thread.c - threads: starting one, and how many there are.
 *
 * Signals are for the threads that were there before the library.  One started here blocks them all
 * before its first instruction, but for those that tell of a fault of its own: a crash reporter
 * must see these.
 */
#include "ground/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ground/fault.h"

#if defined(__SANITIZE_THREAD__)
#define HAVE_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN
#endif
#endif

static void fill_with_asynchronous(sigset_t *signals)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };

    sigfillset(signals);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(signals, faults[i]);
}

int sys_thread_start(pthread_t *thread, void *(*fn)(void *arg), void *arg, const char *name)
{
    sigset_t signals, before;
    pthread_t started;
    char short_name[16]; /* all that the kernel keeps, and it refuses longer ones */

    if (fault_fails())
        return -EAGAIN;

    /* A thread inherits the mask of its creator. */
    fill_with_asynchronous(&signals);
    (void)pthread_sigmask(SIG_SETMASK, &signals, &before);
    int error = pthread_create(&started, NULL, fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return -error;

    /* A name is for those who look; without it, or when the thread has ended, nothing is lost. */
    (void)snprintf(short_name, sizeof short_name, "%s", name);
    (void)pthread_setname_np(started, short_name);
    *thread = started;
    return 0;
}

unsigned sys_processor_count(void)
{
    cpu_set_t set;

    /* What this process may use; refused where there are more processors than the set holds. */
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (unsigned)CPU_COUNT(&set);
    return (unsigned)sysconf(_SC_NPROCESSORS_ONLN); /* at least the one that this runs on */
}

#if defined(HAVE_TSAN)

/* TSan starts a thread of its own with the first thread or fork, and a second one in a child that
 * starts threads.  It is told by blocking even the signals of faults, which others do only for the
 * moments in which they begin and end, and then with those of the C library. */
#define SIGNALS_OF_LIBC (3ULL << (32 - 1)) /* 32 and 33 */

static bool is_thread_of_tsan(const char *thread_id)
{
    char path[64], line[256];
    unsigned long long blocked = 0;

    (void)snprintf(path, sizeof path, "/proc/self/task/%.20s/status", thread_id);
    FILE *status = fopen(path, "re");
    if (status == NULL)
        return false;
    while (fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
            break;
    }
    (void)fclose(status);
    return (blocked >> (SIGSEGV - 1) & 1) != 0 && (blocked & SIGNALS_OF_LIBC) == 0;
}

static int threads_of_tsan(void)
{
    DIR *threads = opendir("/proc/self/task");
    const struct dirent *entry;
    int count = 0;

    if (threads == NULL)
        return 0;
    while ((entry = readdir(threads)) != NULL)
        count += entry->d_name[0] != '.' && is_thread_of_tsan(entry->d_name);
    (void)closedir(threads);
    return count;
}

#else

static int threads_of_tsan(void)
{
    return 0;
}

#endif

static atomic_int idle_threads;
static atomic_uint idle_changes;

static void forget_threads(void)
{
    atomic_store(&idle_threads, 0);
}

void sys_threads_idle(int change)
{
    if (change > 0)
        sys_forget_in_child(forget_threads);
    atomic_fetch_add(&idle_threads, change);
    atomic_fetch_add(&idle_changes, 1);
}

/* Field 20 of /proc/PID/stat.  Field 2 is the program's name in parentheses, and may itself have
 * parentheses and blanks in it; after the last one come the others, each after a blank. */
static int parse_thread_count(const char *stat)
{
    const char *field = strrchr(stat, ')');

    for (int number = 2; field != NULL && number < 20; number++)
        field = strchr(field + 1, ' ');
    if (field == NULL)
        return -ENOTSUP;

    /* qemu-user fills in zeros. */
    long count = strtol(field, NULL, 10);
    return count > 0 ? (int)count : -ENOTSUP;
}

/* The two numbers are not of the same moment: a thread that idles may have begun or ended between
 * them.  Then none is taken for idle, so that nobody thinks himself alone who is not. */
int sys_thread_count(void)
{
    char stat[1024]; /* 52 numbers of at most 20 digits, of which it takes the first 18 */
    ssize_t size;
    unsigned changes = atomic_load(&idle_changes);
    int idle = atomic_load(&idle_threads);

    if (fault_fails())
        return -ENOTSUP;

    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -ENOTSUP;
    do {
        size = read(fd, stat, sizeof stat - 1);
    } while (size < 0 && errno == EINTR);
    sys_close(fd);
    if (size <= 0)
        return -ENOTSUP;
    stat[size] = '\0';

    int count = parse_thread_count(stat);
    if (atomic_load(&idle_changes) != changes)
        idle = 0;
    return count > 0 ? count - threads_of_tsan() - idle : count;
}
