/* socket_file.c - the files that name Unix sockets.
 *
 * A socket that is closed leaves its file behind, and nobody can be bound to it again.  Whether a
 * file is such a left-over is found out by connecting a datagram socket to it, which disturbs
 * nobody: -EPROTOTYPE comes of a live socket of another type, listening or not, -ECONNREFUSED only
 * if there is none.  Then the file is removed, if it is still the same one.
 */
#include "core/socket_file.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct path {
    struct sockaddr_un un;
};

/* NULL: the address has no path. */
static const char *path_of(struct path *path, const asyncio_address *address)
{
    size_t size = address->size < sizeof path->un ? address->size : sizeof path->un;

    memset(path, 0, sizeof *path);
    memcpy(&path->un, address->data, size);
    return path->un.sun_family == AF_UNIX && path->un.sun_path[0] != '\0' ? path->un.sun_path
                                                                          : NULL;
}

/* Whether nobody is behind it: 1, 0, or an error. */
static int is_stale(const asyncio_address *address)
{
    int fd = sys_socket(AF_UNIX, SOCK_DGRAM, 0);

    if (fd < 0)
        return fd;
    int r = sys_connect(fd, address);
    sys_close(fd);
    return r == -ECONNREFUSED;
}

static bool is_same(const struct sys_file_id *a, const struct sys_file_id *b)
{
    return a->device == b->device && a->inode == b->inode;
}

static int replace(int fd, const asyncio_address *address, const char *path)
{
    struct sys_file_id before, after;
    int r = sys_socket_file(path, &before);

    if (r > 0)
        r = is_stale(address);
    if (r > 0)
        r = sys_socket_file(path, &after);
    if (r > 0 && is_same(&before, &after))
        r = sys_unlink(path);
    else if (r >= 0)
        return -EADDRINUSE;
    return r < 0 && r != -ENOENT ? r : sys_bind(fd, address);
}

int socket_file_bind(int fd, const asyncio_address *address)
{
    struct path room;
    const char *path = path_of(&room, address);
    int r = sys_bind(fd, address);

    return r == -EADDRINUSE && path != NULL ? replace(fd, address, path) : r;
}

int socket_file_note(struct socket_file *file, const asyncio_address *address)
{
    struct path room;
    const char *path = path_of(&room, address);

    file->address.size = 0;
    if (path == NULL)
        return 0;
    int r = sys_socket_file(path, &file->id);
    if (r > 0)
        file->address = *address;
    else if (r < 0)
        asyncio_ignore(sys_unlink(path)); /* it was made a moment ago */
    return r < 0 ? r : 0;
}

void socket_file_remove(struct socket_file *file)
{
    struct sys_file_id now;
    struct path room;
    const char *path = path_of(&room, &file->address);

    file->address.size = 0;
    if (path != NULL && sys_socket_file(path, &now) > 0 && is_same(&now, &file->id))
        asyncio_ignore(sys_unlink(path)); /* what cannot be removed is replaced the next time */
}
