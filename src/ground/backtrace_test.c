/* backtrace_test.c - tests of backtrace_describe(): names of places in programs. */
#include "ground/backtrace.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#include "harness.h"

TEST(no_address)
{
    char text[64] = "", expected[64] = "";

    (void)snprintf(expected, sizeof expected, "%p", NULL);
    CHECK(backtrace_describe(NULL, text, sizeof text) > 0);
    CHECK_STR(text, expected);
}

/* The kernel's own library, which is no file: its name has no directories before it. */
TEST(place_in_the_kernels_library)
{
#if !defined(__GLIBC__)
    SKIP("the C library gives it a name of its own, or none");
#endif
    uintptr_t base = getauxval(AT_SYSINFO_EHDR);
    char text[64] = "";

    if (base == 0)
        SKIP("the kernel has no library in programs here");
    CHECK(backtrace_describe((void *)(base + 1), text, sizeof text) > 0);
    text[strcspn(text, "(")] = '\0';
    CHECK(strchr(text, '/') == NULL && strncmp(text, "linux-", 6) == 0);
}

/* ---- a program's own name, which is what it was started as ---- */

static void nameless(void)
{
}

/* As far as the "(": the place in it differs. */
static const char *program_name_as(char *name)
{
    static char text[256];
    char **arguments = test_arguments(), *before = arguments[0];

    arguments[0] = name;
    CHECK(backtrace_describe((char *)(uintptr_t)nameless + 1, text, sizeof text) > 0);
    arguments[0] = before;
    text[strcspn(text, "(")] = '\0';
    return text;
}

/* A static function has no name for the linker, so that its program's stands for it. */
TEST(place_in_a_program_by_its_name)
{
#if !defined(__GLIBC__)
    SKIP("the C library keeps the name where a test cannot change it");
#endif
    char with[] = "some/where/program", without[] = "program";

    CHECK_STR(program_name_as(with), "program");
    CHECK_STR(program_name_as(without), "program");
    CHECK_STR(program_name_as(NULL), "?"); /* started without any argument, on older kernels */
}
