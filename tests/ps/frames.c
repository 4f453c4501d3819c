/* frames.c - has a function a frame that calls another one last of all and returns what that
 * returned?  Compiled as the library is: if so, then each public call that waits has one.
 */
#include <stdbool.h>
#include <stdint.h>

bool frames_are_kept(void);

__attribute__((noinline)) static uintptr_t innermost(void)
{
    __asm__ volatile("");
    return (uintptr_t)__builtin_frame_address(0);
}

__attribute__((noinline)) static uintptr_t calls_last(void)
{
    __asm__ volatile("");
    return innermost();
}

/* A jump leaves the stack as the call did that it stands for. */
bool frames_are_kept(void)
{
    uintptr_t direct = innermost(), below = calls_last();

    __asm__ volatile("");
    return direct != below;
}
