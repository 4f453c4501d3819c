/* sys_process_test.c - what a fork's child forgets. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ground/sys.h"
#include "harness.h"

static int forgotten;

#define FORGETTER(n)                                                                               \
    static void forget_##n(void)                                                                   \
    {                                                                                              \
        forgotten += 1 << (n);                                                                     \
    }
FORGETTER(0)
FORGETTER(1)
FORGETTER(2)
FORGETTER(3)
FORGETTER(4)
FORGETTER(5)
FORGETTER(6)
FORGETTER(7)
FORGETTER(8)

static void (*const forgetters[])(void) = { forget_0, forget_1, forget_2, forget_3, forget_4,
                                            forget_5, forget_6, forget_7, forget_8 };

static int status_of(pid_t child)
{
    int status = -1;

    CHECK_INT(waitpid(child, &status, 0), child);
    return status;
}

/* Once each, however often it was told; the parent forgets nothing. */
TEST(child_forgets_once)
{
    for (int i = 0; i < 3; i++) {
        sys_forget_in_child(forget_0);
        sys_forget_in_child(forget_3);
    }
    pid_t child = fork();
    if (child == 0)
        _exit(forgotten);
    CHECK_INT(WEXITSTATUS(status_of(child)), 1 << 0 | 1 << 3);
    CHECK_INT(forgotten, 0);
}

/* One that would not be told of a fork is a mistake in the library: it ends with a sentence. */
TEST(child_has_only_so_much_to_forget)
{
    char text[200] = "";
    int ends[2];

    if (pipe(ends) < 0)
        FAIL("no pipe");
    pid_t child = fork();
    if (child == 0) {
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ .rlim_cur = 0 });
        (void)dup2(ends[1], STDERR_FILENO);
        for (size_t i = 0; i < sizeof forgetters / sizeof *forgetters; i++)
            sys_forget_in_child(forgetters[i]);
        _exit(0);
    }
    close(ends[1]);
    int status = status_of(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(read(ends[0], text, sizeof text - 1) > 0);
    CHECK(strstr(text, "more than 8 have something to forget") != NULL);
    close(ends[0]);
}
