/* dies.h - processes of a test that die: of what they say, or of memory that they may not read. */
#ifndef ASYNCIO_TESTS_DIES_H
#define ASYNCIO_TESTS_DIES_H

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* What `fn` writes to stderr, cut off at `size`, in a process of its own that it must abort. */
static inline void says_as_it_aborts(char *text, size_t size, void (*fn)(void *arg), void *arg)
{
    int ends[2], status = 0;
    size_t length = 0;
    ssize_t n;

    if (test_is_torture())
        SKIP("it is about what aborts");
    CHECK_INT(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        fn(arg);
        _exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* Whether reading there kills; a child tries. */
static inline bool reading_kills(const char *address)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        _exit(*(const volatile char *)address == 'x');
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status);
}

#endif
