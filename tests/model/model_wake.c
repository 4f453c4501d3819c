/* model_wake.c - other threads wake a loop, cancel what they gave it, stop it, while it falls
 * asleep, runs their callbacks, is closed: in every order.
 *
 * The library's loop.c, turn.c and remote.c are compiled once more with shim.h, so that threads.h
 * decides who goes on at each place where one thread can see what another does.  The first thread
 * is the loop's.  Checked: a loop that has something to do does not sleep for ever; a callback runs
 * once, or is refused, or dropped by the close; after a cancel has returned it does not run; a
 * closed loop is not woken.
 *
 * Then the same with something wrong on purpose, in a process of its own: it must be found.
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/backend.h"
#include "threads.h"

struct sent {
    asyncio_handle handle;
    bool tried;
    int result; /* of scheduling it */
    int runs;
    bool inside, cancelled; /* the function runs; a cancel has returned */
};

static struct world {
    asyncio_loop *loop;
    struct backend backend;
    struct sent sent[2];
    struct sent *freed;
    int wanted; /* so many runs stop the loop; 0: others do */
} world;

enum { POISON = 0xee };
enum { SECOND = -1 }; /* as `wanted`: the second callback stops it */

/* ---- the threads ---- */

static int runs(void *arg)
{
    struct sent *sent = arg;

    if (sent->cancelled)
        violate("a callback runs that was cancelled");
    sent->inside = true;
    sent->runs++;
    model_step();
    sent->inside = false;
    bool last = world.wanted > 0 ? world.sent[0].runs + world.sent[1].runs >= world.wanted
                                 : world.wanted == SECOND && sent == &world.sent[1];
    if (last)
        asyncio_loop_stop(world.loop);
    return 0;
}

static void send_it(struct sent *sent)
{
    sent->tried = true;
    sent->result = -EINPROGRESS;
    sent->result = asyncio_loop_call_soon_threadsafe(world.loop, &sent->handle, runs, sent);
}

static void sends_first(void)
{
    send_it(&world.sent[0]);
}

static void sends_second(void)
{
    send_it(&world.sent[1]);
}

static void cancel_it(struct sent *sent)
{
    asyncio_handle_cancel(&sent->handle);
    sent->cancelled = true;
    if (sent->inside)
        violate("a cancel returns while the callback runs");
}

static void sends_and_cancels(void)
{
    send_it(&world.sent[0]);
    if (world.sent[0].result == 0)
        cancel_it(&world.sent[0]);
    send_it(&world.sent[1]); /* so that the loop ends */
}

/* With a copy of it that vanishes when the cancel has returned: it is the caller's again. */
static void sends_cancels_and_frees(void)
{
    struct sent *sent = malloc(sizeof *sent);

    memset(sent, 0, sizeof *sent);
    send_it(sent);
    if (sent->result == 0)
        asyncio_handle_cancel(&sent->handle);
    memset(sent, POISON, sizeof *sent);
    world.freed = sent;
}

static void stops(void)
{
    asyncio_loop_stop(world.loop);
}

static void runs_loop(void)
{
    if (asyncio_loop_run_forever(world.loop) != 0)
        violate("the loop could not run");
    if (asyncio_loop_close(world.loop) != 0)
        violate("the loop could not be closed");
}

/* As soon as it has ended there is no loop any more: nobody else holds it. */
static void runs_and_frees_loop(void)
{
    runs_loop();
    asyncio_loop_unref(world.loop);
    world.loop = NULL;
    threads.gone = true;
}

/* One iteration, whatever has come by then. */
static void runs_a_turn(void)
{
    asyncio_ignore(asyncio_loop_run_once(world.loop, 0));
    if (asyncio_loop_close(world.loop) != 0)
        violate("the loop could not be closed");
}

/* ---- a batch, of which another thread takes the last away ---- */

static int runs_again(void *arg)
{
    struct sent *sent = arg;

    if (++sent->runs < 5)
        sent->result =
            asyncio_loop_call_soon_threadsafe(world.loop, &sent->handle, runs_again, sent);
    return 0;
}

/* What a callback schedules is for the next turn. */
static void runs_a_batch(void)
{
    struct sent *first = &world.sent[0];

    asyncio_ignore(
        asyncio_loop_call_soon_threadsafe(world.loop, &first->handle, runs_again, first));
    send_it(&world.sent[1]);
    asyncio_ignore(asyncio_loop_run_once(world.loop, 0));
    if (first->runs != 1)
        violate("a batch has no end");
    first->runs = 0;
    first->result = ASYNCIO_ECLOSED;
    asyncio_handle_cancel(&first->handle);
    if (asyncio_loop_close(world.loop) != 0)
        violate("the loop could not be closed");
}

static void cancels_second(void)
{
    if (world.sent[1].tried && world.sent[1].result == 0)
        cancel_it(&world.sent[1]);
}

/* ---- the schedules ---- */

struct scenario {
    const char *name;
    void (*bodies[3])(void); /* the first is the loop's */
    int wanted;
    double busy_poll;
    int preemptions;
};

static void make_loop(const struct scenario *scenario)
{
    memset(&world, 0, sizeof world);
    CHECK_INT(asyncio_selector_event_loop_new(
                  &world.loop,
                  &(asyncio_loop_options){ .backend = "epoll", .busy_poll = scenario->busy_poll }),
              0);
    world.backend = *world.loop->backend;
    world.backend.wait = model_kernel;
    world.loop->backend = &world.backend;
    world.wanted = scenario->wanted;
    threads.flag = &world.loop->asleep;
}

/* Each ran once, was refused or dropped. */
static void check_sent(const struct sent *sent)
{
    unsigned state = sent->handle.state_ & HANDLE_STATE_MASK;

    if (sent->runs > 1)
        violate("a callback ran twice");
    if (sent->result == ASYNCIO_ECLOSED && sent->runs > 0)
        violate("a callback ran that was refused");
    if (sent->result != 0 && sent->result != ASYNCIO_ECLOSED)
        violate("a callback was refused for another reason");
    if (sent->result == 0 && sent->runs == 0 && state != HANDLE_CANCELLED && state != HANDLE_IDLE)
        violate("a callback is still scheduled, and the loop is gone");
    if (sent->tried && sent->result == 0 && sent->runs == 0 && !sent->cancelled &&
        world.wanted != 0)
        violate("a callback was lost");
}

static void check_freed(void)
{
    const unsigned char *bytes = (unsigned char *)world.freed;

    for (size_t i = 0; world.freed != NULL && i < sizeof *world.freed; i++)
        if (bytes[i] != POISON)
            violate("a handle is touched whose cancel has returned");
    free(world.freed);
}

static const char *run_schedule(const struct scenario *scenario, enum plant plant)
{
    threads_begin(scenario->preemptions, plant);
    make_loop(scenario);
    for (int i = 0; i < 3; i++)
        if (scenario->bodies[i] != NULL)
            thread_add(scenario->bodies[i]);
    threads_run();
    if (threads.violation == NULL) {
        check_sent(&world.sent[0]);
        check_sent(&world.sent[1]);
        check_freed();
        asyncio_loop_unref(world.loop);
    }
    return threads.violation;
}

/* What was violated first, or NULL. */
static const char *explore_scenario(const struct scenario *scenario, enum plant plant)
{
    const char *violation;

    explore_begin();
    do {
        violation = run_schedule(scenario, plant);
    } while (violation == NULL && explore_next());
    return violation;
}

static const struct scenario one_sender = {
    "one callback, a loop that sleeps", { runs_loop, sends_first, NULL }, 1, 0, 100
};
static const struct scenario two_senders = {
    "two callbacks of two threads", { runs_loop, sends_first, sends_second }, 2, 0, 3
};
static const struct scenario spinning = {
    "one callback, a loop that spins", { runs_loop, sends_first, NULL }, 1, 3e-6, 3
};
static const struct scenario canceller = {
    "a callback and its cancellation", { runs_loop, sends_and_cancels, NULL }, SECOND, 0, 3
};
static const struct scenario stopper = { "a stop", { runs_loop, stops, NULL }, 0, 0, 100 };
static const struct scenario stop_and_send = {
    "a stop and a callback", { runs_loop, stops, sends_first }, 0, 0, 3
};
static const struct scenario freer = { "a callback that ends the loop, which is freed",
                                       { runs_and_frees_loop, sends_first, NULL },
                                       1,
                                       0,
                                       100 };
static const struct scenario batch = {
    "a batch whose last is cancelled", { runs_a_batch, cancels_second, NULL }, 0, 0, 4
};
static const struct scenario closer = {
    "two callbacks, a loop that closes", { runs_a_turn, sends_first, sends_second }, 0, 0, 3
};

static const struct scenario closer_of_cancelled = {
    "a cancellation, a loop that closes", { runs_a_turn, sends_cancels_and_frees, NULL }, 0, 0, 3
};

static void check_scenario(const struct scenario *scenario)
{
    const char *violation = explore_scenario(scenario, NOTHING_WRONG);

    HOLDS(violation == NULL, "%s: %s", scenario->name, violation);
    explore_report(scenario->name);
}

TEST(a_loop_that_has_something_to_do_does_not_sleep)
{
    check_scenario(&one_sender);
    check_scenario(&two_senders);
    check_scenario(&spinning);
    check_scenario(&stopper);
    check_scenario(&stop_and_send);
}

TEST(a_callback_that_was_cancelled_does_not_run)
{
    check_scenario(&canceller);
    check_scenario(&batch);
}

TEST(a_closed_loop_is_left_alone)
{
    check_scenario(&freer);
    check_scenario(&closer);
    check_scenario(&closer_of_cancelled);
}

/* ---- planted ---- */

static void check_found(const struct scenario *scenario, enum plant plant, const char *what)
{
    fflush(stdout);
    pid_t child = fork();

    if (child == 0) {
        const char *violation = explore_scenario(scenario, plant);

        printf("  planted: %-35s %9lu schedules, then: %s\n", what, explorer.schedules + 1,
               violation != NULL ? violation : "nothing was found");
        fflush(stdout);
        _exit(violation != NULL ? 0 : 1);
    }
    int status = -1;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}

TEST(planted_bugs_are_found)
{
    check_found(&one_sender, FLAG_COMES_LATE, "the flag comes after the looks");
    check_found(&one_sender, SIGNAL_GETS_LOST, "a signal before the sleep is lost");
    check_found(&canceller, NOBODY_IS_TOLD, "a cancel that waits is not told");
}
