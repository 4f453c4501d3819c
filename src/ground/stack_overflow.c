/* stack_overflow.c - tells a fault in a guard page from other faults.
 *
 * Each watching thread has an alternate stack, since the handler cannot run on the one that is
 * full; a thread that has one already (a sanitizer's, another run time's) keeps it.  The handlers
 * are the process's: installed when the first thread watches and given back after the last, each
 * only where the action was the default one - so that any other fault goes its usual way by putting
 * the default back.
 */
#include "ground/stack_overflow.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ground/sys.h"

enum { ALTERNATE_SIZE = 64 * 1024 }; /* the registers of AVX-512 and AMX alone take 11 KiB */

static const int faults[] = { SIGSEGV, SIGBUS };
enum { FAULT_COUNT = sizeof faults / sizeof faults[0] };

/* Of the process. */
static unsigned watching;
static bool installed[FAULT_COUNT];
static stack_overflow_find *find_running;

/* Of the thread. */
static _Thread_local unsigned depth;
static _Thread_local void *alternate;

/* ---- in the handler: only what is async-signal-safe ---- */

struct sentence {
    char text[256];
    size_t length;
};

static void append(struct sentence *sentence, const char *text)
{
    while (*text != '\0' && sentence->length < sizeof sentence->text)
        sentence->text[sentence->length++] = *text++;
}

static void append_number(struct sentence *sentence, size_t number)
{
    char digits[24];
    char *first = &digits[sizeof digits - 1];

    *first = '\0';
    do
        *--first = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    append(sentence, first);
}

static void report(const struct stack_overflow_info *info)
{
    struct sentence sentence = { .length = 0 };

    append(&sentence, "asyncio: the stack of ");
    if (info->name != NULL) {
        append(&sentence, "task '");
        append(&sentence, info->name);
        append(&sentence, "'");
    } else {
        append(&sentence, "a task");
    }
    append(&sentence, " overflowed");
    if (info->size > 0) {
        append(&sentence, " (");
        append_number(&sentence, info->size / 1024);
        append(&sentence, " KiB)");
    }
    append(&sentence, "; give it more with stack_size\n");
    (void)!write(STDERR_FILENO, sentence.text, sentence.length); /* nobody else to be told */
}

static void set_default(int signal)
{
    struct sigaction action = { .sa_handler = SIG_DFL };

    (void)sigaction(signal, &action, NULL); /* cannot fail for these */
}

static void on_fault(int signal, siginfo_t *fault, void *context)
{
    struct stack_overflow_info info = { .name = NULL };
    const char *address = fault->si_addr;

    (void)context;
    if (fault->si_code > 0 && find_running(&info) && address >= (const char *)info.guard_low &&
        address < (const char *)info.guard_high) {
        report(&info);
        set_default(SIGABRT); /* its handler, if there is one, expects a stack */
        abort();
    }
    set_default(signal);
    /* On return the instruction faults again, for good.  A signal that was sent does not repeat. */
    if (fault->si_code <= 0)
        (void)raise(signal);
}

/* ---- watching ---- */

static bool has_default_action(int signal)
{
    struct sigaction now;

    (void)sigaction(signal, NULL, &now); /* of these it always tells */
    return (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL;
}

static bool has_our_action(int signal)
{
    struct sigaction now;

    (void)sigaction(signal, NULL, &now);
    return (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_fault;
}

/* For the process. */
static void handlers_install(stack_overflow_find *find)
{
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK };

    action.sa_sigaction = on_fault;
    (void)sigemptyset(&action.sa_mask);
    sys_lock(SYS_LOCK_FAULTS);
    if (watching++ == 0) {
        find_running = find;
        for (size_t i = 0; i < FAULT_COUNT; i++) {
            installed[i] = has_default_action(faults[i]);
            if (installed[i])
                (void)sigaction(faults[i], &action, NULL);
        }
    }
    sys_unlock(SYS_LOCK_FAULTS);
}

static void handlers_remove(void)
{
    sys_lock(SYS_LOCK_FAULTS);
    if (--watching == 0)
        for (size_t i = 0; i < FAULT_COUNT; i++)
            if (installed[i] && has_our_action(faults[i]))
                set_default(faults[i]);
    sys_unlock(SYS_LOCK_FAULTS);
}

static int alternate_install(void)
{
    stack_t now;

    (void)sigaltstack(NULL, &now); /* as all here, it fails only for nonsense */
    if ((now.ss_flags & SS_DISABLE) == 0)
        return 0;
    alternate = sys_pages_reserve(ALTERNATE_SIZE);
    if (alternate == NULL)
        return -ENOMEM;
    stack_t ours = { .ss_sp = alternate, .ss_size = ALTERNATE_SIZE };
    (void)sigaltstack(&ours, NULL);
    return 0;
}

static void alternate_remove(void)
{
    stack_t now;

    if (alternate == NULL)
        return;
    (void)sigaltstack(NULL, &now);
    if (now.ss_sp == alternate) {
        stack_t none = { .ss_flags = SS_DISABLE };
        (void)sigaltstack(&none, NULL); /* fails only on that stack, where we are not */
    }
    sys_pages_release(alternate, ALTERNATE_SIZE);
    alternate = NULL;
}

int stack_overflow_watch(stack_overflow_find *find)
{
    if (depth == 0) {
        int r = alternate_install();
        if (r < 0)
            return r;
        handlers_install(find);
    }
    depth++;
    return 0;
}

void stack_overflow_unwatch(void)
{
    if (--depth > 0)
        return;
    handlers_remove();
    alternate_remove();
}
