/* sys_test.c - tests of the clock, of waiting, of pages and of threads; sockets have their own. */
#include "ground/sys.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "dies.h"
#include "ground/fault.h"

/* ---- the clock ---- */

TEST(clock_does_not_go_back)
{
    int64_t before = sys_now_ns();

    for (int i = 0; i < 1000; i++) {
        int64_t now = sys_now_ns();
        CHECK(now >= before);
        before = now;
    }
    CHECK(before > 0);
}

TEST(clock_seconds_to_ns)
{
    static const struct {
        double seconds;
        int64_t ns;
    } cases[] = {
        { 0.0, 0 },
        { -0.0, 0 },
        { 1.0, 1000000000 },
        { 0.1, 100000000 },
        { 1e-9, 1 },
        { 1e-10, 1 }, /* up: no timer is early */
        { 5e-324, 1 },
        { 1.0000000001, 1000000001 },
        { -0.5, -500000000 },
        { -1.0000000001, -1000000000 },
        { 86400.25, INT64_C(86400250000000) },
        { 9223372035.0, INT64_C(9223372035000000000) }, /* a double of ns would not hold it */
        { 9223372037.0, INT64_MAX },
        { 1e300, INT64_MAX },
        { INFINITY, INT64_MAX },
        { -9223372037.0, INT64_MIN },
        { -INFINITY, INT64_MIN },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_INT(sys_seconds_to_ns(cases[i].seconds), cases[i].ns);
}

TEST(clock_ns_to_seconds)
{
    CHECK(sys_ns_to_seconds(0) == 0.0);
    CHECK(sys_ns_to_seconds(1500000000) == 1.5);
    CHECK(sys_ns_to_seconds(-500000000) == -0.5);
    CHECK(sys_ns_to_seconds(INT64_MAX) == INFINITY);
    CHECK(sys_ns_to_seconds(INT64_MIN) == -INFINITY);
}

/* ---- waiting ---- */

static int poll_one(int fd, int64_t timeout_ns)
{
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };

    return sys_poll(&pollfd, 1, timeout_ns);
}

TEST(event_is_readable_until_cleared)
{
    int fd = sys_event_open();

    if (!CHECK(fd >= 0))
        return;
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK_INT(poll_one(fd, 0), 0);
    sys_event_clear(fd); /* must not block */
    errno = ENOENT;
    sys_event_signal(fd);
    sys_event_signal(fd);
    CHECK_INT(errno, ENOENT);
    CHECK_INT(poll_one(fd, 0), 1);
    CHECK_INT(poll_one(fd, -1), 1);
    sys_event_clear(fd);
    CHECK_INT(poll_one(fd, 0), 0);
    sys_close(fd);
}

TEST(event_signal_keeps_errno)
{
    errno = ENOENT;
    sys_event_signal(-1);
    CHECK_INT(errno, ENOENT);
}

typedef int wait_function(int64_t timeout_ns, int epoll_fd);

static int wait_by_poll(int64_t timeout_ns, int epoll_fd)
{
    (void)epoll_fd;
    return sys_poll(NULL, 0, timeout_ns);
}

static int wait_by_epoll(int64_t timeout_ns, int epoll_fd)
{
    struct epoll_event event;

    return sys_epoll_wait(epoll_fd, &event, 1, timeout_ns);
}

static void check_not_early(wait_function *wait, int epoll_fd)
{
    static const int64_t timeouts[] = { 0, 1, 300, 100000, 1500000, 2000001 };

    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        int64_t before = sys_now_ns();
        CHECK_INT(wait(timeouts[i], epoll_fd), 0);
        CHECK(sys_now_ns() - before >= timeouts[i]);
    }
}

/* PLT-05: also where the kernel counts in coarser units. */
TEST(waits_do_not_end_early)
{
    int epoll_fd = sys_epoll_create();

    check_not_early(wait_by_poll, -1);
    if (CHECK(epoll_fd >= 0))
        check_not_early(wait_by_epoll, epoll_fd);
    sys_close(epoll_fd);
}

static void on_alarm(int signum)
{
    (void)signum;
}

/* A signal ends a wait without limit, and one of a thousand years. */
TEST(waits_end_on_a_signal)
{
    static const int64_t timeouts[] = { -1, INT64_MAX };
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    const struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { { 0, 0 }, { 0, 0 } };
    int epoll_fd = sys_epoll_create();

    if (!CHECK(epoll_fd >= 0))
        return;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        CHECK_INT(wait_by_poll(timeouts[i], -1), 0);
        CHECK_INT(wait_by_epoll(timeouts[i], epoll_fd), 0);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sys_close(epoll_fd);
}

TEST(epoll_tells_which)
{
    struct epoll_event events[4];
    const uint64_t data = UINT64_C(0x123456789abcdef0);
    int epoll_fd = sys_epoll_create(), fd = sys_event_open();

    if (!CHECK(epoll_fd >= 0 && fd >= 0) ||
        !CHECK_INT(sys_epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, data), 0)) {
        sys_close(epoll_fd);
        sys_close(fd);
        return;
    }
    CHECK(fcntl(epoll_fd, F_GETFD) & FD_CLOEXEC);
    CHECK_INT(sys_epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, data), -EEXIST);
    CHECK_INT(sys_epoll_wait(epoll_fd, events, 4, 0), 0);
    sys_event_signal(fd);
    CHECK_INT(sys_epoll_wait(epoll_fd, events, 4, -1), 1);
    CHECK_INT(sys_epoll_wait(epoll_fd, events, 4, NS_PER_S), 1);
    CHECK_INT(events[0].data.u64, data);
    CHECK_INT(events[0].events, EPOLLIN);
    CHECK_INT(sys_epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, 0, 0), 0);
    CHECK_INT(sys_epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, 0, 0), -ENOENT);
    CHECK_INT(sys_epoll_wait(epoll_fd, events, 4, 0), 0);
    sys_close(epoll_fd);
    sys_close(fd);
}

/* ---- pages ---- */

TEST(pages_guard_and_discard)
{
    size_t page = sys_page_size(), size = 16 * page;
    char *pages = sys_pages_reserve(size);

    if (!CHECK(pages != NULL))
        return;
    CHECK_INT((uintptr_t)pages % page, 0);
    CHECK_INT(pages[0] | pages[size - 1], 0);
    CHECK(!reading_kills(pages));
    if (CHECK_INT(sys_pages_guard(pages, page), 0))
        CHECK(reading_kills(pages) && reading_kills(pages + page - 1));
    CHECK(!reading_kills(pages + page));

    memset(pages + page, 'x', size - page);
    sys_pages_discard(pages + page, size - page);
    CHECK_INT(pages[page] | pages[size - 1], 0);
    pages[page] = 'y';
    sys_pages_release(pages, size);
}

/* The guards of pooled stacks stay. */
TEST(pages_guard_survives_discard)
{
    size_t page = sys_page_size();
    char *pages = sys_pages_reserve(4 * page);

    if (!CHECK(pages != NULL))
        return;
    if (CHECK_INT(sys_pages_guard(pages, page), 0)) {
        sys_pages_discard(pages, 4 * page);
        CHECK(reading_kills(pages));
    }
    sys_pages_release(pages, 4 * page);
}

TEST(pages_too_many_are_refused)
{
    CHECK(sys_pages_reserve(SIZE_MAX & ~(sys_page_size() - 1)) == NULL);
}

/* ---- threads ---- */

struct started {
    atomic_bool leave;
    sigset_t blocked;
};

static void *stay(void *arg)
{
    struct started *started = arg;

    pthread_sigmask(SIG_BLOCK, NULL, &started->blocked);
    while (!atomic_load(&started->leave))
        sched_yield();
    return started;
}

TEST(thread_starts)
{
    struct started started = { 0 };
    sigset_t before, after;
    pthread_t thread;
    char name[16] = "";
    void *result = NULL;

    sigemptyset(&before);
    sigaddset(&before, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!CHECK_INT(sys_thread_start(&thread, stay, &started, "a name that is too long"), 0))
        return;
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    CHECK(!sigismember(&after, SIGINT) && sigismember(&after, SIGUSR2));
    CHECK_INT(pthread_getname_np(thread, name, sizeof name), 0);
    CHECK_STR(name, "a name that is ");
    atomic_store(&started.leave, true);
    pthread_join(thread, &result);
    CHECK(result == &started);
    CHECK(sigismember(&started.blocked, SIGINT) && sigismember(&started.blocked, SIGCHLD));
    CHECK(!sigismember(&started.blocked, SIGSEGV)); /* a crash reporter's */
}

TEST(thread_count)
{
    struct started started = { 0 };
    pthread_t thread;
    int before = sys_thread_count();

    if (before == -ENOTSUP)
        SKIP("no /proc");
    /* ThreadSanitizer's own is known by what it blocks, which it does in its first moments. */
    CHECK_INT(thread_count_soon(1), 1);
    if (!CHECK_INT(sys_thread_start(&thread, stay, &started, ") (x 1 2 3"), 0))
        return;
    CHECK_INT(thread_count_soon(2), 2);
    atomic_store(&started.leave, true);
    pthread_join(thread, NULL);
}

/* The name of the program is part of what is parsed. */
TEST(thread_count_with_an_odd_name)
{
    int before = sys_thread_count();

    pthread_setname_np(pthread_self(), ") R (1 2) 3 4");
    CHECK_INT(sys_thread_count(), before);
}

TEST(processor_count)
{
    CHECK(sys_processor_count() >= 1);
}

#ifdef ASYNCIO_FAULT_INJECTION

TEST(calls_fail_by_plan)
{
    pthread_t thread;

    if (test_is_torture())
        SKIP("has its own plan");
    fault_set_plan(&(struct fault_plan){ .fail_call = 1, .fail_on = true });
    CHECK_INT(sys_event_open(), -EMFILE);
    CHECK_INT(sys_poll(NULL, 0, -1), -ENOMEM);
    CHECK_INT(sys_epoll_create(), -EMFILE);
    CHECK_INT(sys_epoll_ctl(-1, EPOLL_CTL_ADD, -1, 0, 0), -ENOSPC);
    CHECK_INT(sys_epoll_ctl(-1, EPOLL_CTL_DEL, -1, 0, 0), -EBADF); /* needs no memory */
    CHECK(sys_pages_reserve(sys_page_size()) == NULL);
    CHECK_INT(sys_pages_guard(NULL, 0), -ENOMEM);
    CHECK_INT(sys_thread_start(&thread, stay, NULL, ""), -EAGAIN);
    CHECK_INT(sys_thread_count(), -ENOTSUP);
    CHECK_INT(fault_calls(), 8);
    fault_set_plan(&(struct fault_plan){ 0 });
}

#endif
