/* sendfile.h - sending a file, as operations one after the other.
 *
 * To a socket the kernel sends by itself, SENDFILE_CHUNK bytes at a time, so that a big file leaves
 * others their turns.  It would wait for the disk in the loop's thread; so the ends of each chunk
 * are looked for in the page cache first, and a thread reads what is not there.  Where the kernel
 * cannot, blocks are read as any file is, and written by the caller.
 *
 *     step -> prepares `op` -> the caller has it done -> stepped -> step -> ...
 */
#ifndef ASYNCIO_CORE_SENDFILE_H
#define ASYNCIO_CORE_SENDFILE_H

#include "loop/op.h"

enum {
    SENDFILE_CHUNK = 256 * 1024,
    SENDFILE_BLOCK = 16 * 1024,         /* of the fallback for transports and streams */
    SENDFILE_SOCKET_BLOCK = 256 * 1024, /* ... for sockets */
};

enum sendfile_result {
    SENDFILE_OVER,    /* all is sent */
    SENDFILE_GO_ON,   /* `op` is to be done; or, after it, the next step */
    SENDFILE_TO_WRITE /* `block` has `held` bytes: write them, then sendfile_written() */
};

struct sendfile {
    struct asyncio_loop *loop;
    int socket; /* -1: the kernel cannot: blocks are read */
    int file;
    int64_t offset, count, sent; /* from where, how much at most, how much so far */
    int64_t warm;                /* up to here it was in the page cache */
    char *block;
    size_t block_size, held;
    asyncio_op op;
};

/* -EINVAL: the options are none.  -EBUSY: the file is a stream's.  `socket` -1: with the fallback
 * from the start. */
int sendfile_begin(struct sendfile *sendfile, struct asyncio_loop *loop, int socket, int file,
                   const asyncio_sendfile_options *options);

/* SENDFILE_OVER, SENDFILE_GO_ON.  -ENOMEM. */
int sendfile_step(struct sendfile *sendfile);

/* What became of `op`.  ASYNCIO_ENOSENDFILE: the kernel cannot, and nothing was sent. */
int sendfile_stepped(struct sendfile *sendfile, int result);

void sendfile_written(struct sendfile *sendfile, size_t size);

/* From now on by blocks, after ASYNCIO_ENOSENDFILE. */
void sendfile_fall_back(struct sendfile *sendfile, size_t block_size);

/* At the end, whatever it was: the file stands behind what was sent.  0, or why it does not. */
int sendfile_end(struct sendfile *sendfile);

#endif
