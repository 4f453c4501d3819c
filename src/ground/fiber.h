/* fiber.h - a stack that can be switched to.
 *
 * A fiber is what remains of a suspended computation: a stack pointer into a stack, on which the
 * registers that a call preserves were pushed.  The fiber of a thread's own stack is all-zeros
 * before the first switch away from it.  The switch saves no signal mask and no floating point
 * control words: these belong to the process.  ASan, TSan and Valgrind are told of every stack and
 * every switch, in builds for them.
 */
#ifndef ASYNCIO_GROUND_FIBER_H
#define ASYNCIO_GROUND_FIBER_H

#include <stdbool.h>
#include <stddef.h>

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

struct fiber {
    void *sp; /* first, for the assembly */
#if defined(FIBER_ASAN)
    void *fake_stack;
    const void *bottom; /* of the usable stack */
    size_t size;
#endif
#if defined(FIBER_TSAN)
    void *tsan;
#endif
#if defined(ASYNCIO_VALGRIND)
    unsigned valgrind_id;
#endif
};

/* Prepares a fiber that, when first switched to, calls entry(arg) on the stack [low, top); `top` is
 * aligned to 16.  entry never returns: its last act is fiber_exit(). */
void fiber_init(struct fiber *fiber, void *low, void *top, void (*entry)(void *arg), void *arg);

/* Suspends `from`, which runs now, and resumes `to`. */
void fiber_switch(struct fiber *from, struct fiber *to);

/* The same, `from` never to be resumed again. */
void fiber_exit(struct fiber *from, struct fiber *to);

/* After its end or when it will never run again; before its stack is reused. */
void fiber_destroy(struct fiber *fiber);

/* Return addresses of a suspended fiber, innermost first, found without running it; how many. */
size_t fiber_backtrace(const struct fiber *fiber, void **addresses, size_t capacity);

#endif
