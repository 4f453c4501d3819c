/* switch.h - what fiber.c wants of the assembly of each architecture, and which of them is used.
 *
 * Included by the assembly too, therefore the #if.  All knowledge of the frame that lies at the
 * stack pointer of a suspended fiber is in one file: switch_<architecture>.S.
 */
#ifndef ASYNCIO_GROUND_SWITCH_H
#define ASYNCIO_GROUND_SWITCH_H

#if defined(ASYNCIO_UCONTEXT) || !defined(__ELF__)
#define FIBER_UCONTEXT 1
#elif defined(__x86_64__) && defined(__LP64__)
#define FIBER_X86_64 1
#elif defined(__aarch64__) && defined(__LP64__)
#define FIBER_AARCH64 1
#elif defined(__riscv) && defined(__LP64__) && !defined(__riscv_float_abi_quad)
#define FIBER_RISCV64 1
#else
#define FIBER_UCONTEXT 1
#endif

#if !defined(__ASSEMBLER__)

#define ASSEMBLY __attribute__((visibility("hidden"))) /* called without a table of addresses */

/* Puts the first frame on a stack; returns the stack pointer, as of a suspended fiber. */
ASSEMBLY void *asyncio_fiber_make_(void *top, void (*entry)(void *arg), void *arg);

/* Stores the stack pointer of the running fiber, and goes on at the other's. */
ASSEMBLY void asyncio_fiber_swap_(void **from_sp, void *to_sp);

#if !defined(FIBER_UCONTEXT)

/* What the first frame runs; known here only for being the end of a backtrace. */
ASSEMBLY void asyncio_fiber_entry_(void);

/* Calls fn(arg) on the running stack, but so that an unwinder finds the suspended fiber at `sp`
 * where else it would find the caller. */
ASSEMBLY void asyncio_fiber_look_(void *sp, void (*fn)(void *arg), void *arg);

#endif
#endif
#endif
