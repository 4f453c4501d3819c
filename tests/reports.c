/* reports.c - keeps what the exception handler of a loop is told. */
#include <stdio.h>
#include <string.h>

#include "harness.h"

static struct reports reports;

static int keep_report(asyncio_loop *loop, void *arg, const asyncio_exception_context *context)
{
    (void)loop;
    (void)arg;
    if (reports.count < (int)(sizeof reports.list / sizeof *reports.list)) {
        struct report *report = &reports.list[reports.count];
        *report = (struct report){ .error = context->error, .task = context->task };
        snprintf(report->message, sizeof report->message, "%s", context->message);
    }
    reports.count++;
    return 0;
}

struct reports *reported(asyncio_loop *loop)
{
    asyncio_loop_set_exception_handler(loop, keep_report, NULL);
    return &reports;
}

int reported_count(const char *text)
{
    int count = 0;

    for (int i = 0; i < reports.count && i < (int)(sizeof reports.list / sizeof *reports.list); i++)
        count += strstr(reports.list[i].message, text) != NULL;
    return count;
}
