/* command.c - main() of a test executable: its command line, and which of its tests that wants. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "harness_parts.h"
#include "torture/torture.h"

enum { TORTURE_RUNS = 200 /* of one test */ };

/* ---- torture -------------------------------------------------------------------------------- */

static void torture_run(int subject)
{
    harness.current = subject;
    harness.selected[subject]->fn();
}

static const char *torture_name(int subject)
{
    return harness.selected[subject]->name;
}

/* ---- the command line ----------------------------------------------------------------------- */

struct command {
    bool list, one; /* one: a single torture run of the test called `subject` */
    const char *subject;
    char **names;
    struct fault_plan plan;
    struct torture torture;
};

static const char usage[] =
    "usage: TEST [OPTION...] [NAME...]\n"
    "  NAME         only tests whose name contains one of these\n"
    "  --list       only print their names\n"
    "  --no-fork    in this very process, for a debugger\n"
    "  --torture    each again and again, while calls fail and tasks are cancelled\n"
    "  --max N      at most N torture runs of each; 0: all\n"
    "To repeat one torture run, in this process:\n"
    "  --subject NAME  --plain | --fail K | --fail-on K | --cancel K [--again K] |\n"
    "                  --interrupt K | --short | --spurious | --signals\n";

/* False: no such option. */
static bool parse_flag(struct command *command, const char *option)
{
    if (strcmp(option, "--list") == 0)
        command->list = true;
    else if (strcmp(option, "--no-fork") == 0)
        harness.without_fork = true;
    else if (strcmp(option, "--torture") == 0)
        harness.torturing = true;
    else if (strcmp(option, "--plain") == 0)
        command->one = true;
    else if (strcmp(option, "--short") == 0)
        command->one = command->plan.short_transfers = true;
    else if (strcmp(option, "--spurious") == 0)
        command->one = command->plan.spurious = true;
    else if (strcmp(option, "--signals") == 0)
        command->one = command->plan.signals = true;
    else
        return false;
    return true;
}

static bool parse_plan(struct fault_plan *plan, const char *option, const char *value)
{
    uint64_t k = strtoull(value, NULL, 10);

    plan->fail_on = strcmp(option, "--fail-on") == 0;
    if (plan->fail_on || strcmp(option, "--fail") == 0)
        plan->fail_call = k;
    else if (strcmp(option, "--cancel") == 0)
        plan->cancel_suspension = k;
    else if (strcmp(option, "--again") == 0)
        plan->cancel_again = k;
    else if (strcmp(option, "--interrupt") == 0)
        plan->interrupt_suspension = k;
    else
        return false;
    return true;
}

static bool parse_value(struct command *command, const char *option, const char *value)
{
    if (!value)
        return false;
    if (strcmp(option, "--subject") == 0)
        command->subject = value;
    else if (strcmp(option, "--max") == 0)
        command->torture.max = (int)strtol(value, NULL, 10);
    else if (parse_plan(&command->plan, option, value))
        command->one = true;
    else
        return false;
    return true;
}

/* By what cannot run on this back end: names, with commas between. */
static bool is_left_out(const char *name)
{
    const char *list = getenv("ASYNCIO_TESTS_LEFT_OUT");
    size_t size = strlen(name);

    for (; list != NULL && *list != '\0'; list += list[strcspn(list, ",")] == ',') {
        size_t length = strcspn(list, ",");

        if (length == size && strncmp(list, name, size) == 0)
            return true;
        list += length;
    }
    return false;
}

static bool is_wanted(const struct test *test, const struct command *command)
{
    if (command->subject)
        return strcmp(test->name, command->subject) == 0;
    if (!*command->names)
        return !is_left_out(test->name);
    for (char **name = command->names; *name; name++) {
        if (strstr(test->name, *name))
            return true;
    }
    return false;
}

static int run_torture(const struct command *command)
{
#ifndef ASYNCIO_FAULT_INJECTION
    puts("built without ASYNCIO_FAULT_INJECTION");
    return SKIPPED_STATUS;
#endif
    if (!command->one)
        return torture_all(&command->torture) ? 0 : 1;
    harness.torturing = true;
    for (int i = 0; i < harness.count; i++) {
        if (!torture_one(&command->torture, i, &command->plan))
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct command command = { .torture = { torture_run, torture_name, harness_skipped, argv[0],
                                            .max = TORTURE_RUNS } };
    char **arg = argv + 1;

    (void)argc;
    harness.arguments = argv;
    for (; *arg && (*arg)[0] == '-'; arg++) {
        if (parse_flag(&command, *arg))
            continue;
        if (!parse_value(&command, arg[0], arg[1])) {
            fputs(usage, stderr);
            return 2;
        }
        arg++;
    }
    command.names = arg;
    for (struct test *test = harness.tests; test && harness.count < MAX_TESTS; test = test->next) {
        if (is_wanted(test, &command))
            harness.selected[harness.count++] = test;
    }
    for (int i = 0; command.list && i < harness.count; i++)
        puts(harness.selected[i]->name);
    if (command.list)
        return 0;
    if (!backend_as_wanted(argv[0]))
        return 0;
    harness_prepare();
    command.torture.count = harness.count;
    if (harness.torturing || command.one)
        return run_torture(&command);
    return harness_run();
}
