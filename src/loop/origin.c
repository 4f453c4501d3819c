/* origin.c - debug mode: where an object was made.
 *
 * Numbers are given out in order and stay valid until the table is given back, which happens with
 * the last loop of the process: objects that outlive it are described without their origin.
 */
#include "loop/origin.h"

#include <stdio.h>
#include <string.h>

#include "ground/backtrace.h"
#include "ground/memory.h"
#include "ground/sys.h"

enum { FRAMES = 10, FRAMES_SKIPPED = 2 };

struct origin {
    void *frames[FRAMES];
    size_t count;
};

static struct origin *table;
static unsigned table_count, table_capacity;

static unsigned find(const struct origin *origin)
{
    for (unsigned i = 0; i < table_count; i++)
        if (table[i].count == origin->count &&
            memcmp(table[i].frames, origin->frames, sizeof origin->frames) == 0)
            return i + 1;
    return 0;
}

static unsigned add(const struct origin *origin)
{
    if (table_count == table_capacity) {
        unsigned capacity = table_capacity > 0 ? 2 * table_capacity : 64;
        struct origin *grown = memory_resize(table, capacity * sizeof *grown);

        if (grown == NULL)
            return 0;
        table = grown;
        table_capacity = capacity;
    }
    table[table_count++] = *origin;
    return table_count;
}

/* Not inlined, for it is the first of the frames to be skipped. */
__attribute__((noinline)) unsigned origin_record(void)
{
    struct origin origin = { .count = 0 };

    origin.count = backtrace_capture(origin.frames, FRAMES, FRAMES_SKIPPED);
    sys_lock(SYS_LOCK_ORIGINS);
    unsigned number = find(&origin);
    if (number == 0)
        number = add(&origin);
    sys_unlock(SYS_LOCK_ORIGINS);
    return number;
}

const char *origin_describe(unsigned origin, char *text, size_t size)
{
    struct origin found = { .count = 0 };
    size_t used = 0;

    sys_lock(SYS_LOCK_ORIGINS);
    if (origin > 0 && origin <= table_count)
        found = table[origin - 1];
    sys_unlock(SYS_LOCK_ORIGINS);
    if (found.count == 0 || size == 0)
        return NULL;
    text[0] = '\0';
    for (size_t i = 0; i < found.count && used + 1 < size; i++) {
        char frame[160];

        backtrace_describe(found.frames[i], frame, sizeof frame);
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? "\n    " : "", frame);
    }
    return text;
}

void origin_forget_all(void)
{
    sys_lock(SYS_LOCK_ORIGINS);
    memory_free(table);
    table = NULL;
    table_count = table_capacity = 0;
    sys_unlock(SYS_LOCK_ORIGINS);
}
