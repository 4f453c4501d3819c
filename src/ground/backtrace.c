/* backtrace.c - return addresses by the compiler's unwinder, names by the dynamic linker.
 *
 * The unwinder follows the unwind tables, so frame pointers are not needed.  It ends at the first
 * frame of a fiber, whose return address the tables call undefined.  Frames of the fiber machinery
 * itself are not reported: fiber_is_outermost() knows them.
 */
#include "ground/backtrace.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unwind.h>

#include "ground/fiber.h"

struct capture {
    void **addresses;
    size_t capacity, count, skip;
};

/* The unwinder is not instrumented: MSan does not know that it has written the arguments. */
#if defined(__clang__)
__attribute__((no_sanitize("memory")))
#endif
static _Unwind_Reason_Code
capture_frame(struct _Unwind_Context *context, void *arg)
{
    struct capture *capture = arg;

    if (fiber_is_outermost((uintptr_t)_Unwind_GetRegionStart(context)))
        return _URC_END_OF_STACK;
    if (capture->skip > 0) {
        capture->skip--;
        return _URC_NO_REASON;
    }
    uintptr_t address = (uintptr_t)_Unwind_GetIP(context);
    if (address == 0 || capture->count == capture->capacity)
        return _URC_END_OF_STACK;
    capture->addresses[capture->count++] = (void *)address;
    return _URC_NO_REASON;
}

/* Not inlined, for it is a frame to be skipped. */
__attribute__((noinline)) size_t backtrace_capture(void **addresses, size_t capacity, size_t skip)
{
    struct capture capture = {
        .addresses = addresses,
        .capacity = capacity,
        .skip = skip + 1,
    };

    (void)_Unwind_Backtrace(capture_frame, &capture); /* it always ends in END_OF_STACK */
    return capture.count;
}

int backtrace_describe(void *address, char *text, size_t size)
{
    Dl_info info;

    /* A call that does not return may be the last instruction of its function: the address after
     * it is the next function's. */
    if (address == NULL || dladdr((char *)address - 1, &info) == 0)
        return snprintf(text, size, "%p", address);
    if (info.dli_sname != NULL)
        return snprintf(text, size, "%s+%#tx", info.dli_sname,
                        (char *)address - (char *)info.dli_saddr);
    const char *slash = info.dli_fname != NULL ? strrchr(info.dli_fname, '/') : NULL;
    const char *file = slash != NULL ? slash + 1 : info.dli_fname;
    return snprintf(text, size, "%s(+%#tx)", file != NULL ? file : "?",
                    (char *)address - (char *)info.dli_fbase);
}
