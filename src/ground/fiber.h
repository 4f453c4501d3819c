/* fiber.h - a stack that can be switched to.
 *
 * A fiber is what remains of a suspended computation: a stack pointer into a stack, on which the
 * registers that a call preserves were pushed.  The fiber of a thread's own stack is all-zeros
 * before the first switch away from it.  The switch saves no signal mask and no floating point
 * control words: these belong to the process.  ASan, TSan and Valgrind are told of every stack and
 * every switch, in builds for them; in other builds a switch is one call of the assembly.
 */
#ifndef ASYNCIO_GROUND_FIBER_H
#define ASYNCIO_GROUND_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ground/switch.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define FIBER_MSAN 1
#endif
#endif
#if defined(FIBER_ASAN) || defined(FIBER_TSAN) || defined(FIBER_MSAN) || defined(ASYNCIO_VALGRIND)
#define FIBER_TOOLS 1
#endif

struct fiber {
    void *sp; /* first, for debuggers */
#if defined(FIBER_TOOLS)
    char *low, *top; /* NULL: a thread's own stack, not left so far */
#endif
#if defined(FIBER_ASAN)
    void *fake_stack;
#endif
#if defined(FIBER_TSAN)
    void *tsan;
#endif
#if defined(ASYNCIO_VALGRIND)
    unsigned valgrind_id;
#endif
};

/* Return addresses of a suspended fiber, innermost first, found without running it; how many.
 * 0 where the switch is the ucontext one. */
size_t fiber_backtrace(const struct fiber *fiber, void **addresses, size_t capacity);

/* Whether the function that begins at `function` is what a fiber begins with, before its entry:
 * the end of a backtrace. */
bool fiber_is_outermost(uintptr_t function);

#if defined(FIBER_TOOLS)

/* Prepares a fiber that, when first switched to, calls entry(arg) on the stack [low, top); `top` is
 * aligned to 16.  entry never returns: its last act is fiber_exit(). */
void fiber_init(struct fiber *fiber, void *low, void *top, void (*entry)(void *arg), void *arg);

/* Suspends `from`, which runs now, and resumes `to`. */
void fiber_switch(struct fiber *from, struct fiber *to);

/* The same, `from` never to be resumed again. */
__attribute__((noreturn)) void fiber_exit(struct fiber *from, struct fiber *to);

/* After its end or when it will never run again; before its stack is reused. */
void fiber_destroy(struct fiber *fiber);

#else

static inline void fiber_init(struct fiber *fiber, void *low, void *top, void (*entry)(void *arg),
                              void *arg)
{
    (void)low;
    fiber->sp = asyncio_fiber_make_(top, entry, arg);
}

static inline void fiber_switch(struct fiber *from, struct fiber *to)
{
    switch_stacks(&from->sp, to->sp);
}

__attribute__((noreturn)) static inline void fiber_exit(struct fiber *from, struct fiber *to)
{
    switch_stacks(&from->sp, to->sp);
    __builtin_unreachable();
}

static inline void fiber_destroy(struct fiber *fiber)
{
    (void)fiber;
}

#endif

#endif
