/* test_testing_edges.c - asyncio/testing.h outside of a run and with names that nobody has; and
 * what it prints of a run that fails. */
#include <asyncio/testing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/sim.h"
#include "harness.h"
#include "loop/sim.h"
#include "rules/beside.h"
#include "rules/loops.h"
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

static int leaves_a_socket(void *arg)
{
    (void)arg;
    return asyncio_testing_socket(&left_open, SOCK_STREAM, NULL, 0);
}

TEST(a_socket_alone_that_is_left_behind_is_printed)
{
    if (test_is_torture())
        SKIP("it is about what a failure prints");
    int r = run_and_read(leaves_a_socket, (asyncio_testing_options){ .seed = 5 });
    CHECK_INT(r, ASYNCIO_ESTATE);
    CHECK(strstr(printed, " (left behind: 0 tasks, 1 sockets); ASYNCIO_SEED=5 repeats it") != NULL);
    asyncio_testing_close(left_open);
}

/* ---- debug mode ---- */

static int says_its_mode(void *arg)
{
    *(bool *)arg = asyncio_loop_get_debug(asyncio_get_running_loop());
    return 0;
}

TEST(debug_mode_is_off_unless_it_is_asked_for)
{
    static const enum asyncio_toggle toggles[] = { ASYNCIO_DEFAULT, ASYNCIO_OFF, ASYNCIO_ON };

    for (int i = 0; i < 3; i++) {
        bool debug = toggles[i] != ASYNCIO_ON;
        int r =
            asyncio_testing_run(says_its_mode, &debug,
                                &(asyncio_testing_options){ .debug = toggles[i], .quiet = true });
        CHECK(r == 0 || test_is_torture());
        CHECK(r < 0 || debug == (toggles[i] == ASYNCIO_ON));
    }
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

/* ---- settling ---- */

static int takes_three_turns(void *arg)
{
    int r = 0;

    for (int i = 0; i < 3 && r == 0; i++)
        r = asyncio_sleep(0);
    ++*(int *)arg;
    return r;
}

static int counts_up(void *arg)
{
    ++*(int *)arg;
    return 0;
}

struct due {
    asyncio_handle soon;
    asyncio_timer timer;
    int done;
};

static int sets_a_timer_for_now(void *arg)
{
    struct due *due = arg;
    asyncio_loop *loop = asyncio_get_running_loop();

    return asyncio_loop_call_at(loop, &due->timer, asyncio_loop_time(loop), counts_up, &due->done);
}

static int settles(void *arg)
{
    struct due due = { .done = 0 };
    asyncio_task *task;
    int turns = 0;

    (void)arg;
    TRY(asyncio_create_task(&task, takes_three_turns, &turns, NULL));
    int r = asyncio_testing_settle();
    CHECK(r < 0 || turns == 1);
    if (r == 0)
        r = asyncio_loop_call_soon(asyncio_get_running_loop(), &due.soon, sets_a_timer_for_now,
                                   &due);
    if (r == 0) {
        r = asyncio_testing_settle();
        CHECK(r < 0 || due.done == 1);
    }
    asyncio_handle_cancel(&due.soon);
    asyncio_timer_cancel(&due.timer);
    return finish_after(task, r);
}

/* Nothing is left to happen at this moment: neither of who is ready, nor of who is due. */
TEST(settled_is_when_nobody_is_ready_and_nothing_is_due)
{
    int r = asyncio_testing_run(settles, NULL, &(asyncio_testing_options){ .quiet = true });

    CHECK(r == 0 || test_is_torture());
}

/* ---- any order ---- */

enum { MANY = 50 };

static int order[MANY], ordered;

static int takes_a_number(void *arg)
{
    order[ordered++] = (int)(intptr_t)arg;
    return 0;
}

static int starts_very_many(void *arg)
{
    asyncio_task_group group;
    int r = 0;

    (void)arg;
    ordered = 0;
    asyncio_task_group_enter(&group);
    for (intptr_t i = 0; i < MANY && r == 0; i++)
        r = asyncio_task_group_spawn(&group, takes_a_number, (void *)i);
    return asyncio_task_group_exit(&group, r);
}

/* All of them come, once each, however many there are; but nobody far before his turn. */
TEST(any_order_of_very_many)
{
    enum { WINDOW = 16 };
    asyncio_testing_counts counts = { 0 };
    bool came[MANY] = { false };
    int r = asyncio_testing_run(starts_very_many, NULL,
                                &(asyncio_testing_options){ .faults = { .any_order = true },
                                                            .counts = &counts,
                                                            .quiet = true });

    if (r < 0 && test_is_torture())
        return;
    CHECK_INT(r, 0);
    CHECK(counts.shuffles > 0);
    CHECK_INT(ordered, MANY);
    for (int i = 0; i < MANY; i++) {
        CHECK(order[i] < i + WINDOW);
        CHECK(!came[order[i]]);
        came[order[i]] = true;
    }
}

/* Without tasks there is nothing that may change places. */
TEST(any_order_of_callbacks_is_their_own)
{
    asyncio_handle handles[5] = { 0 };
    asyncio_loop *loop;
    static const char *const words[] = { "a", "b", "c", "d", "e" };
    int r = loop_new_with(&loop, NULL, &backend_sim);

    if (r < 0)
        return;
    sim_faults(sim_network_of(loop))->any_order = true;
    for (int i = 0; i < 5; i++)
        CHECK_INT(asyncio_loop_call_soon(loop, &handles[i], SAY(words[i])), 0);
    turn(loop);
    CHECK_TRACE("a b c d e");
    CHECK_INT((int)sim_counts(sim_network_of(loop))->shuffles, 0);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}
