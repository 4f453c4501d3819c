/* switch_aarch64.S - the switch for 64-bit Arm.
 *
 * At the stack pointer of a suspended fiber lie x19 to x28, x29, x30 - where to go on - and d8 to
 * d15.  The CFI says so, and it holds for either stack, since both have the same frame.
 *
 * Leaves by `ret`: mispredicted when the other fiber was suspended elsewhere, but it takes from the
 * processor's stack of predicted returns what the call put there, so that the returns after it are
 * predicted; and it may go where no landing pad is.  x30 is not signed while it is saved here; the
 * callers' own are.
 */
#include "ground/switch.h"
#include "ground/switch_marks.h"

#if defined(FIBER_AARCH64)

#define FRAME 160
#define BTI_C hint #34 /* nothing, before Armv8.5 */

    .text

/* void asyncio_fiber_swap_(void **from_sp: x0, void *to_sp: x1) */
    .globl asyncio_fiber_swap_
    .hidden asyncio_fiber_swap_
    .type asyncio_fiber_swap_, %function
    .p2align 6
asyncio_fiber_swap_:
    .cfi_startproc
    BTI_C
    sub sp, sp, #FRAME
    .cfi_def_cfa_offset FRAME
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x20, 8
    .cfi_rel_offset x21, 16
    .cfi_rel_offset x22, 24
    .cfi_rel_offset x23, 32
    .cfi_rel_offset x24, 40
    .cfi_rel_offset x25, 48
    .cfi_rel_offset x26, 56
    .cfi_rel_offset x27, 64
    .cfi_rel_offset x28, 72
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #FRAME
    .cfi_def_cfa_offset 0
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
    .size asyncio_fiber_swap_, . - asyncio_fiber_swap_

/* The first frame of a fiber: x19 is arg, x20 entry.  The nop is there because unwinders look up
 * the byte before an address to go on at. */
    .globl asyncio_fiber_entry_
    .hidden asyncio_fiber_entry_
    .type asyncio_fiber_entry_, %function
    .p2align 4
asyncio_fiber_entry_:
    .cfi_startproc
    .cfi_undefined x30
    nop
.Lentry:
    mov x0, x19
    blr x20
    brk #1
    .cfi_endproc
    .size asyncio_fiber_entry_, . - asyncio_fiber_entry_

/* void *asyncio_fiber_make_(void *top: x0, void (*entry)(void *): x1, void *arg: x2)
 *
 * x29 is 0, for those who follow frame pointers. */
    .globl asyncio_fiber_make_
    .hidden asyncio_fiber_make_
    .type asyncio_fiber_make_, %function
    .p2align 4
asyncio_fiber_make_:
    .cfi_startproc
    BTI_C
    sub x0, x0, #FRAME
    adr x9, .Lentry
    stp x2, x1, [x0, #0]
    stp xzr, xzr, [x0, #16]
    stp xzr, xzr, [x0, #32]
    stp xzr, xzr, [x0, #48]
    stp xzr, xzr, [x0, #64]
    stp xzr, x9, [x0, #80]
    stp xzr, xzr, [x0, #96]
    stp xzr, xzr, [x0, #112]
    stp xzr, xzr, [x0, #128]
    stp xzr, xzr, [x0, #144]
    ret
    .cfi_endproc
    .size asyncio_fiber_make_, . - asyncio_fiber_make_

/* void asyncio_fiber_look_(void *sp: x0, void (*fn)(void *): x1, void *arg: x2)
 *
 * The CFA is that of the suspended fiber's frame, which x19 points to, instead of our own. */
    .globl asyncio_fiber_look_
    .hidden asyncio_fiber_look_
    .type asyncio_fiber_look_, %function
    .p2align 4
asyncio_fiber_look_:
    .cfi_startproc
    BTI_C
    stp x19, x30, [sp, #-16]!
    .cfi_def_cfa_offset 16
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x30, 8
    mov x19, x0
    mov x0, x2
    .cfi_remember_state
    .cfi_def_cfa x19, FRAME
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x20, 8
    .cfi_rel_offset x21, 16
    .cfi_rel_offset x22, 24
    .cfi_rel_offset x23, 32
    .cfi_rel_offset x24, 40
    .cfi_rel_offset x25, 48
    .cfi_rel_offset x26, 56
    .cfi_rel_offset x27, 64
    .cfi_rel_offset x28, 72
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    blr x1
    nop
    .cfi_restore_state
    ldp x19, x30, [sp], #16
    .cfi_def_cfa_offset 0
    .cfi_restore x19
    .cfi_restore x30
    ret
    .cfi_endproc
    .size asyncio_fiber_look_, . - asyncio_fiber_look_

#endif
