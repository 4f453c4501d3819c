/* debug_table.h - what another process must know to read this one's tasks out of its memory.
 *
 * The library has one such table, in a section of its own, where asyncio-ps finds it; nothing in
 * here runs or is written to after the program was linked.  All offsets are in bytes; addresses are
 * those of the process.  VERSION grows with every change of the table's own layout.
 *
 * Of what the table leads to, names last as long as the process and the rest may change while it is
 * read: a reader believes nothing, counts its steps, and tries again.
 */
#ifndef ASYNCIO_TASK_DEBUG_TABLE_H
#define ASYNCIO_TASK_DEBUG_TABLE_H

#include <stdint.h>

#define DEBUG_TABLE_SECTION "asyncio_debug"
#define DEBUG_TABLE_MAGIC   "asyncio tasks"

enum { DEBUG_TABLE_VERSION = 1, DEBUG_REGISTERS_MAX = 16 };

struct debug_table {
    char magic[16];
    uint32_t version, size;
    uintptr_t schedulers;  /* address of the list of schedulers, one for each loop with tasks */
    uintptr_t task_resume; /* the function of a handle that resumes a task */
    uint32_t link_next;    /* in a node of a list */
    /* In a scheduler; the thread that runs it, 0: none does; the list of its tasks. */
    uint32_t scheduler_link, scheduler_thread, scheduler_tasks;
    uint32_t task_link, task_number, task_name_number, task_name, task_fn, task_future;
    uint32_t task_waiting, task_started, task_cancelling, task_sp; /* in a task */
    uint32_t task_name_size;
    uint32_t task_resume_handle, task_ended_handle, task_parent;
    uint32_t future_waiters; /* in a future: the list of handles that wait for it */
    uint32_t handle_link, handle_fn, handle_state; /* in a handle */
    uint32_t handle_child, handle_member; /* bits of its state: what else it is the beginning of */
    uint32_t member_awaiter, member_awaiters, waiter_link, waiter_task;
    uint32_t wait_type, wait_object; /* in what a task waits with */
    uint32_t wait_type_what, wait_type_of_task;
    /* What lies at the stack pointer of a suspended task: registers by their DWARF numbers, where
     * to go on, and how much it all takes. */
    uint32_t register_count, pc_offset, frame_size, stack_register;
    struct {
        uint16_t number, offset;
    } registers[DEBUG_REGISTERS_MAX];
};

struct scheduler;

/* Puts a scheduler into the list, or takes it out. */
void debug_table_add(struct scheduler *scheduler);
void debug_table_remove(struct scheduler *scheduler);
void debug_table_forget(void); /* all: in the child of a fork */

#endif
