/* stacks.c - where suspended tasks stand.
 *
 * elfutils follows the unwind tables; each task is shown to it as a thread, whose registers are
 * those that the switch has saved on the task's stack.  Shown are the frames from the call of the
 * library that suspended out to the task's function: what is inside and what is outside of these is
 * the library's own.
 */
#include "ps/ps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREAD_ID = 1, INNER_MAX = 8 /* frames of the library below its public call */ };

struct walk {
    struct target *target;
    struct ps_task *task;
    size_t inner; /* frames left out at the innermost end */
    struct ps_frame frames[FRAMES_MAX];
};

/* ---- a task as a thread ---- */

static bool has_stack(const struct target *target, const struct ps_task *task)
{
    return task->started && task->sp != 0 && task->what[0] != '\0' &&
           target->table.register_count > 0;
}

/* There is one thread: the task that is being looked at. */
static pid_t next_thread(Dwfl *dwfl, void *arg, void **where)
{
    struct target *target = arg;

    (void)dwfl;
    if (*where != NULL)
        return 0;
    *where = target->unwinding;
    return THREAD_ID;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *word, void *arg)
{
    (void)dwfl;
    return target_read(arg, address, word, sizeof *word) == 0;
}

/* Has what lies at a stack pointer a word there? */
static bool lies_within(const struct debug_table *table, uint64_t offset)
{
    return offset + sizeof(Dwarf_Word) <= table->frame_size;
}

static bool set_registers(Dwfl_Thread *thread, void *where)
{
    const struct walk *walk = where;
    const struct ps_task *task = walk->task;
    const struct target *target = walk->target;
    const struct debug_table *table = &target->table;
    char frame[512];
    Dwarf_Word word;

    if (table->frame_size > sizeof frame || !lies_within(table, table->pc_offset) ||
        target_read(target, task->sp, frame, table->frame_size) < 0)
        return false;
    for (uint32_t i = 0; i < table->register_count; i++) {
        if (!lies_within(table, table->registers[i].offset))
            return false;
        memcpy(&word, frame + table->registers[i].offset, sizeof word);
        if (!dwfl_thread_state_registers(thread, table->registers[i].number, 1, &word))
            return false;
    }
    word = task->sp + table->frame_size;
    if (!dwfl_thread_state_registers(thread, (int)table->stack_register, 1, &word))
        return false;
    memcpy(&word, frame + table->pc_offset, sizeof word);
    dwfl_thread_state_register_pc(thread, word);
    return true;
}

/* ---- frames ---- */

/* By the index of addresses, which gcc makes; or, without one, unit by unit. */
static const char *find_source(Dwfl_Module *module, Dwarf_Addr pc, int *line)
{
    Dwfl_Line *indexed = dwfl_module_getsrc(module, pc);
    Dwarf_Die *unit = NULL;
    Dwarf_Addr bias;

    if (indexed != NULL)
        return dwfl_lineinfo(indexed, NULL, line, NULL, NULL, NULL);
    while ((unit = dwfl_module_nextcu(module, unit, &bias)) != NULL) {
        if (dwarf_haspc(unit, pc - bias) != 1)
            continue;
        Dwarf_Line *source = dwarf_getsrc_die(unit, pc - bias);
        return dwarf_lineno(source, line) == 0 ? dwarf_linesrc(source, NULL, NULL) : NULL;
    }
    return NULL;
}

static void describe(struct ps_frame *frame, Dwfl_Module *module, Dwarf_Addr pc, const char *name)
{
    const char *file = module != NULL ? find_source(module, pc, &frame->line) : NULL;
    const char *slash = file != NULL ? strrchr(file, '/') : NULL;

    if (slash != NULL)
        file = slash + 1;
    if (name != NULL) /* without what a compiler adds to it: ".constprop.0", ".lto_priv.0" */
        snprintf(frame->function, sizeof frame->function, "%.*s", (int)strcspn(name, "."), name);
    else
        snprintf(frame->function, sizeof frame->function, "%#llx", (unsigned long long)pc);
    snprintf(frame->file, sizeof frame->file, "%s", file != NULL ? file : "");
    make_printable(frame->function);
    make_printable(frame->file);
}

/* What ends in an underscore is the library's own, such as the first frame of a fiber. */
static bool is_public_name(const char *name)
{
    return strncmp(name, "asyncio_", 8) == 0 && name[strlen(name) - 1] != '_';
}

static int add_frame(Dwfl_Frame *state, void *arg)
{
    struct walk *walk = arg;
    struct ps_task *task = walk->task;
    bool is_activation;
    Dwarf_Addr pc;
    GElf_Sym symbol = { 0 };
    GElf_Off offset = 0;

    if (!dwfl_frame_pc(state, &pc, &is_activation) || task->frame_count == FRAMES_MAX)
        return DWARF_CB_ABORT;
    pc -= is_activation ? 0 : 1;
    Dwfl_Module *module = dwfl_addrmodule(walk->target->dwfl, pc);
    const char *name = module != NULL
                           ? dwfl_module_addrinfo(module, pc, &offset, &symbol, NULL, NULL, NULL)
                           : NULL;
    bool is_public = name != NULL && is_public_name(name);
    bool is_body = name != NULL && pc - offset == task->fn;
    if (task->frame_count == 0 && !is_public && !is_body && walk->inner < INNER_MAX) {
        walk->inner++;
        return DWARF_CB_OK;
    }
    describe(&walk->frames[task->frame_count++], module, pc, name);
    return is_body ? DWARF_CB_ABORT : DWARF_CB_OK;
}

static int follow_thread(Dwfl_Thread *thread, void *arg)
{
    (void)dwfl_thread_getframes(thread, add_frame, arg);
    return DWARF_CB_OK;
}

static void read_stack(struct target *target, struct ps_task *task)
{
    struct walk walk = { .target = target, .task = task };

    target->unwinding = &walk;
    (void)dwfl_getthreads(target->dwfl, follow_thread, &walk);
    if (task->frame_count > 0)
        task->frames = calloc(task->frame_count, sizeof *task->frames);
    if (task->frames == NULL)
        task->frame_count = 0;
    for (size_t i = 0; i < task->frame_count; i++)
        task->frames[i] = walk.frames[i];
}

void stacks_read(struct ps_tasks *tasks, struct target *target)
{
    static const Dwfl_Thread_Callbacks callbacks = { .next_thread = next_thread,
                                                     .memory_read = read_memory,
                                                     .set_initial_registers = set_registers };

    if (!dwfl_attach_state(target->dwfl, NULL, target->pid, &callbacks, target))
        return;
    for (size_t i = 0; i < tasks->count; i++)
        if (has_stack(target, &tasks->list[i]))
            read_stack(target, &tasks->list[i]);
}
