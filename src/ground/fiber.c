/* fiber.c - backtraces of suspended fibers; and, in builds for them, what the tools are told.
 *
 * In other builds starting and switching are the assembly, called by the inlines of fiber.h.
 *
 * ASan and TSan: right before a switch they are told where to, and ASan is told the arrival first
 * thing on the other stack: behind the switch, or in fiber_begin().  On arrival ASan says where we
 * came from, which is how the bounds of a thread's own stack become known.  TSan keeps a shadow of
 * each fiber's calls; a call entered on one and left on the other would upset it, so what tells
 * TSan is in the function that switches.
 *
 * MSan hands the marks of arguments over by thread, not by stack, and the assembly knows nothing of
 * them: what a fiber begins with takes its argument for written, and its entry's too.
 *
 * A stack is a root for LSan from init to destroy, because what only a suspended fiber points to is
 * no leak.  Destroying clears ASan's marks from the frames that never returned; those that did have
 * cleared their own.
 */
#include "ground/fiber.h"

#include "ground/backtrace.h"

#if defined(FIBER_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if defined(FIBER_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(ASYNCIO_VALGRIND)
#include <valgrind/valgrind.h>
#endif

/* ---- the tools ---- */

#if defined(FIBER_TOOLS)

#if defined(__clang__)
#define NOT_INSTRUMENTED __attribute__((noinline, no_sanitize("address", "thread", "memory")))
#else
#define NOT_INSTRUMENTED                                                                           \
    __attribute__((noinline, no_sanitize_address, no_sanitize_thread, no_sanitize_undefined))
#endif

#if defined(FIBER_ASAN) || defined(FIBER_MSAN)
#define FIBER_BEGINS 1

/* At the top of a stack; the first frame is below it. */
struct beginning {
    void (*entry)(void *arg);
    void *arg;
};

#endif

#if defined(FIBER_ASAN)

/* Which thread's own stack is being left for the first time. */
static _Thread_local struct fiber *unknown;

NOT_INSTRUMENTED static void asan_arrived(void *fake_stack)
{
    const void *low;
    size_t size;

    __sanitizer_finish_switch_fiber(fake_stack, &low, &size);
    if (unknown != NULL) {
        unknown->low = (char *)(uintptr_t)low;
        unknown->top = unknown->low + size;
        unknown = NULL;
    }
}

#endif

#if defined(FIBER_BEGINS)

NOT_INSTRUMENTED static void fiber_begin(void *arg)
{
    struct beginning *beginning = arg;

#if defined(FIBER_ASAN)
    asan_arrived(NULL);
#endif
    beginning->entry(beginning->arg);
}

#endif

static inline __attribute__((always_inline)) void switch_with_tools(struct fiber *from,
                                                                    struct fiber *to, bool last)
{
#if defined(FIBER_ASAN)
    if (from->low == NULL)
        unknown = from;
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake_stack, to->low,
                                   (size_t)(to->top - to->low));
#endif
#if defined(FIBER_TSAN)
    if (from->tsan == NULL)
        from->tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    (void)last;
    switch_stacks(&from->sp, to->sp);
#if defined(FIBER_ASAN)
    asan_arrived(from->fake_stack);
#endif
}

NOT_INSTRUMENTED void fiber_switch(struct fiber *from, struct fiber *to)
{
    switch_with_tools(from, to, false);
}

NOT_INSTRUMENTED void fiber_exit(struct fiber *from, struct fiber *to)
{
    switch_with_tools(from, to, true);
    __builtin_unreachable();
}

void fiber_init(struct fiber *fiber, void *low, void *top, void (*entry)(void *arg), void *arg)
{
    *fiber = (struct fiber){ .low = low, .top = top };
#if defined(FIBER_BEGINS)
    _Static_assert(sizeof(struct beginning) % 16 == 0, "the stack stays aligned");
    struct beginning *beginning = (struct beginning *)top - 1;
    *beginning = (struct beginning){ .entry = entry, .arg = arg };
    top = beginning;
    entry = fiber_begin;
    arg = beginning;
#endif
#if defined(FIBER_ASAN)
    __lsan_register_root_region(fiber->low, (size_t)(fiber->top - fiber->low));
#endif
#if defined(FIBER_TSAN)
    fiber->tsan = __tsan_create_fiber(0);
#endif
#if defined(ASYNCIO_VALGRIND)
    fiber->valgrind_id = VALGRIND_STACK_REGISTER(fiber->low, fiber->top - 1);
#endif
    fiber->sp = asyncio_fiber_make_(top, entry, arg);
}

void fiber_destroy(struct fiber *fiber)
{
#if defined(FIBER_ASAN)
    __asan_unpoison_memory_region(fiber->sp, (size_t)(fiber->top - (char *)fiber->sp));
    __lsan_unregister_root_region(fiber->low, (size_t)(fiber->top - fiber->low));
#endif
#if defined(FIBER_TSAN)
    __tsan_destroy_fiber(fiber->tsan);
#endif
#if defined(ASYNCIO_VALGRIND)
    VALGRIND_STACK_DEREGISTER(fiber->valgrind_id);
#endif
    fiber->sp = NULL;
}

#endif

/* ---- backtraces ---- */

bool fiber_is_outermost(uintptr_t function)
{
#if defined(FIBER_BEGINS)
    if (function == (uintptr_t)fiber_begin)
        return true;
#endif
#if defined(FIBER_UCONTEXT)
    (void)function;
    return false;
#else
    return function == (uintptr_t)asyncio_fiber_entry_;
#endif
}

#if defined(FIBER_UCONTEXT)

size_t fiber_backtrace(const struct fiber *fiber, void **addresses, size_t capacity)
{
    (void)fiber;
    (void)addresses;
    (void)capacity;
    return 0;
}

#else

struct look {
    void **addresses;
    size_t capacity, count;
};

__attribute__((noinline)) static void look(void *arg)
{
    struct look *look = arg;

    /* Left out: this function, and the one that makes believe that the fiber called it. */
    look->count = backtrace_capture(look->addresses, look->capacity, 2);
}

size_t fiber_backtrace(const struct fiber *fiber, void **addresses, size_t capacity)
{
    struct look found = { .addresses = addresses, .capacity = capacity };

    asyncio_fiber_look_(fiber->sp, look, &found);
    return found.count;
}

#endif
