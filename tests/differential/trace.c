/* trace.c - what a program leaves behind: events, ended by semicolons, in one line. */
#include "interpreter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USER_ERROR = -200 };

int user_error(int number)
{
    return USER_ERROR - number;
}

static const char *error_name(int error, char *text, size_t size)
{
    static const struct {
        int error;
        const char *name;
    } names[] = {
        { -ECANCELED, "cancelled" },   { -ETIMEDOUT, "timeout" }, { ASYNCIO_ESTATE, "state" },
        { ASYNCIO_ESHUTDOWN, "shut" }, { -EAGAIN, "again" },      { ASYNCIO_EBROKEN, "broken" },
        { -EINVAL, "invalid" },        { -EDEADLK, "deadlock" },
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].error == error)
            return names[i].name;
    if (error <= USER_ERROR && error > USER_ERROR - 100)
        snprintf(text, size, "E%d", USER_ERROR - error);
    else
        snprintf(text, size, "%s", asyncio_error_name(error));
    return text;
}

ASYNCIO_PRINTF(2, 3) static void put(struct program *program, const char *format, ...)
{
    enum { EVENT_MAX = 400 };
    va_list args;

    if (program->capacity - program->size < EVENT_MAX) {
        program->capacity = program->capacity * 2 + EVENT_MAX;
        program->trace = realloc(program->trace, program->capacity);
        if (program->trace == NULL)
            abort();
    }
    va_start(args, format);
    int n = vsnprintf(program->trace + program->size, EVENT_MAX, format, args);
    va_end(args);
    program->size += n < EVENT_MAX ? (size_t)n : EVENT_MAX - 1;
}

void event(struct run *run, const char *what, int number, int result)
{
    struct program *program = run->program;
    asyncio_loop *loop = asyncio_get_running_loop();
    char text[64];

    put(program, "%g ", (asyncio_loop_time(loop) - program->begun) / TICK);
    if (run->number < 0)
        put(program, "cb ");
    else
        put(program, "T%d ", run->number);
    put(program, "%s#%d=", what, number);
    if (result >= 0)
        put(program, "%d", result);
    else
        put(program, "%s", error_name(result, text, sizeof text));
    if (run->note[0] != '\0')
        put(program, " %s", run->note);
    run->note[0] = '\0';
    if (run->task != NULL && asyncio_task_cancelling(run->task) > 0)
        put(program, " /%d", asyncio_task_cancelling(run->task));
    put(program, ";");
}

void note(struct run *run, const char *format, ...)
{
    size_t used = strlen(run->note);
    va_list args;

    va_start(args, format);
    vsnprintf(run->note + used, sizeof run->note - used, format, args);
    va_end(args);
}

void note_result(struct run *run, int result)
{
    char text[64];

    if (result >= 0)
        note(run, "%d", result);
    else
        note(run, "%s", error_name(result, text, sizeof text));
}
