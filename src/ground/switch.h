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
#elif defined(__riscv) && defined(__LP64__) && !defined(__riscv_float_abi_single)
#define FIBER_RISCV64 1
#else
#define FIBER_UCONTEXT 1
#endif

#if !defined(__ASSEMBLER__)

#define ASSEMBLY __attribute__((visibility("hidden"))) /* called without a table of addresses */

/* Puts the first frame on a stack; returns the stack pointer, as of a suspended fiber. */
ASSEMBLY void *asyncio_fiber_make_(void *top, void (*entry)(void *arg), void *arg);

#if defined(FIBER_X86_64)

#if defined(__AVX512F__)
#define AVX512_REGISTERS                                                                           \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",    \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",  \
        "k7"
#else
#define AVX512_REGISTERS
#endif

/* Stores the stack pointer of the running fiber, and goes on at the other's.
 *
 * A jump and not a call: the switch leaves by a jump, and a call without its return would shift the
 * processor's stack of predicted returns by one, so that every return after it is mispredicted
 * (29 ns a switch through the scheduler against 16).  The compiler does not know that other code
 * runs, so the red zone is left alone and all that a call may change is named. */
static inline void switch_stacks(void **from_sp, void *to_sp)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "jmp asyncio_fiber_swap_\n"
                     "1:"
                     : "+D"(from_sp), "+S"(to_sp)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2",
                       "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)",
                       "st(5)", "st(6)", "st(7)", "memory", "cc" AVX512_REGISTERS);
}

#else

ASSEMBLY void asyncio_fiber_swap_(void **from_sp, void *to_sp);

/* Stores the stack pointer of the running fiber, and goes on at the other's. */
static inline void switch_stacks(void **from_sp, void *to_sp)
{
    asyncio_fiber_swap_(from_sp, to_sp);
}

#endif

#if !defined(FIBER_UCONTEXT)

/* What the first frame runs; known here only for being the end of a backtrace. */
ASSEMBLY void asyncio_fiber_entry_(void);

/* Calls fn(arg) on the running stack, but so that an unwinder finds the suspended fiber at `sp`
 * where else it would find the caller. */
ASSEMBLY void asyncio_fiber_look_(void *sp, void (*fn)(void *arg), void *arg);

#endif
#endif
#endif
