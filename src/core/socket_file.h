/* socket_file.h - the files that name Unix sockets. */
#ifndef ASYNCIO_CORE_SOCKET_FILE_H
#define ASYNCIO_CORE_SOCKET_FILE_H

#include "asyncio.h"
#include "ground/sys.h"

/* The file that a socket of ours was bound to, so that it can be removed with it. */
struct socket_file {
    asyncio_address address; /* size 0: there is none */
    struct sys_file_id id;
};

/* Binds a Unix socket.  A file that a socket has left behind is replaced, one of a socket
 * that lives or of another kind is -EADDRINUSE.  An abstract name has no file. */
int socket_file_bind(int fd, const asyncio_address *address);

/* Remembers the file that a socket was just bound to, if it has one. */
int socket_file_note(struct socket_file *file, const asyncio_address *address);

/* Removes it, unless another file is there by now. */
void socket_file_remove(struct socket_file *file);

#endif
