/* leftovers.c - what a test must not leave behind: memory, descriptors, threads, children. */
#include <dirent.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ground/sys.h"
#include "harness.h"

/* ThreadSanitizer starts a thread of its own with the first pthread_create(), after a fork again.
 */
#if defined(__SANITIZE_THREAD__)
#define OWN_THREADS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OWN_THREADS 1
#endif
#endif
#ifndef OWN_THREADS
#define OWN_THREADS 0
#endif

enum { MAX_FDS = 32768, GRACE_MS = 1000 };

static atomic_long blocks, mappings, requests;
static struct {
    long blocks, mappings;
    int threads;
    bool fds[MAX_FDS];
} before;

/* As the contract of asyncio_set_allocator wants it; blocks are those of malloc, so that the
 * sanitizers and Valgrind know who made them. */
static void *count_blocks(void *arg, void *memory, size_t size)
{
    (void)arg;
    if (size == 0) {
        if (memory)
            atomic_fetch_sub(&blocks, 1);
        free(memory);
        return NULL;
    }
    atomic_fetch_add(&requests, 1);
    void *block = realloc(memory, size);
    if (block && !memory)
        atomic_fetch_add(&blocks, 1);
    return block;
}

void leftovers_watch(void)
{
    asyncio_set_allocator(count_blocks, NULL);
}

long blocks_alive(void)
{
    return atomic_load(&blocks);
}

/* Calls `each` for every number in a directory of /proc, and returns how many there were. */
static int for_each_number(const char *path, void (*each)(int number, void *arg), void *arg)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    int count = 0;

    if (!dir)
        return 0;
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        int number = (int)strtol(entry->d_name, NULL, 10);
        if (each && number != dirfd(dir))
            each(number, arg);
        count++;
    }
    closedir(dir);
    return count;
}

long memory_requests(void)
{
    return atomic_load(&requests);
}

int descriptors_open(void)
{
    return for_each_number("/proc/self/fd", NULL, NULL) - 1; /* that of the look itself */
}

/* The linker puts these two around the library's own (--wrap): stacks are not the allocator's. */
void *__real_sys_pages_reserve(size_t size);
void __real_sys_pages_release(void *pages, size_t size);
void *__wrap_sys_pages_reserve(size_t size);
void __wrap_sys_pages_release(void *pages, size_t size);

void *__wrap_sys_pages_reserve(size_t size)
{
    void *pages = __real_sys_pages_reserve(size);
    if (pages)
        atomic_fetch_add(&mappings, 1);
    return pages;
}

void __wrap_sys_pages_release(void *pages, size_t size)
{
    if (pages)
        atomic_fetch_sub(&mappings, 1);
    __real_sys_pages_release(pages, size);
}

static int threads_alive(void)
{
    return for_each_number("/proc/self/task", NULL, NULL);
}

int thread_count_soon(int expected)
{
    for (int ms = 0; ms < GRACE_MS / 2 && sys_thread_count() != expected; ms++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    return sys_thread_count();
}

static void remember_fd(int fd, void *arg)
{
    (void)arg;
    if (fd < MAX_FDS)
        before.fds[fd] = true;
}

void leftovers_remember(void)
{
    before.blocks = blocks_alive();
    before.mappings = atomic_load(&mappings);
    before.threads = threads_alive();
    memset(before.fds, 0, sizeof before.fds);
    for_each_number("/proc/self/fd", remember_fd, NULL);
}

struct sentence {
    char *text;
    size_t size;
};

ASYNCIO_PRINTF(2, 3) static void say(struct sentence *sentence, const char *format, ...)
{
    size_t n = strlen(sentence->text);
    va_list args;

    va_start(args, format);
    if (n + 1 < sentence->size)
        vsnprintf(sentence->text + n, sentence->size - n, format, args);
    va_end(args);
}

static void compare_fd(int fd, void *arg)
{
    char link[64], target[200];

    if (fd < MAX_FDS && before.fds[fd])
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    say(arg, "descriptor %d (%s); ", fd, target);
}

/* A thread that was joined, or a sanitizer's own, may take a moment to be gone.  One that was left
 * to itself gives back its memory last of all, and the list of threads may miss it while others
 * end. */
static int wait_for_threads(void)
{
    int left;

    for (int ms = 0; ms < GRACE_MS; ms++) {
        left = threads_alive() - before.threads - OWN_THREADS;
        if (left <= 0 && blocks_alive() <= before.blocks)
            return 0;
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    return left > 0 ? left : 0;
}

bool leftovers_none(char *text, size_t size)
{
    struct sentence sentence = { text, size };
    int threads = wait_for_threads();
    int status;

    *text = '\0';
    if (blocks_alive() > before.blocks)
        say(&sentence, "%ld blocks of memory; ", blocks_alive() - before.blocks);
    if (atomic_load(&mappings) > before.mappings)
        say(&sentence, "%ld mappings of stacks; ", atomic_load(&mappings) - before.mappings);
    for_each_number("/proc/self/fd", compare_fd, &sentence);
    if (threads > 0)
        say(&sentence, "%d threads; ", threads);
    pid_t child = waitpid(-1, &status, WNOHANG);
    if (child >= 0)
        say(&sentence, child == 0 ? "a child process; " : "a zombie; ");
    return *text == '\0';
}
