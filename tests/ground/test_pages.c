/* test_pages.c - guards, also where the kernel cannot make them without splitting a mapping. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "dies.h"
#include "ground/sys.h"
#include "rules/older_kernel.h"

enum { GUARD_INSTALL = 102 };

/* Of two pages the first becomes a guard. */
static void check_guard(char *pages)
{
    size_t page = sys_page_size();

    if (CHECK_INT(sys_pages_guard(pages, page), 0)) {
        CHECK(reading_kills(pages) && reading_kills(pages + page - 1));
        CHECK(!reading_kills(pages + page));
    }
}

static char *two_pages(void)
{
    char *pages = sys_pages_reserve(2 * sys_page_size());

    if (pages == NULL)
        FAIL("no pages");
    return pages;
}

static void check_and_release(char *pages)
{
    check_guard(pages);
    sys_pages_release(pages, 2 * sys_page_size());
}

TEST(guard_on_an_older_kernel)
{
    char *pages = two_pages();

    answer_argument(SYS_madvise, 2, GUARD_INSTALL, EINVAL);
    check_and_release(pages);
}

/* An emulator takes any advice, and then the kernel can write where a guard should be. */
TEST(guard_where_advice_does_nothing)
{
    char *pages = two_pages();

    answer_argument(SYS_madvise, 2, GUARD_INSTALL, 0);
    check_and_release(pages);
}

/* A filter before the call that tells says nothing about guards. */
TEST(guard_where_nobody_can_tell)
{
    char *pages = two_pages();

    answer_call(SYS_uname, EPERM);
    check_and_release(pages);
}

TEST(guard_without_a_page_to_try_it_on)
{
    char *pages = two_pages();
    struct rlimit before;

    getrlimit(RLIMIT_AS, &before);
    setrlimit(RLIMIT_AS, &(struct rlimit){ 0, before.rlim_max });
    int r = sys_pages_guard(pages, sys_page_size());
    setrlimit(RLIMIT_AS, &before);
    CHECK_INT(r, 0);
    CHECK(r < 0 || reading_kills(pages));
    sys_pages_release(pages, 2 * sys_page_size());
}

/* As all is after mlockall(MCL_FUTURE): the kernel refuses to install guards there. */
TEST(guard_in_locked_memory)
{
    char *pages = two_pages(), *other = two_pages();

    check_and_release(other); /* where it works */
    if (mlock(pages, 2 * sys_page_size()) < 0) {
        sys_pages_release(pages, 2 * sys_page_size());
        SKIP("no right to lock memory");
    }
    check_and_release(pages);
}

/* On an older kernel; and not in an emulator, which has something wherever a process could. */
TEST(guard_where_nothing_is)
{
    char *pages = two_pages();

    answer_argument(SYS_madvise, 2, GUARD_INSTALL, EINVAL);
    sys_pages_release(pages, 2 * sys_page_size());
    CHECK_INT(sys_pages_guard(pages, sys_page_size()), -ENOMEM);
}
