/* switch_x86_64.S - the switch for x86-64 with the System V calling convention.
 *
 * At the stack pointer of a suspended fiber lie r15, r14, r13, r12, rbx, rbp and the address to go
 * on at.  The CFI says so, and it holds for either stack, since both have the same frame: gdb, perf
 * and the unwinder pass through.  mxcsr and the x87 control word are not saved (they would double
 * the price).
 *
 * No .note.gnu.property: an object without it keeps the linker from marking the program as fit for
 * shadow stacks, which the switch is not.
 */
#include "ground/switch.h"
#include "ground/switch_marks.h"

#if defined(FIBER_X86_64)
    .text

/* void asyncio_fiber_swap_(void **from_sp: rdi, void *to_sp: rsi)
 *
 * Leaves by a jump: a `ret` that does not match its call is mispredicted always (8 ns against 2.5).
 * In a cache line of its own, because the jump is slow when it shares one with others.
 */
    .globl asyncio_fiber_swap_
    .hidden asyncio_fiber_swap_
    .type asyncio_fiber_swap_, @function
    .p2align 6
asyncio_fiber_swap_:
    .cfi_startproc
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    popq %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rcx
    jmpq *%rcx
    .cfi_endproc
    .size asyncio_fiber_swap_, . - asyncio_fiber_swap_

/* The first frame of a fiber: rbx is arg, r12 entry; the stack pointer is aligned to 16.  The nop
 * is there because unwinders look up the byte before an address to go on at. */
    .globl asyncio_fiber_entry_
    .hidden asyncio_fiber_entry_
    .type asyncio_fiber_entry_, @function
    .p2align 4
asyncio_fiber_entry_:
    .cfi_startproc
    .cfi_undefined %rip
    nop
.Lentry:
    movq %rbx, %rdi
    callq *%r12
    ud2
    .cfi_endproc
    .size asyncio_fiber_entry_, . - asyncio_fiber_entry_

/* void *asyncio_fiber_make_(void *top: rdi, void (*entry)(void *): rsi, void *arg: rdx)
 *
 * Two zeros above the frame, for walkers who expect an address there; rbp 0 for those who follow
 * frame pointers. */
    .globl asyncio_fiber_make_
    .hidden asyncio_fiber_make_
    .type asyncio_fiber_make_, @function
    .p2align 4
asyncio_fiber_make_:
    .cfi_startproc
    leaq -72(%rdi), %rax
    leaq .Lentry(%rip), %rcx
    xorl %r8d, %r8d
    movq %r8, (%rax)
    movq %r8, 8(%rax)
    movq %r8, 16(%rax)
    movq %rsi, 24(%rax)
    movq %rdx, 32(%rax)
    movq %r8, 40(%rax)
    movq %rcx, 48(%rax)
    movq %r8, 56(%rax)
    movq %r8, 64(%rax)
    ret
    .cfi_endproc
    .size asyncio_fiber_make_, . - asyncio_fiber_make_

/* void asyncio_fiber_look_(void *sp: rdi, void (*fn)(void *): rsi, void *arg: rdx)
 *
 * The CFA is that of the suspended fiber's frame, which rbx points to, instead of our own. */
    .globl asyncio_fiber_look_
    .hidden asyncio_fiber_look_
    .type asyncio_fiber_look_, @function
    .p2align 4
asyncio_fiber_look_:
    .cfi_startproc
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    movq %rdi, %rbx
    movq %rdx, %rdi
    .cfi_remember_state
    .cfi_def_cfa %rbx, 56
    .cfi_offset %rbp, -16
    .cfi_offset %rbx, -24
    .cfi_offset %r12, -32
    .cfi_offset %r13, -40
    .cfi_offset %r14, -48
    .cfi_offset %r15, -56
    callq *%rsi
    nop
    .cfi_restore_state
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    ret
    .cfi_endproc
    .size asyncio_fiber_look_, . - asyncio_fiber_look_

#endif
