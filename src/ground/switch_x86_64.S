/* switch_x86_64.S - the switch for x86-64 with the System V calling convention.
 *
 * At the stack pointer of a suspended fiber lie r15, r14, r13, r12, rbx, rbp and the address to go
 * on at; above them are 128 bytes that are the red zone of the function that switched.  The CFI
 * says so: gdb, perf and the unwinder pass through.  mxcsr and the x87 control word are not saved
 * (they would double the price).
 *
 * No .note.gnu.property: an object without it keeps the linker from marking the program as fit for
 * shadow stacks, which the switch is not.
 */
#include "ground/switch.h"
#include "ground/switch_marks.h"

#if defined(FIBER_X86_64)
    .text

#define FRAME (56 + 128)

.macro cfi_saved
    .cfi_rel_offset %r15, 0
    .cfi_rel_offset %r14, 8
    .cfi_rel_offset %r13, 16
    .cfi_rel_offset %r12, 24
    .cfi_rel_offset %rbx, 32
    .cfi_rel_offset %rbp, 40
    .cfi_rel_offset %rip, 48
.endm

/* asyncio_fiber_swap_: rdi is void **from_sp, rsi void *to_sp, rax where to go on.
 *
 * Not to be called but jumped to, see switch_stacks().  Leaves by a jump, too: a `ret` that does
 * not match its call is mispredicted always (8 ns against 2.5).  In cache lines of its own, because
 * the jump is slow when it shares one with others.
 */
    .globl asyncio_fiber_swap_
    .hidden asyncio_fiber_swap_
    .type asyncio_fiber_swap_, @function
    .p2align 6
asyncio_fiber_swap_:
    .cfi_startproc
    .cfi_def_cfa_offset 0
    .cfi_register %rip, %rax
    leaq -FRAME(%rsp), %rsp
    .cfi_def_cfa_offset FRAME
    movq %r15, (%rsp)
    movq %r14, 8(%rsp)
    movq %r13, 16(%rsp)
    movq %r12, 24(%rsp)
    movq %rbx, 32(%rsp)
    movq %rbp, 40(%rsp)
    movq %rax, 48(%rsp)
    cfi_saved
    movq %rsp, (%rdi)
    movq 48(%rsi), %rcx
    movq (%rsi), %r15
    movq 8(%rsi), %r14
    movq 16(%rsi), %r13
    movq 24(%rsi), %r12
    movq 32(%rsi), %rbx
    movq 40(%rsi), %rbp
    leaq FRAME(%rsi), %rsp
    .cfi_def_cfa_offset 0
    .cfi_restore %r15
    .cfi_restore %r14
    .cfi_restore %r13
    .cfi_restore %r12
    .cfi_restore %rbx
    .cfi_restore %rbp
    .cfi_register %rip, %rcx
    jmpq *%rcx
    .cfi_endproc
    .size asyncio_fiber_swap_, . - asyncio_fiber_swap_

/* The first frame of a fiber: rbx is arg, r12 entry; the stack pointer is aligned to 16.  The nop
 * is there because unwinders look up the byte before an address to go on at.
 *
 * As if it called entry, but by a jump: entry never returns, and a call without its return would
 * have the returns of whoever comes after mispredicted. */
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
    leaq .Lended(%rip), %rax
    pushq %rax
    jmpq *%r12
.Lended:
    ud2
    .cfi_endproc
    .size asyncio_fiber_entry_, . - asyncio_fiber_entry_

/* void *asyncio_fiber_make_(void *top: rdi, void (*entry)(void *): rsi, void *arg: rdx)
 *
 * A zero above the frame, for walkers who expect an address there; rbp 0 for those who follow frame
 * pointers. */
    .globl asyncio_fiber_make_
    .hidden asyncio_fiber_make_
    .type asyncio_fiber_make_, @function
    .p2align 4
asyncio_fiber_make_:
    .cfi_startproc
    leaq -(FRAME + 16)(%rdi), %rax
    leaq .Lentry(%rip), %rcx
    xorl %r8d, %r8d
    movq %r8, (%rax)
    movq %r8, 8(%rax)
    movq %r8, 16(%rax)
    movq %rsi, 24(%rax)
    movq %rdx, 32(%rax)
    movq %r8, 40(%rax)
    movq %rcx, 48(%rax)
    movq %r8, FRAME(%rax)
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
    .cfi_def_cfa %rbx, FRAME
    cfi_saved
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
