/* switch_riscv64.S - the switch for 64-bit RISC-V, with or without floating point registers.
 *
 * At the stack pointer of a suspended fiber lie ra - where to go on - and s0 to s11, and fs0 to
 * fs11 where the calling convention passes doubles in registers.  The CFI says so, and it holds for
 * either stack, since both have the same frame.
 *
 * Leaves by `ret`: mispredicted when the other fiber was suspended elsewhere, but it takes from the
 * processor's stack of predicted returns what the call put there, so that the returns after it are
 * predicted.
 */
#include "ground/switch.h"
#include "ground/switch_marks.h"

#if defined(FIBER_RISCV64)

#if defined(__riscv_float_abi_double)
#define FRAME 208
#else
#define FRAME 112
#endif

.macro cfi_saved
    .cfi_rel_offset ra, 0
    .cfi_rel_offset s0, 8
    .cfi_rel_offset s1, 16
    .cfi_rel_offset s2, 24
    .cfi_rel_offset s3, 32
    .cfi_rel_offset s4, 40
    .cfi_rel_offset s5, 48
    .cfi_rel_offset s6, 56
    .cfi_rel_offset s7, 64
    .cfi_rel_offset s8, 72
    .cfi_rel_offset s9, 80
    .cfi_rel_offset s10, 88
    .cfi_rel_offset s11, 96
.endm

    .text

/* void asyncio_fiber_swap_(void **from_sp: a0, void *to_sp: a1) */
    .globl asyncio_fiber_swap_
    .hidden asyncio_fiber_swap_
    .type asyncio_fiber_swap_, @function
    .p2align 6
asyncio_fiber_swap_:
    .cfi_startproc
    addi sp, sp, -FRAME
    .cfi_def_cfa_offset FRAME
    sd ra, 0(sp)
    sd s0, 8(sp)
    sd s1, 16(sp)
    sd s2, 24(sp)
    sd s3, 32(sp)
    sd s4, 40(sp)
    sd s5, 48(sp)
    sd s6, 56(sp)
    sd s7, 64(sp)
    sd s8, 72(sp)
    sd s9, 80(sp)
    sd s10, 88(sp)
    sd s11, 96(sp)
    cfi_saved
#if defined(__riscv_float_abi_double)
    fsd fs0, 112(sp)
    fsd fs1, 120(sp)
    fsd fs2, 128(sp)
    fsd fs3, 136(sp)
    fsd fs4, 144(sp)
    fsd fs5, 152(sp)
    fsd fs6, 160(sp)
    fsd fs7, 168(sp)
    fsd fs8, 176(sp)
    fsd fs9, 184(sp)
    fsd fs10, 192(sp)
    fsd fs11, 200(sp)
#endif
    sd sp, 0(a0)
    mv sp, a1
#if defined(__riscv_float_abi_double)
    fld fs0, 112(sp)
    fld fs1, 120(sp)
    fld fs2, 128(sp)
    fld fs3, 136(sp)
    fld fs4, 144(sp)
    fld fs5, 152(sp)
    fld fs6, 160(sp)
    fld fs7, 168(sp)
    fld fs8, 176(sp)
    fld fs9, 184(sp)
    fld fs10, 192(sp)
    fld fs11, 200(sp)
#endif
    ld ra, 0(sp)
    ld s0, 8(sp)
    ld s1, 16(sp)
    ld s2, 24(sp)
    ld s3, 32(sp)
    ld s4, 40(sp)
    ld s5, 48(sp)
    ld s6, 56(sp)
    ld s7, 64(sp)
    ld s8, 72(sp)
    ld s9, 80(sp)
    ld s10, 88(sp)
    ld s11, 96(sp)
    addi sp, sp, FRAME
    .cfi_def_cfa_offset 0
    .cfi_restore s0
    .cfi_restore s1
    .cfi_restore s2
    .cfi_restore s3
    .cfi_restore s4
    .cfi_restore s5
    .cfi_restore s6
    .cfi_restore s7
    .cfi_restore s8
    .cfi_restore s9
    .cfi_restore s10
    .cfi_restore s11
    .cfi_restore ra
    ret
    .cfi_endproc
    .size asyncio_fiber_swap_, . - asyncio_fiber_swap_

/* The first frame of a fiber: s0 is 0, for those who follow frame pointers; s1 is arg, s2 entry.
 * The nop is there because unwinders look up the byte before an address to go on at. */
    .globl asyncio_fiber_entry_
    .hidden asyncio_fiber_entry_
    .type asyncio_fiber_entry_, @function
    .p2align 4
asyncio_fiber_entry_:
    .cfi_startproc
    .cfi_undefined ra
    nop
.Lentry:
    mv a0, s1
    jalr s2
    unimp
    .cfi_endproc
    .size asyncio_fiber_entry_, . - asyncio_fiber_entry_

/* void *asyncio_fiber_make_(void *top: a0, void (*entry)(void *): a1, void *arg: a2)
 *
 * The other registers begin as what the stack holds: zeros, or what the last fiber left. */
    .globl asyncio_fiber_make_
    .hidden asyncio_fiber_make_
    .type asyncio_fiber_make_, @function
    .p2align 4
asyncio_fiber_make_:
    .cfi_startproc
    addi a0, a0, -FRAME
    lla t0, .Lentry
    sd t0, 0(a0)
    sd zero, 8(a0)
    sd a2, 16(a0)
    sd a1, 24(a0)
    ret
    .cfi_endproc
    .size asyncio_fiber_make_, . - asyncio_fiber_make_

/* void asyncio_fiber_look_(void *sp: a0, void (*fn)(void *): a1, void *arg: a2)
 *
 * The CFA is that of the suspended fiber's frame, which s1 points to, instead of our own. */
    .globl asyncio_fiber_look_
    .hidden asyncio_fiber_look_
    .type asyncio_fiber_look_, @function
    .p2align 4
asyncio_fiber_look_:
    .cfi_startproc
    addi sp, sp, -16
    .cfi_def_cfa_offset 16
    sd s1, 0(sp)
    .cfi_rel_offset s1, 0
    sd ra, 8(sp)
    .cfi_rel_offset ra, 8
    mv s1, a0
    mv a0, a2
    .cfi_remember_state
    .cfi_def_cfa s1, FRAME
    cfi_saved
    jalr a1
    nop
    .cfi_restore_state
    ld s1, 0(sp)
    ld ra, 8(sp)
    addi sp, sp, 16
    .cfi_def_cfa_offset 0
    .cfi_restore s1
    .cfi_restore ra
    ret
    .cfi_endproc
    .size asyncio_fiber_look_, . - asyncio_fiber_look_

#endif
