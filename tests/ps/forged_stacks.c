/* forged_stacks.c - stacks of tasks that never ran.
 *
 * At its entry every function has the same frame, the address to return to and nothing else, so
 * that a stack is a list of entries.  That is so on x86-64; elsewhere the address to return to is
 * in a register, and these are left out, which hostile.py says.
 */
#include "forged.h"

#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__)

enum { MANY = 100, FRAME = 16, RBP = 6, RSP = 7 };

/* What a task at `sp` was forged of: two words of its registers, and the addresses to return to. */
static uintptr_t words[2 + MANY + 1];

/* Names are what counts. */
void asyncio_forged_wait(void);
__attribute__((noinline)) void asyncio_forged_wait(void)
{
    __asm__ volatile("");
}

__attribute__((noinline)) static void body(void)
{
    __asm__ volatile("nop");
}

__attribute__((noinline)) static void between(void)
{
    __asm__ volatile("nop; nop");
}

/* An address to return to lies behind a call, so each is one byte on. */
void stand_in(struct forged_task *task, const uintptr_t *frames, size_t count)
{
    table.register_count = 1;
    table.registers[0].number = RBP;
    table.registers[0].offset = 8;
    table.pc_offset = 0;
    table.frame_size = FRAME;
    table.stack_register = RSP;
    memset(words, 0, sizeof words);
    words[0] = frames[0];
    for (size_t i = 1; i < count; i++)
        words[1 + i] = frames[i] + 1;
    task->sp = (uintptr_t)words;
    task->fn = (uintptr_t)body;
}

/* A frame that is not what the table says; asyncio-ps shows no stack then. */
static int forge_frame(const char *how)
{
    const uintptr_t frames[] = { (uintptr_t)asyncio_forged_wait, (uintptr_t)body };

    stand_in(&tasks[0], frames, 2);
    if (strcmp(how, "frame") == 0)
        return 1;
    if (strcmp(how, "frame too large") == 0)
        table.frame_size = UINT32_MAX;
    else if (strcmp(how, "frame too small") == 0)
        table.frame_size = 7;
    else if (strcmp(how, "place outside of the frame") == 0)
        table.pc_offset = UINT32_MAX - 4;
    else if (strcmp(how, "register outside of the frame") == 0)
        table.registers[0].offset = UINT16_MAX;
    else if (strcmp(how, "no such register") == 0)
        table.registers[0].number = UINT16_MAX;
    else if (strcmp(how, "no such stack register") == 0)
        table.stack_register = UINT32_MAX / 2;
    else if (strcmp(how, "negative stack register") == 0)
        table.stack_register = UINT32_MAX - 1;
    else if (strcmp(how, "stack nowhere") == 0)
        tasks[0].sp = 16;
    else if (strcmp(how, "no stack") == 0)
        tasks[0].sp = 0;
    else if (strcmp(how, "no registers") == 0)
        table.register_count = 0;
    else if (strcmp(how, "stack ends") == 0)
        tasks[0].sp = (uintptr_t)memcpy(page_end(FRAME), words, FRAME);
    else
        return 0;
    return 1;
}

static int forge_calls(const char *how)
{
    uintptr_t frames[MANY];
    size_t count = 0;

    /* Memory that belongs to no file. */
    void *nameless = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (strcmp(how, "nameless") == 0) {
        frames[count++] = (uintptr_t)asyncio_forged_wait;
        frames[count++] = (uintptr_t)nameless;
    } else if (strcmp(how, "body first") == 0) {
        frames[count++] = (uintptr_t)between;
        frames[count++] = (uintptr_t)body;
    } else if (strcmp(how, "long way in") == 0) {
        while (count < 10)
            frames[count++] = (uintptr_t)between;
        frames[count++] = (uintptr_t)body;
    } else if (strcmp(how, "many frames") == 0) {
        frames[count++] = (uintptr_t)asyncio_forged_wait;
        while (count < MANY)
            frames[count++] = (uintptr_t)between;
    } else {
        return 0;
    }
    stand_in(&tasks[0], frames, count);
    return 1;
}

int stacks_forge(const char *how)
{
    return strcmp(how, "has stacks") == 0 || forge_calls(how) || forge_frame(how);
}

#else

int stacks_forge(const char *how)
{
    (void)how;
    return 0;
}

#endif
