/* debug_table.c - the table for asyncio-ps; see debug_table.h.
 *
 * The list of schedulers is the only thing of the process's that the library keeps for it: changed
 * under a lock, read by others without one.
 *
 * The frame of a suspended task is that of ground/switch_<architecture>.S, whose unwind tables say
 * the same.
 */
#include "task/debug_table.h"

#include <stddef.h>

#include "ground/sys.h"
#include "task/task.h"

static struct asyncio_link_ schedulers;

#if defined(FIBER_X86_64)
#define FRAME                                                                                      \
    .register_count = 6, .pc_offset = 48, .frame_size = 56 + 128, .stack_register = 7,             \
    .registers = { { 15, 0 }, { 14, 8 }, { 13, 16 }, { 12, 24 }, { 3, 32 }, { 6, 40 } }
#elif defined(FIBER_AARCH64)
#define FRAME                                                                                      \
    .register_count = 12, .pc_offset = 88, .frame_size = 160, .stack_register = 31,                \
    .registers = { { 19, 0 },  { 20, 8 },  { 21, 16 }, { 22, 24 }, { 23, 32 }, { 24, 40 },         \
                   { 25, 48 }, { 26, 56 }, { 27, 64 }, { 28, 72 }, { 29, 80 }, { 30, 88 } }
#elif defined(FIBER_RISCV64)
#if defined(__riscv_float_abi_double)
#define FRAME_SIZE 208
#else
#define FRAME_SIZE 112
#endif
#define FRAME                                                                                      \
    .register_count = 13, .pc_offset = 0, .frame_size = FRAME_SIZE, .stack_register = 2,           \
    .registers = { { 1, 0 },   { 8, 8 },   { 9, 16 },  { 18, 24 }, { 19, 32 },                     \
                   { 20, 40 }, { 21, 48 }, { 22, 56 }, { 23, 64 }, { 24, 72 },                     \
                   { 25, 80 }, { 26, 88 }, { 27, 96 } }
#else
#define FRAME .register_count = 0 /* no stacks can be shown */
#endif

/* Not const: the linker fills in addresses, and the table is to lie where no other data does. */
__attribute__((section(DEBUG_TABLE_SECTION), used)) struct debug_table debug_table = {
    .magic = DEBUG_TABLE_MAGIC,
    .version = DEBUG_TABLE_VERSION,
    .size = sizeof(struct debug_table),
    .schedulers = (uintptr_t)&schedulers,
    .task_resume = (uintptr_t)task_resume,
    .link_next = offsetof(struct asyncio_link_, next_),
    .scheduler_link = offsetof(struct scheduler, all),
    .scheduler_thread = offsetof(struct scheduler, thread_id),
    .scheduler_tasks = offsetof(struct scheduler, tasks),
    .task_link = offsetof(struct asyncio_task, all),
    .task_number = offsetof(struct asyncio_task, number),
    .task_name_number = offsetof(struct asyncio_task, name_number),
    .task_name = offsetof(struct asyncio_task, name),
    .task_fn = offsetof(struct asyncio_task, fn),
    .task_future = offsetof(struct asyncio_task, future),
    .task_waiting = offsetof(struct asyncio_task, waiting),
    .task_started = offsetof(struct asyncio_task, started),
    .task_cancelling = offsetof(struct asyncio_task, cancelling),
    .task_sp = offsetof(struct asyncio_task, fiber.sp),
    .task_resume_handle = offsetof(struct asyncio_task, resume),
    .task_ended_handle = offsetof(struct asyncio_task, ended.handle),
    .task_parent = offsetof(struct asyncio_task, parent),
    .task_name_size = sizeof(((struct asyncio_task *)NULL)->name),
    .future_waiters = offsetof(struct asyncio_future, waiters_),
    .handle_link = offsetof(struct asyncio_handle, queued_.link_),
    .handle_fn = offsetof(struct asyncio_handle, fn_),
    .handle_state = offsetof(struct asyncio_handle, state_),
    .handle_child = HANDLE_CHILD,
    .handle_member = HANDLE_MEMBER,
    .member_awaiter = offsetof(struct member_watch, awaiter),
    .member_awaiters = offsetof(struct member_watch, awaiters),
    .waiter_link = offsetof(struct waiter, link),
    .waiter_task = offsetof(struct waiter, task),
    .wait_type = offsetof(struct wait, type),
    .wait_object = offsetof(struct wait, object),
    .wait_type_what = offsetof(struct wait_type, what),
    .wait_type_of_task = offsetof(struct wait_type, of_task),
    FRAME,
};

void debug_table_add(struct scheduler *scheduler)
{
    sys_lock(SYS_LOCK_SCHEDULERS);
    list_push_back(&schedulers, &scheduler->all);
    sys_unlock(SYS_LOCK_SCHEDULERS);
}

void debug_table_forget(void)
{
    schedulers = (struct asyncio_link_){ .next_ = NULL };
}

void debug_table_remove(struct scheduler *scheduler)
{
    sys_lock(SYS_LOCK_SCHEDULERS);
    list_remove(&schedulers, &scheduler->all);
    sys_unlock(SYS_LOCK_SCHEDULERS);
}
