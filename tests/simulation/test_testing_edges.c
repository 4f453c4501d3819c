/* test_testing_edges.c - asyncio/testing.h outside of a run and with names that nobody has; and
 * what it prints of a run that fails. */
#include <asyncio/testing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "rules/scopes.h"

/* ---- without a network ---- */

static int returns_nine(void *arg)
{
    (void)arg;
    return 9;
}

/* Every call says so, or gives nothing. */
static void check_nothing_there(void)
{
    asyncio_testing_counts counts = { .bytes = 7 };
    asyncio_testing_faults faults = { .no_memory = 1 };
    asyncio_socket socket = -7;

    CHECK_INT(asyncio_testing_seed(), 0);
    CHECK_INT(asyncio_testing_random(), 0);
    CHECK_INT(asyncio_testing_below(5), 0);
    CHECK(!asyncio_testing_chance(1));
    CHECK_INT(asyncio_testing_add_name("b", "10.0.0.1"), -ENOTSUP);
    CHECK_INT(asyncio_testing_at_host("localhost", returns_nine, NULL), -ENOTSUP);
    CHECK_INT(asyncio_testing_at_host(NULL, returns_nine, NULL), -EINVAL);
    CHECK_INT(asyncio_testing_crash("localhost"), -ENOTSUP);
    CHECK_INT(asyncio_testing_restart(NULL), -ENOTSUP);
    CHECK_INT(asyncio_testing_heal(NULL, NULL), -ENOTSUP);
    CHECK_INT(asyncio_testing_set_conditions(NULL, NULL, NULL), -ENOTSUP);
    CHECK_INT(asyncio_testing_reset_connections(1), -ENOTSUP);
    CHECK_INT(asyncio_testing_socket(&socket, SOCK_STREAM, NULL, 0), -ENOTSUP);
    CHECK_INT(socket, -7);
    asyncio_testing_set_faults(&faults);
    asyncio_testing_get_counts(&counts);
    CHECK_INT(counts.bytes, 0);
    CHECK_INT(asyncio_testing_digest(), 0);
}

TEST(without_a_network_nothing_is_simulated)
{
    check_nothing_there();
    CHECK_INT(asyncio_testing_settle(), -ENOTSUP);
}

static int looks_in_a_real_loop(void *arg)
{
    (void)arg;
    check_nothing_there();
    return asyncio_testing_settle();
}

TEST(in_a_loop_that_is_not_simulated_neither)
{
    const asyncio_loop_options real = { .backend = "poll" };
    const asyncio_run_options options = { .loop_options = &real };

    unsetenv("ASYNCIO_BACKEND");
    int r = asyncio_run_with(looks_in_a_real_loop, NULL, &options);
    CHECK(r == -ENOTSUP || test_is_torture());
}

/* ---- names that nobody has ---- */

static int unknown_hosts(void *arg)
{
    asyncio_testing_conditions fast = { 0 };
    int r = asyncio_testing_digest() != 0 ? 0 : -EPROTO; /* there is a network */

    (void)arg;
    CHECK_INT(asyncio_testing_set_conditions("nobody", NULL, &fast), -ENOENT);
    CHECK_INT(asyncio_testing_set_conditions(NULL, "nobody", &fast), -ENOENT);
    CHECK_INT(asyncio_testing_partition("nobody", NULL), -ENOENT);
    CHECK_INT(asyncio_testing_heal(NULL, "nobody"), -ENOENT);
    CHECK_INT(asyncio_testing_crash("nobody"), -ENOENT);
    CHECK_INT(asyncio_testing_crash(NULL), -ENOENT);
    CHECK_INT(asyncio_testing_at_host("nobody", returns_nine, NULL), -ENOENT);
    CHECK_INT(asyncio_testing_at_host(NULL, returns_nine, NULL), -EINVAL);
    TRY(asyncio_testing_add_host("somebody", "10.0.0.1"));
    int there = asyncio_testing_at_host("somebody", returns_nine, NULL);
    CHECK_INT(there, 9);
    return r;
}

TEST(hosts_that_nobody_added)
{
    const asyncio_testing_options options = { .quiet = true };

    int r = asyncio_testing_run(unknown_hosts, NULL, &options);
    CHECK(r == 0 || test_is_torture());
}

/* ---- what is printed ---- */

static char printed[16384];

/* Runs it with stderr in a file, which is in `printed` afterwards. */
static int run_and_read(asyncio_coro *fn, asyncio_testing_options options)
{
    int file = memfd_create("printed", MFD_CLOEXEC), kept = dup(STDERR_FILENO);

    dup2(file, STDERR_FILENO);
    int r = asyncio_testing_run(fn, NULL, &options);
    dup2(kept, STDERR_FILENO);
    ssize_t n = pread(file, printed, sizeof printed - 1, 0);
    printed[n > 0 ? n : 0] = '\0';
    close(file);
    close(kept);
    return r;
}

static int sleeps_on(void *arg)
{
    (void)arg;
    return asyncio_sleep(1e9);
}

static asyncio_socket left_open;

static int leaves_both(void *arg)
{
    asyncio_task *task;

    (void)arg;
    TRY(asyncio_testing_socket(&left_open, SOCK_DGRAM, NULL, 0));
    TRY(asyncio_create_task(&task, sleeps_on, NULL,
                            &(asyncio_task_options){ .name = "forgotten" }));
    asyncio_task_unref(task);
    return asyncio_sleep(1);
}

/* The seed, how much was left, and what. */
TEST(what_is_left_behind_is_printed)
{
    if (test_is_torture())
        SKIP("it is about what a failure prints");
    unsetenv("ASYNCIO_SEED");
    int r = run_and_read(leaves_both, (asyncio_testing_options){ .seed = 5 });
    CHECK_INT(r, ASYNCIO_ESTATE);
    CHECK(strstr(printed, "    left: <task 'forgotten' ") != NULL);
    CHECK(strstr(printed, "<task 'Task-") == NULL); /* the main task is not left */
    CHECK(strstr(printed, "asyncio_testing_run: seed 5: ") != NULL);
    CHECK(strstr(printed, " (left behind: 1 tasks, 1 sockets); ASYNCIO_SEED=5 repeats it") != NULL);
    asyncio_testing_close(left_open);
}

static int fails_plainly(void *arg)
{
    (void)arg;
    return -EPROTO;
}

TEST(a_failure_that_leaves_nothing_is_printed_without)
{
    if (test_is_torture())
        SKIP("it is about what a failure prints");
    setenv("ASYNCIO_SEED", "", 1); /* says nothing */
    int r = run_and_read(fails_plainly, (asyncio_testing_options){ .seed = 6 });
    unsetenv("ASYNCIO_SEED");
    CHECK_INT(r, -EPROTO);
    CHECK(strstr(printed, "asyncio_testing_run: seed 6: ") != NULL);
    CHECK(strstr(printed, "left") == NULL);
    CHECK(strstr(printed, "; ASYNCIO_SEED=6 repeats it") != NULL);
}

static int hides_the_first(void *arg)
{
    (void)arg;
    trace("%s", asyncio_error_name(asyncio_sleep(1e9)));
    trace("%s", asyncio_error_name(asyncio_sleep(1e9)));
    return 0;
}

/* Late once it is told, with a dump of all tasks; late again it is over. */
TEST(a_run_that_hides_its_cancellation_ends_all_the_same)
{
    if (test_is_torture())
        SKIP("it is about what a failure prints");
    int r = run_and_read(hides_the_first, (asyncio_testing_options){ .time_limit = 100 });
    CHECK_INT(r, -ETIMEDOUT);
    CHECK(strstr(printed, "1 tasks\n") != NULL);
    CHECK(strstr(printed, "repeats it") != NULL);
    CHECK_TRACE("ECANCELED ECANCELED"); /* the second one as the run is cleaned up */
}

/* ---- a task that nothing can end ---- */

static int hides_all(void *arg)
{
    while (*(const bool *)arg)
        asyncio_ignore(asyncio_sleep(1));
    return 0;
}

static void runs_what_hides_all(void *arg)
{
    asyncio_ignore(asyncio_testing_run(
        hides_all, arg, &(asyncio_testing_options){ .seed = 5, .time_limit = 100, .quiet = true }));
}

TEST(a_run_that_hides_its_cancellations_is_ended)
{
    bool always = true;

    check_process_dies(runs_what_hides_all, &always,
                       "seed 5: a task has hidden every cancellation");
}
