/* main.c - asyncio-ps: the command.  See ps.h. */
#include "ps/ps.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asyncio.h"

struct command {
    bool tree;
    int retries;
    pid_t pid;
};

static const char usage[] =
    "usage: asyncio-ps [--retries N] ps PID       the tasks of a process, a line each\n"
    "       asyncio-ps [--retries N] pstree PID   with what each awaits below it, and stacks\n";

static bool parse_number(const char *text, long least, long most, long *number)
{
    char *end;

    errno = 0;
    *number = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *number >= least && *number <= most;
}

static bool parse(struct command *command, int argc, char **argv)
{
    static const struct option options[] = { { "retries", required_argument, NULL, 'r' }, { 0 } };
    long number;
    int option;

    *command = (struct command){ .retries = 3 };
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'r' || !parse_number(optarg, 0, 1000, &number))
            return false;
        command->retries = (int)number;
    }
    if (argc - optind != 2 || !parse_number(argv[optind + 1], 1, INT_MAX, &number))
        return false;
    command->pid = (pid_t)number;
    command->tree = strcmp(argv[optind], "pstree") == 0;
    return command->tree || strcmp(argv[optind], "ps") == 0;
}

static int look(const struct command *command)
{
    struct target target;
    struct ps_tasks tasks;
    int r = target_open(&target, command->pid);

    if (r < 0)
        return r;
    r = tasks_read(&tasks, &target);
    if (r == 0) {
        stacks_read(&tasks, &target);
        r = command->tree ? show_tree(&tasks) : show_table(&tasks);
        tasks_free(&tasks);
    }
    target_close(&target);
    return r;
}

static void explain(const struct command *command, int error)
{
    switch (error) {
    case -ENOENT:
        fprintf(stderr,
                "asyncio-ps: process %d does not use libasyncio, or the file with it is gone\n",
                (int)command->pid);
        break;
    case -EPROTO:
        fprintf(stderr, "asyncio-ps: process %d uses another version of libasyncio\n",
                (int)command->pid);
        break;
    case -EPERM:
    case -EACCES:
        fprintf(stderr,
                "asyncio-ps: not allowed to read process %d: it takes the same user, and what "
                "/proc/sys/kernel/yama/ptrace_scope wants; or root\n",
                (int)command->pid);
        break;
    case -EAGAIN:
        fprintf(stderr,
                "asyncio-ps: the tasks of process %d changed too fast, try --retries; "
                "or its memory is damaged\n",
                (int)command->pid);
        break;
    case -EOVERFLOW:
        fprintf(stderr,
                "asyncio-ps: process %d has more than can be shown: %d tasks, %d links of lists\n",
                (int)command->pid, TASKS_MAX, LINKS_MAX);
        break;
    case -ELOOP: break; /* was shown */
    default:
        fprintf(stderr, "asyncio-ps: process %d: %s\n", (int)command->pid, asyncio_strerror(error));
    }
}

int main(int argc, char **argv)
{
    struct command command;
    int r;

    if (!parse(&command, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    do
        r = look(&command);
    while (r == -EAGAIN && command.retries-- > 0);
    if (r < 0)
        explain(&command, r);
    if (ferror(stdout) || fflush(stdout) != 0) {
        fputs("asyncio-ps: cannot write to its output\n", stderr);
        return 1;
    }
    return r < 0;
}
