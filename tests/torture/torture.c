/* torture.c - see torture.h.
 *
 * The runs of a subject are a list of plans, made after the run that counts.  Two processes at a
 * time work it off.  What a process has to say comes back in memory shared with it, what it writes
 * to stderr in a memory file, of which the end is shown if it failed.
 */
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../harness.h"

#ifdef ASYNCIO_FAULT_INJECTION

enum {
    JOBS = 2,
    RUN_MS = 5000,
    SHORT_RUN_MS = 60000, /* a megabyte takes a while, byte by byte */
    PATIENCE_MS = 300,    /* with a subject that may go on for ever, then SIGINT */
    INTERVAL_MS = 1500,   /* until the next: it may do several things one after the other */
    SIGNALS_US = 500,     /* from one signal to the next */
    MAX_HANGS = 5,        /* then the subject is given up: each costs its whole limit */
    SHOWN_OUTPUTS = 2,    /* of a subject, the ends of stderr */
    SHOWN_FAILURES = 25,
};

/* What a process tells: how far it came, and its complaint. */
struct report_slot {
    uint64_t calls, suspensions;
    bool ended, sigint_may_kill, may_go_on;
    char complaint[1000];
};

struct job {
    pid_t pid; /* 0: free */
    struct fault_plan plan;
    int64_t started_ms;
    int interrupts; /* by us */
    int output;     /* a memory file */
    struct report_slot *slot;
};

struct runs {
    const struct torture *torture;
    int subject;
    struct fault_plan *plans;
    int count;
    int done, failures, hangs;
};

static struct job jobs[JOBS];
static int calls_failed, tasks_cancelled; /* in all runs, by plan */
static struct report_slot *own_slot;      /* in the process of a run */
static struct fault_plan own_plan;

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* ---- in the process of a run ---------------------------------------------------------------- */

void torture_interrupt_at(uint64_t suspension)
{
    if (own_plan.interrupt_suspension == 0)
        own_plan.interrupt_suspension = suspension;
    fault_set_plan(&own_plan);
}

void torture_sigint_may_kill(void)
{
    if (own_slot)
        own_slot->sigint_may_kill = true;
}

void torture_may_go_on(void)
{
    if (own_slot)
        own_slot->may_go_on = true;
}

/* Whatever waits for something to be ready is interrupted, again and again.  Other calls are begun
 * anew by the kernel: the library's are those that never wait, and the subjects' are not tested. */
static void nothing(int number)
{
    (void)number;
}

static void send_signals(bool begin)
{
    struct itimerval often = { .it_interval = { 0, SIGNALS_US }, .it_value = { 0, SIGNALS_US } };
    struct sigaction action = { .sa_handler = nothing, .sa_flags = SA_RESTART };

    if (begin)
        sigaction(SIGALRM, &action, NULL);
    else
        often = (struct itimerval){ 0 };
    setitimer(ITIMER_REAL, &often, NULL);
}

/* False, and a complaint in the slot, if the subject left anything behind. */
static bool run_subject(const struct torture *torture, int subject, const struct fault_plan *plan,
                        struct report_slot *slot)
{
    char sentence[sizeof slot->complaint - 20];

    own_slot = slot;
    own_plan = *plan;
    leftovers_remember();
    fault_set_plan(&own_plan);
    if (plan->signals)
        send_signals(true);
    torture->run(subject);
    if (plan->signals)
        send_signals(false);
    slot->calls = fault_calls();
    slot->suspensions = fault_suspensions();
    slot->ended = true;
    fault_set_plan(&(struct fault_plan){ 0 });
    if (!leftovers_none(sentence, sizeof sentence)) {
        snprintf(slot->complaint, sizeof slot->complaint, "left behind: %s", sentence);
        return false;
    }
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check() != 0) {
        snprintf(slot->complaint, sizeof slot->complaint, "leaked memory");
        return false;
    }
    return true;
}

static void be_child(const struct torture *torture, int subject, struct job *job,
                     const sigset_t *mask)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setpgid(0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(job->output, STDERR_FILENO);
    sigprocmask(SIG_SETMASK, mask, NULL);
    bool ok = run_subject(torture, subject, &job->plan, job->slot);
    _exit(ok ? 0 : 1);
}

/* ---- one process after the other ------------------------------------------------------------ */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void start(const struct runs *runs, struct job *job, const struct fault_plan *plan,
                  const sigset_t *mask)
{
    job->plan = *plan;
    calls_failed += plan->fail_call > 0;
    tasks_cancelled += (plan->cancel_suspension > 0) + (plan->cancel_again > 0);
    job->started_ms = now_ms();
    job->interrupts = 0;
    memset(job->slot, 0, sizeof *job->slot);
    if (ftruncate(job->output, 0) < 0 || lseek(job->output, 0, SEEK_SET) < 0)
        abort();
    fflush(NULL);
    job->pid = fork();
    if (job->pid == 0)
        be_child(runs->torture, runs->subject, job, mask);
    if (job->pid < 0) {
        perror("fork");
        exit(1);
    }
}

/* The option that repeats a plan. */
static const char *plan_option(const struct fault_plan *plan, char *text, size_t size)
{
    if (plan->fail_call > 0)
        snprintf(text, size, "--fail%s %llu", plan->fail_on ? "-on" : "",
                 (unsigned long long)plan->fail_call);
    else if (plan->cancel_again > 0)
        snprintf(text, size, "--cancel %llu --again %llu",
                 (unsigned long long)plan->cancel_suspension,
                 (unsigned long long)plan->cancel_again);
    else if (plan->cancel_suspension > 0)
        snprintf(text, size, "--cancel %llu", (unsigned long long)plan->cancel_suspension);
    else if (plan->interrupt_suspension > 0)
        snprintf(text, size, "--interrupt %llu", (unsigned long long)plan->interrupt_suspension);
    else
        snprintf(text, size, "%s",
                 plan->short_transfers ? "--short"
                 : plan->spurious      ? "--spurious"
                 : plan->signals       ? "--signals"
                                       : "--plain");
    return text;
}

static void show_output(int fd)
{
    char text[3000];
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > (off_t)sizeof text ? size - (off_t)sizeof text : 0;
    ssize_t n = pread(fd, text, sizeof text, from);

    if (n <= 0)
        return;
    printf("        | ");
    for (ssize_t i = 0; i < n; i++) {
        putchar(text[i]);
        if (text[i] == '\n' && i + 1 < n)
            printf("        | ");
    }
    if (text[n - 1] != '\n')
        putchar('\n');
}

static void print_failure(struct runs *runs, const struct job *job, const char *what)
{
    const char *backend = getenv("ASYNCIO_BACKEND");
    char option[64];

    runs->failures++;
    if (runs->failures > SHOWN_FAILURES)
        return;
    if (runs->failures == 1)
        printf("FAILED: %s%s%s%s --subject %s\n", backend ? "ASYNCIO_BACKEND=" : "",
               backend ? backend : "", backend ? " " : "", runs->torture->program,
               runs->torture->name(runs->subject));
    printf("    %-20s %s\n", plan_option(&job->plan, option, sizeof option), what);
    if (runs->failures <= SHOWN_OUTPUTS)
        show_output(job->output);
}

/* A second SIGINT from us kills a subject that did not care about the first. */
static bool may_die_of_sigint(const struct job *job)
{
    return job->plan.interrupt_suspension > 0 || job->slot->sigint_may_kill || job->interrupts == 1;
}

static void judge(struct runs *runs, const struct job *job, int status)
{
    char what[sizeof job->slot->complaint + 40];

    runs->done++;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT && may_die_of_sigint(job))
        return;
    if (WIFSIGNALED(status))
        snprintf(what, sizeof what, "%s%s", strsignal(WTERMSIG(status)),
                 job->slot->ended ? " after its end" : "");
    else if (job->slot->complaint[0])
        snprintf(what, sizeof what, "%s", job->slot->complaint);
    else
        snprintf(what, sizeof what, "exit status %d", WEXITSTATUS(status));
    print_failure(runs, job, what);
}

/* How much longer things take while others want the processors, too. */
static int crowding(void)
{
    double load[1];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (getloadavg(load, 1) != 1 || processors < 1)
        return 1;
    return 1 + (int)(load[0] / (double)processors);
}

static void kill_if_late(struct runs *runs, struct job *job)
{
    int64_t ms = (now_ms() - job->started_ms) / test_slowness() / crowding();
    int status;

    if (job->slot->may_go_on && ms >= PATIENCE_MS + job->interrupts * INTERVAL_MS) {
        job->interrupts++;
        kill(job->pid, SIGINT);
    }
    if (ms < (job->plan.short_transfers ? SHORT_RUN_MS : RUN_MS))
        return;
    kill(-job->pid, SIGKILL);
    waitpid(job->pid, &status, 0);
    job->pid = 0;
    runs->done++;
    runs->hangs++;
    print_failure(runs, job, "hangs");
}

/* Waits until a process may have ended, and takes those that have. */
static void reap(struct runs *runs, const sigset_t *sigchld)
{
    int status;

    sigtimedwait(sigchld, NULL, &(struct timespec){ .tv_nsec = 100000000 });
    for (int i = 0; i < JOBS; i++) {
        struct job *job = &jobs[i];
        if (job->pid == 0)
            continue;
        if (waitpid(job->pid, &status, WNOHANG) != job->pid) {
            kill_if_late(runs, job);
            continue;
        }
        kill(-job->pid, SIGKILL); /* children that it left */
        job->pid = 0;
        judge(runs, job, status);
    }
}

static void work_off(struct runs *runs)
{
    sigset_t sigchld, mask;
    int next = 0, busy = 0;

    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &sigchld, &mask);
    do {
        busy = 0;
        for (int i = 0; i < JOBS; i++) {
            if (jobs[i].pid == 0 && next < runs->count && runs->hangs < MAX_HANGS)
                start(runs, &jobs[i], &runs->plans[next++], &mask);
            busy += jobs[i].pid != 0;
        }
        if (busy > 0)
            reap(runs, &sigchld);
    } while (busy > 0);
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* ---- subjects ------------------------------------------------------------------------------- */

static void prepare_jobs(void)
{
    for (int i = 0; i < JOBS; i++) {
        jobs[i].output = memfd_create("stderr", MFD_CLOEXEC);
        jobs[i].slot = mmap(NULL, sizeof *jobs[i].slot, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (jobs[i].output < 0 || jobs[i].slot == MAP_FAILED) {
            perror("torture");
            exit(1);
        }
    }
}

/* Returns how many runs there were; adds the failures. */
static int torture_subject(const struct torture *torture, int subject, int *failures)
{
    struct fault_plan plain = { 0 };
    struct runs first = { .torture = torture, .subject = subject, .plans = &plain, .count = 1 };
    const char *name = torture->name(subject);

    work_off(&first);
    *failures += first.failures;
    if (torture->skipped(subject)) {
        printf("%-60s skipped: %s\n", name, torture->skipped(subject));
        return 0;
    }
    if (first.failures > 0) {
        printf("%-60s fails without any fault\n", name);
        return 1;
    }
    struct runs runs = { .torture = torture, .subject = subject };
    struct report_slot counted = *jobs[0].slot;
    runs.plans =
        torture_plans(counted.calls, counted.suspensions, (uint64_t)torture->max, &runs.count);
    work_off(&runs);
    if (runs.failures > SHOWN_FAILURES)
        printf("    ... and %d more\n", runs.failures - SHOWN_FAILURES);
    printf("%-60s %5llu calls %5llu suspensions %5d runs %3d failures%s\n", name,
           (unsigned long long)counted.calls, (unsigned long long)counted.suspensions,
           runs.done + 1, runs.failures, runs.hangs == MAX_HANGS ? ", given up" : "");
    free(runs.plans);
    *failures += runs.failures;
    return runs.done + 1;
}

bool torture_all(const struct torture *torture)
{
    int runs = 0, failures = 0, subjects = 0;

    prepare_jobs();
    for (int i = 0; i < torture->count; i++) {
        int n = torture_subject(torture, i, &failures);
        runs += n;
        subjects += n > 0;
    }
    printf("TORTURE %d subjects, %d runs, %d failures: %d calls failed, %d tasks cancelled\n",
           subjects, runs, failures, calls_failed, tasks_cancelled);
    return failures == 0;
}

bool torture_one(const struct torture *torture, int subject, const struct fault_plan *plan)
{
    static struct report_slot slot;
    bool ok = run_subject(torture, subject, plan, &slot);

    printf("%s: %llu calls, %llu suspensions\n%s\n", torture->name(subject),
           (unsigned long long)slot.calls, (unsigned long long)slot.suspensions,
           ok ? "nothing left behind" : slot.complaint);
    return ok;
}

#else /* without fault injection there is nothing to torture with */

bool torture_all(const struct torture *torture)
{
    (void)torture;
    return true;
}

bool torture_one(const struct torture *torture, int subject, const struct fault_plan *plan)
{
    (void)plan;
    torture->run(subject);
    return true;
}

void torture_interrupt_at(uint64_t suspension)
{
    (void)suspension;
}

void torture_sigint_may_kill(void)
{
}

void torture_may_go_on(void)
{
}

#endif
