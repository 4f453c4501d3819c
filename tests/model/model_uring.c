/* model_uring.c - who has the buffer of an operation that is cancelled, on a proactor.
 *
 * The back end is the library's own; the kernel is played (kernel.h).  A receive and a send are
 * submitted, cancelled, begun again by their own `done`, in turns of the loop and between them,
 * while runs end, the socket is given up and the loop is closed, in every order and with everything
 * the kernel may answer.  Checked: `done` is called once, with what the kernel has said, and only
 * when the kernel has let go; after that it does not touch the buffer.
 */
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "loop/uring.h"

#if !defined(ASYNCIO_URING)

TEST(buffers_are_the_kernels_until_it_lets_go)
{
    SKIP("not in these headers");
}

#else

#include "kernel.h"

enum { BUFFER_SIZE = 8, OPS = 2, OWNERS = 'o' };

struct subject {
    asyncio_op op;
    char buffer[BUFFER_SIZE];
    bool submitted; /* and not done: the buffer is the loop's or the kernel's */
    bool ended;     /* ... with bytes: what the kernel has said */
    int cancels, submits, again;
};

static struct world {
    asyncio_loop *loop;
    int fds[2];
    bool owned;
    struct subject subjects[OPS];
    int runs;
} world;

static bool lets_go_early; /* planted: see below */

static uint64_t word_of(struct subject *subject)
{
    return (uint64_t)(uintptr_t)&subject->op | URING_OP;
}

static struct subject *subject_of(uint64_t user_data)
{
    for (int i = 0; i < OPS; i++)
        if (word_of(&world.subjects[i]) == user_data)
            return &world.subjects[i];
    return NULL;
}

static bool kernel_writes(uint64_t user_data, char *buffer)
{
    struct subject *subject = subject_of(user_data);

    if (subject == NULL || !subject->submitted || buffer != subject->buffer)
        return false;
    subject->ended = true;
    if (subject == &world.subjects[0]) /* the receive */
        memset(buffer, FROM_KERNEL, MOVED);
    return true;
}

static bool is_cancelled(uint64_t user_data)
{
    const struct subject *subject = subject_of(user_data);

    return subject != NULL && subject->cancels > 0;
}

static void submit(struct subject *subject);

static void is_done(asyncio_op *op, int result)
{
    struct subject *subject = subject_of((uint64_t)(uintptr_t)op | URING_OP);

    if (!subject->submitted)
        violate("done was called twice");
    subject->submitted = false;
    kernel_forget(word_of(subject));
    if (kernel_has(word_of(subject)))
        violate("done was called, and the kernel has the operation");
    if ((result == MOVED) != subject->ended)
        violate(result == MOVED ? "bytes were moved by nobody" : "what was moved is lost");
    if (result != MOVED && result != -ECANCELED)
        violate("it ended with what the kernel has not said");
    if (result == -ECANCELED && subject->cancels == 0 && world.owned)
        violate("it was cancelled by nobody");
    memset(subject->buffer, OWNERS, BUFFER_SIZE);
    if (subject->again > 0 && world.owned) {
        subject->again--;
        submit(subject);
    }
}

static void submit(struct subject *subject)
{
    bool receives = subject == &world.subjects[0];

    op_prepare(&subject->op, world.loop, receives ? OP_RECV : OP_SEND, world.fds[0],
               subject->buffer, BUFFER_SIZE, NULL);
    subject->op.done = is_done;
    subject->submitted = true;
    subject->ended = false;
    subject->cancels = 0;
    subject->submits++;
    op_submit(&subject->op);
}

/* ---- steps ---- */

static int stop(void *arg)
{
    asyncio_loop_stop(arg);
    return 0;
}

/* A whole run of one iteration; then all requests are taken back. */
static void run_and_end(void)
{
    static asyncio_handle handle;

    handle = (asyncio_handle){ .fn_ = NULL };
    world.runs++;
    CHECK_INT(asyncio_loop_call_soon(world.loop, &handle, stop, world.loop), 0);
    CHECK_INT(asyncio_loop_run_forever(world.loop), 0);
}

static void give_up_socket(void)
{
    world.owned = false;
    loop_disown_fd(world.loop, world.fds[0]);
    for (int i = 0; i < OPS; i++)
        if (kernel_has(word_of(&world.subjects[i])))
            violate("a socket was given up that the kernel has");
}

static bool can_submit(const struct subject *subject, int most)
{
    return !subject->submitted && world.owned && subject->submits < most;
}

static bool can_cancel(const struct subject *subject)
{
    return subject->submitted && subject->cancels < 2;
}

enum step { TURN, RUN, GIVE_UP, SUBMIT, CANCEL = SUBMIT + OPS };

/* One of those that are possible now. */
static void do_step(int submits_most)
{
    int able[3 + 2 * OPS], count = 0;

    able[count++] = TURN;
    if (world.runs < 1)
        able[count++] = RUN;
    if (world.owned)
        able[count++] = GIVE_UP;
    for (int i = 0; i < OPS; i++) {
        if (can_submit(&world.subjects[i], i == 0 ? submits_most : 1))
            able[count++] = SUBMIT + i;
        if (can_cancel(&world.subjects[i]))
            able[count++] = CANCEL + i;
    }
    int chosen = able[choose(count)];
    if (chosen == TURN) {
        asyncio_ignore(asyncio_loop_run_once(world.loop, 0));
    } else if (chosen == RUN) {
        run_and_end();
    } else if (chosen == GIVE_UP) {
        give_up_socket();
    } else if (chosen < CANCEL) {
        submit(&world.subjects[chosen - SUBMIT]);
    } else {
        world.subjects[chosen - CANCEL].cancels++;
        asyncio_op_cancel(&world.subjects[chosen - CANCEL].op);
    }
}

/* ---- schedules ---- */

/* What is allowed for in all schedules of one exploration. */
struct bounds {
    int steps, submits, again; /* of the receive: at most, and by its own `done` */
    int interruptions;
};

static void make_world(const struct bounds *bounds)
{
    memset(&world, 0, sizeof world);
    memset(&kernel, 0, sizeof kernel);
    kernel.writes = kernel_writes;
    kernel.cancelled = is_cancelled;
    kernel.interruptions = bounds->interruptions;
    world.subjects[0].again = bounds->again;
    CHECK_INT(
        asyncio_proactor_event_loop_new(&world.loop, &(asyncio_loop_options){ .backend = "uring" }),
        0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, world.fds), 0);
    CHECK_INT(loop_own_fd(world.loop, world.fds[0]), 0);
    world.owned = true;
}

/* The loop is closed with whatever is under way. */
static void end_world(void)
{
    world.owned = false;
    CHECK_INT(asyncio_loop_close(world.loop), 0);
    asyncio_loop_unref(world.loop);
    close(world.fds[0]);
    close(world.fds[1]);
    for (int i = 0; i < OPS; i++)
        if (world.subjects[i].submitted)
            violate("done was never called");
}

/* What was violated first, or NULL. */
static const char *explore_steps(const struct bounds *bounds)
{
    explore_begin();
    do {
        make_world(bounds);
        for (int i = 0; i < bounds->steps && kernel.violation == NULL; i++)
            do_step(bounds->submits);
        if (kernel.violation == NULL)
            end_world();
    } while (kernel.violation == NULL && explore_next());
    return kernel.violation;
}

static void check_steps(const char *name, const struct bounds *bounds)
{
    const char *violation = explore_steps(bounds);

    HOLDS(violation == NULL, "%s: %s", name, violation);
    explore_report(name);
}

TEST(buffers_are_the_kernels_until_it_lets_go)
{
    check_steps("receive and send, six steps", &(struct bounds){ 6, 1, 0, 0 });
    check_steps("receive that begins again, six steps", &(struct bounds){ 6, 2, 1, 0 });
}

/* Nobody but the loop hears of that. */
TEST(an_interrupted_request_goes_on)
{
    check_steps("two interruptions, five steps", &(struct bounds){ 5, 1, 0, 2 });
}

/* ---- planted ---- */

void __wrap_uring_cancel_op(struct asyncio_loop *loop, asyncio_op *op);
void __real_uring_cancel_op(struct asyncio_loop *loop, asyncio_op *op);

/* Wrong on purpose: the operation ends at once, as where the kernel only tells readiness. */
void __wrap_uring_cancel_op(struct asyncio_loop *loop, asyncio_op *op)
{
    if (!lets_go_early || op->private_.backend_[0] != URING_OWN) {
        __real_uring_cancel_op(loop, op);
        return;
    }
    struct readiness_fd *entry = &readiness_of(loop)->fds[op->private_.fd_];
    list_remove(&entry->carried_out, &op->private_.handle_.queued_.link_);
    op_complete(op, -ECANCELED);
}

TEST(planted_bug_is_found)
{
    fflush(stdout);
    pid_t child = fork();

    if (child == 0) {
        lets_go_early = true;
        const char *violation = explore_steps(&(struct bounds){ 5, 1, 0, 0 });
        printf("  planted: a cancel lets go at once            %9lu schedules, then: %s\n",
               explorer.schedules + 1, violation != NULL ? violation : "nothing was found");
        fflush(stdout);
        _exit(violation != NULL ? 0 : 1);
    }
    int status = -1;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}

#endif
