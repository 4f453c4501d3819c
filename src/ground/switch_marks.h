/* switch_marks.h - what each assembly file must say of itself.
 *
 * Also one of another architecture, which is empty: a single object that does not say it takes it
 * from the whole program.  The stack is not executable; on Arm, built so, indirect branches find
 * landing pads.  Nothing for x86-64: see switch_x86_64.S.
 */
#ifndef ASYNCIO_GROUND_SWITCH_MARKS_H
#define ASYNCIO_GROUND_SWITCH_MARKS_H

/* clang-format off */
#if defined(__ASSEMBLER__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#if defined(__ARM_FEATURE_BTI_DEFAULT)
    .section .note.gnu.property, "a", %note
    .p2align 3
    .word 4, 16, 5
    .asciz "GNU"
    .word 0xc0000000, 4, 1, 0
#endif
#endif

#endif
