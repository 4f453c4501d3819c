/* stack_overflow_test.c - which faults are told to be an overflow, and that the others are not. */
#include "ground/stack_overflow.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ground/fiber.h"
#include "ground/stack.h"
#include "ground/sys.h"
#include "harness.h"

static struct stack_pool pool;
static struct stack stack;
static struct fiber self, fiber;
static const char *name = "worker";
static bool sized = true;
static _Thread_local volatile bool on_fiber; /* a signal handler reads it */

static bool find_fiber(struct stack_overflow_info *info)
{
    if (!on_fiber)
        return false;
    *info = (struct stack_overflow_info){
        .guard_low = stack.low - sys_page_size(),
        .guard_high = stack.low,
        .name = name,
        .size = sized ? (size_t)(stack.top - stack.low) : 0,
    };
    return true;
}

/* ---- programs that die ---- */

/* No tail call, and each depth of 200 bytes or more. */
__attribute__((noinline)) static int recurse(volatile int *deeper)
{
    volatile char room[200];

    room[0] = (char)*deeper;
    return *deeper > 0 ? recurse(deeper) + room[0] : 0;
}

static void overflow(void *arg)
{
    volatile int deeper = 1;

    on_fiber = true;
    (void)arg;
    (void)recurse(&deeper);
    on_fiber = false;
    fiber_exit(&fiber, &self);
}

static void *run_overflow(void *arg)
{
    if (stack_overflow_watch(find_fiber) < 0 || stack_get(&pool, &stack, 0) < 0)
        _exit(1);
    fiber_init(&fiber, stack.low, stack.top, overflow, NULL);
    fiber_switch(&self, &fiber);
    return arg;
}

static void overflow_here(void)
{
    (void)run_overflow(NULL);
}

static void overflow_in_thread(void)
{
    pthread_t thread;

    if (stack_overflow_watch(find_fiber) == 0 &&
        pthread_create(&thread, NULL, run_overflow, NULL) == 0)
        (void)pthread_join(thread, NULL);
}

static void ignore(int signal)
{
    (void)signal;
    _exit(3);
}

static void overflow_with_abort_handler(void)
{
    (void)sigaction(SIGABRT, &(struct sigaction){ .sa_handler = ignore }, NULL);
    overflow_here();
}

static void overflow_without_a_name(void)
{
    name = NULL;
    sized = false;
    overflow_here();
}

static void overflow_with_a_long_name(void)
{
    static char long_name[400];

    memset(long_name, 'x', sizeof long_name - 1);
    name = long_name;
    overflow_here();
}

static char *volatile nowhere = (char *)16;

static void fault_at(volatile char *address)
{
    *address = 1;
}

static void fault_elsewhere(void *arg)
{
    on_fiber = true;
    fault_at(arg);
}

static void fault_on_a_fiber(void)
{
    if (stack_overflow_watch(find_fiber) < 0 || stack_get(&pool, &stack, 0) < 0)
        _exit(1);
    fiber_init(&fiber, stack.low, stack.top, fault_elsewhere, nowhere);
    fiber_switch(&self, &fiber);
}

static void fault_on_no_fiber(void)
{
    if (stack_overflow_watch(find_fiber) < 0)
        _exit(1);
    fault_at(nowhere);
}

/* Its guard is the page below the one that faults. */
static bool find_below(struct stack_overflow_info *info)
{
    *info = (struct stack_overflow_info){ .guard_low = nowhere - 16, .guard_high = nowhere };
    return true;
}

static void fault_above_the_guard(void)
{
    if (stack_overflow_watch(find_below) < 0)
        _exit(1);
    fault_at(nowhere);
}

static void signal_sent(void)
{
    if (stack_overflow_watch(find_fiber) < 0)
        _exit(1);
    (void)kill(getpid(), SIGSEGV);
}

/* Runs it in a child; returns its wait status, and what it wrote to stderr. */
static int status_of(void (*fn)(void), char *text, size_t size)
{
    int ends[2], status = 0;
    size_t length = 0;
    ssize_t n;

    CHECK_INT(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ .rlim_cur = 0 });
        (void)dup2(ends[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    (void)close(ends[1]);
    while (length < size - 1 && (n = read(ends[0], text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
    (void)close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static void skip_if_not_ours(void)
{
#if defined(FIBER_ASAN) || defined(FIBER_TSAN) || defined(FIBER_MSAN)
    SKIP("the sanitizer handles faults");
#endif
    if (test_is_torture())
        SKIP("it is about what succeeds");
}

/* NULL: without a sentence.  After it, emulators and the like may say something, too. */
static void check_dies(void (*fn)(void), int signal, const char *sentence)
{
    char text[1000];
    int status = status_of(fn, text, sizeof text);

    CHECK(WIFSIGNALED(status));
    CHECK_INT(WTERMSIG(status), signal);
    if (sentence == NULL) {
        CHECK(strstr(text, "asyncio") == NULL);
    } else {
        text[strnlen(text, strlen(sentence))] = '\0';
        CHECK_STR(text, sentence);
    }
}

static const char told[] = "asyncio: the stack of task 'worker' overflowed (256 KiB); give it more "
                           "with stack_size\n";

TEST(an_overflow_is_told_with_the_name_of_the_task)
{
    skip_if_not_ours();
    check_dies(overflow_here, SIGABRT, told);
    check_dies(overflow_with_abort_handler, SIGABRT, told);
}

/* The sentence has room for what is usual, and a name that is not is cut off. */
TEST(an_overflow_is_told_whatever_the_name)
{
    char start[256] = "asyncio: the stack of task '";
    size_t length = strlen(start);

    skip_if_not_ours();
    check_dies(overflow_without_a_name, SIGABRT,
               "asyncio: the stack of a task overflowed; give it more with stack_size\n");
    memset(start + length, 'x', sizeof start - 1 - length);
    check_dies(overflow_with_a_long_name, SIGABRT, start);
}

TEST(an_overflow_in_a_thread_is_told)
{
    skip_if_not_ours();
    check_dies(overflow_in_thread, SIGABRT, told);
}

TEST(other_faults_go_their_way)
{
    skip_if_not_ours();
    check_dies(fault_on_a_fiber, SIGSEGV, NULL);
    check_dies(fault_on_no_fiber, SIGSEGV, NULL);
    check_dies(fault_above_the_guard, SIGSEGV, NULL);
    check_dies(signal_sent, SIGSEGV, NULL);
}

/* ---- what watching changes, and gives back ---- */

static struct sigaction action_of(int signal)
{
    struct sigaction action;

    CHECK_INT(sigaction(signal, NULL, &action), 0);
    return action;
}

static bool has_alternate_stack(void)
{
    stack_t now;

    CHECK_INT(sigaltstack(NULL, &now), 0);
    return (now.ss_flags & SS_DISABLE) == 0;
}

TEST(watching_is_undone)
{
    skip_if_not_ours();
    CHECK_INT(stack_overflow_watch(find_fiber), 0);
    CHECK_INT(stack_overflow_watch(find_fiber), 0);
    CHECK((action_of(SIGSEGV).sa_flags & SA_ONSTACK) != 0);
    CHECK((action_of(SIGBUS).sa_flags & SA_ONSTACK) != 0);
    CHECK(has_alternate_stack());
    stack_overflow_unwatch();
    CHECK((action_of(SIGSEGV).sa_flags & SA_ONSTACK) != 0);
    CHECK(has_alternate_stack());
    stack_overflow_unwatch();
    CHECK(action_of(SIGSEGV).sa_handler == SIG_DFL);
    CHECK(action_of(SIGBUS).sa_handler == SIG_DFL);
    CHECK(!has_alternate_stack());
}

TEST(other_handlers_and_stacks_are_left_alone)
{
    static char theirs[64 * 1024];
    stack_t now;

    skip_if_not_ours();
    CHECK_INT(sigaltstack(&(stack_t){ .ss_sp = theirs, .ss_size = sizeof theirs }, NULL), 0);
    CHECK_INT(sigaction(SIGSEGV, &(struct sigaction){ .sa_handler = ignore }, NULL), 0);
    CHECK_INT(stack_overflow_watch(find_fiber), 0);
    CHECK(action_of(SIGSEGV).sa_handler == ignore);
    CHECK(action_of(SIGBUS).sa_handler != SIG_DFL);
    stack_overflow_unwatch();
    CHECK(action_of(SIGSEGV).sa_handler == ignore);
    CHECK(action_of(SIGBUS).sa_handler == SIG_DFL);
    CHECK_INT(sigaltstack(NULL, &now), 0);
    CHECK(now.ss_sp == theirs);
}

static void ignore_with_details(int signal, siginfo_t *fault, void *context)
{
    (void)fault;
    (void)context;
    ignore(signal);
}

/* Both kinds of handlers, there before, or put in our place meanwhile: they stay. */
TEST(other_handlers_are_left_alone_whenever_they_come)
{
    struct sigaction detailed = { .sa_flags = SA_SIGINFO }, simple = { .sa_handler = ignore };

    skip_if_not_ours();
    detailed.sa_sigaction = ignore_with_details;
    CHECK_INT(sigaction(SIGSEGV, &detailed, NULL), 0);
    CHECK_INT(stack_overflow_watch(find_fiber), 0);
    CHECK(action_of(SIGSEGV).sa_sigaction == ignore_with_details);
    CHECK_INT(sigaction(SIGBUS, &simple, NULL), 0);
    stack_overflow_unwatch();
    CHECK(action_of(SIGSEGV).sa_sigaction == ignore_with_details);
    CHECK(action_of(SIGBUS).sa_handler == ignore);

    CHECK_INT(sigaction(SIGBUS, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL), 0);
    CHECK_INT(stack_overflow_watch(find_fiber), 0);
    CHECK_INT(sigaction(SIGBUS, &detailed, NULL), 0);
    stack_overflow_unwatch();
    CHECK(action_of(SIGBUS).sa_sigaction == ignore_with_details);
}

/* A stack for handlers that was put in the place of ours stays. */
TEST(other_stack_that_came_later_is_left_alone)
{
    static char theirs[64 * 1024];
    stack_t now;

    skip_if_not_ours();
    CHECK_INT(stack_overflow_watch(find_fiber), 0);
    CHECK_INT(sigaltstack(&(stack_t){ .ss_sp = theirs, .ss_size = sizeof theirs }, NULL), 0);
    stack_overflow_unwatch();
    CHECK_INT(sigaltstack(NULL, &now), 0);
    CHECK(now.ss_sp == theirs);
}

TEST(no_memory_is_told)
{
    int r = stack_overflow_watch(find_fiber);

    if (r == 0)
        stack_overflow_unwatch();
    else
        CHECK_INT(r, -ENOMEM);
}
