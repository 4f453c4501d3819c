/* sys_pages.c - pages, for stacks.
 *
 * Pages are reserved without being charged for, committed as they are touched, and never gathered
 * into huge ones: a stack that touches one page must not cost 2 MiB.
 */
#include "ground/sys.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "ground/fault.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

static void *map(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    return pages != MAP_FAILED ? pages : NULL;
}

size_t sys_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE); /* which there always is */
}

void *sys_pages_reserve(size_t size)
{
    if (fault_fails())
        return NULL;

    void *pages = map(size);
    /* A kernel without huge pages refuses, and is right. */
    if (pages != NULL)
        (void)madvise(pages, size, MADV_NOHUGEPAGE);
    return pages;
}

void sys_pages_release(void *pages, size_t size)
{
    /* Of a whole mapping, this cannot fail. */
    (void)munmap(pages, size);
}

void sys_pages_discard(void *pages, size_t size)
{
    /* Refused for locked memory, which then stays. */
    (void)madvise(pages, size, MADV_DONTNEED);
}

/* Whether guards not only are accepted but guard: qemu-user takes any advice and does nothing.
 * Touching a guarded page kills, so the kernel is asked to write to one.  uname() it is because
 * Valgrind looks into the arguments of many other calls itself, and would be killed. */
static bool guards_work(void)
{
    size_t size = sys_page_size();
    void *page = map(size);
    bool works = false;

    if (page == NULL)
        return false;
    if (madvise(page, size, MADV_GUARD_INSTALL) == 0)
        works = uname(page) < 0 && errno == EFAULT;
    (void)munmap(page, size);
    return works;
}

int sys_pages_guard(void *pages, size_t size)
{
    enum { UNKNOWN, YES, NO };
    static atomic_int has_guards;

    if (fault_fails())
        return -ENOMEM;

    int has = atomic_load_explicit(&has_guards, memory_order_relaxed);
    if (has == UNKNOWN) {
        has = guards_work() ? YES : NO;
        atomic_store_explicit(&has_guards, has, memory_order_relaxed);
    }
    if (has == YES && madvise(pages, size, MADV_GUARD_INSTALL) == 0)
        return 0;
    /* Splits the mapping in two, of which a process may have some 65,000. */
    return mprotect(pages, size, PROT_NONE) == 0 ? 0 : -ENOMEM;
}
