/* origin.h - debug mode: where an object was made, as a small number.
 *
 * A table of the process: the same place has the same number, so that it grows with the program and
 * not with its run.  0 stands for "not known".
 */
#ifndef ASYNCIO_LOOP_ORIGIN_H
#define ASYNCIO_LOOP_ORIGIN_H

#include <stddef.h>

/* Of the caller's caller; 0 when there is no memory. */
unsigned origin_record(void);

/* Its innermost frames, one on a line, cut off at `size`; NULL for 0.  Returns `text`. */
const char *origin_describe(unsigned origin, char *text, size_t size);

/* Gives the table back; when the last loop is gone. */
void origin_forget_all(void);

#endif
