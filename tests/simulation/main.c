/* main.c - runs scenarios for many seeds in one process, each twice if told to, and prints a line
 * for each; tests/simulation/run.py starts it.
 *
 *     simulate [--list] [--seeds N] [--first SEED] [--twice] [--trace] [SCENARIO...]
 *
 * A line: name, seeds, failures, seconds, digest; then one with what was counted.  A failure prints
 * what is broken, and the seed; the other seeds are run all the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scenario.h"

static const struct scenario *const scenarios[] = {
    &scenario_echo,      &scenario_shutdown, &scenario_connect,  &scenario_timeouts,
    &scenario_datagrams, &scenario_chat,     &scenario_protocol, &scenario_crowd,
#ifdef ASYNCIO_TLS
    &scenario_tls,
#endif
};

enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

struct command {
    uint64_t seeds, first;
    bool list, twice, trace;
    const char *names[SCENARIOS];
    int name_count;
};

static void say_nothing(void *arg, enum asyncio_log_level level, const char *message)
{
    (void)arg;
    (void)level;
    (void)message;
}

static double now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* One seed; the digest is of all that happened. */
static int run_one(const struct scenario *scenario, uint64_t seed, const struct command *command,
                   asyncio_testing_counts *counts, uint64_t *digest)
{
    *digest = 0;
    return asyncio_testing_run(scenario->run, NULL,
                               &(asyncio_testing_options){ .seed = seed,
                                                           .seeds = 1,
                                                           .counts = counts,
                                                           .trace_fd = command->trace ? 1 : 0,
                                                           .digest = digest });
}

static bool run_seed(const struct scenario *scenario, uint64_t seed, const struct command *command,
                     asyncio_testing_counts *counts, uint64_t *sum)
{
    uint64_t digest, again;
    bool good = run_one(scenario, seed, command, counts, &digest) >= 0;

    *sum = *sum * 31 + digest;
    if (!command->twice || strcmp(scenario->name, "tls") == 0) /* whose keys are random */
        return good;
    asyncio_ignore(run_one(scenario, seed, command, NULL, &again));
    if (digest == again)
        return good;
    fprintf(stderr, "%s: seed %llu is not the same twice\n", scenario->name,
            (unsigned long long)seed);
    return false;
}

static void print_counts(const asyncio_testing_counts *counts)
{
#define PRINT(member) printf(" " #member "=%llu", (unsigned long long)counts->member)
    PRINT(connections);
    PRINT(packets);
    PRINT(datagrams);
    PRINT(bytes);
    PRINT(lost);
    PRINT(duplicated);
    PRINT(reordered);
    PRINT(resets);
    PRINT(stalls);
    PRINT(refusals);
    PRINT(short_transfers);
    PRINT(cut);
    PRINT(no_descriptors);
    PRINT(no_memory);
    PRINT(no_names);
    PRINT(spurious);
    PRINT(clock_jumps);
    PRINT(shuffles);
    putchar('\n');
#undef PRINT
}

static int run_scenario(const struct scenario *scenario, const struct command *command)
{
    asyncio_testing_counts counts = { 0 };
    uint64_t sum = 0;
    int failures = 0;
    double start = now();

    for (uint64_t i = 0; i < command->seeds; i++)
        failures += !run_seed(scenario, command->first + i, command, &counts, &sum);
    printf("%s seeds=%llu failures=%d seconds=%.2f digest=%016llx", scenario->name,
           (unsigned long long)command->seeds, failures, now() - start, (unsigned long long)sum);
    print_counts(&counts);
    return failures;
}

static bool is_wanted(const struct command *command, const char *name)
{
    for (int i = 0; i < command->name_count; i++)
        if (strcmp(command->names[i], name) == 0)
            return true;
    return command->name_count == 0;
}

static void parse(struct command *command, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
            command->seeds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0 && i + 1 < argc)
            command->first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--list") == 0)
            command->list = true;
        else if (strcmp(argv[i], "--twice") == 0)
            command->twice = true;
        else if (strcmp(argv[i], "--trace") == 0)
            command->trace = true;
        else if (command->name_count < SCENARIOS)
            command->names[command->name_count++] = argv[i];
    }
}

int main(int argc, char **argv)
{
    struct command command = { .seeds = 100, .first = 1 };
    int failures = 0;

    parse(&command, argc, argv);
    asyncio_set_log_function(say_nothing, NULL, ASYNCIO_LOG_ERROR);
    for (int i = 0; command.list && i < SCENARIOS; i++)
        puts(scenarios[i]->name);
    for (int i = 0; !command.list && i < SCENARIOS; i++)
        if (is_wanted(&command, scenarios[i]->name))
            failures += run_scenario(scenarios[i], &command);
    return failures > 0;
}
