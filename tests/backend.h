/* backend.h - whether the tests run on the back end that they are to run on. */
#ifndef ASYNCIO_TESTS_BACKEND_H
#define ASYNCIO_TESTS_BACKEND_H

#include <stdbool.h>

/* False: it is refused here, which was said, with the reason.  When ASYNCIO_TEST_REFUSED is set it
 * must be, and the loops must say so: else this ends the program. */
bool backend_as_wanted(const char *program);

#endif
