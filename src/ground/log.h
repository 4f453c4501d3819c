/* log.h - the one way out for what the library has to say, and the end for misuse. */
#ifndef ASYNCIO_GROUND_LOG_H
#define ASYNCIO_GROUND_LOG_H

#include "asyncio.h"

/* Formats one message, without a newline, of at most about 4,000 bytes, and hands it to the log
 * function.  Allocates nothing.  Any thread. */
ASYNCIO_PRINTF(2, 3) void log_write(enum asyncio_log_level level, const char *format, ...);

/* For misuse that would corrupt memory: writes "asyncio: <sentence>" to stderr and aborts. */
#if defined(__GNUC__)
__attribute__((noreturn))
#endif
ASYNCIO_PRINTF(1, 2) void die(const char *format, ...);

#endif
