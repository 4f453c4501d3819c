/* sys_socket.c - sockets.
 *
 * Each call makes one system call, asks fault_fails() before it, restarts it after a signal and
 * turns its result into an int.  A descriptor made here is close-on-exec and non-blocking before
 * anybody else can see it.  Addresses are untouched by a call that fails.
 *
 * A simulated socket is the simulation's (sim.h), which is asked in the kernel's place.
 */
#include "ground/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ground/fault.h"
#include "ground/sim.h"

#define RESTART(result, call)                                                                      \
    do {                                                                                           \
        (result) = (call);                                                                         \
    } while ((result) < 0 && errno == EINTR)

/* sendmsg() gets the caller's array as it is. */
_Static_assert(sizeof(asyncio_bytes) == sizeof(struct iovec), "asyncio_bytes is not an iovec");
_Static_assert(offsetof(asyncio_bytes, data) == offsetof(struct iovec, iov_base), "data");
_Static_assert(offsetof(asyncio_bytes, size) == offsetof(struct iovec, iov_len), "size");

enum { PARTS_MAX = 1024 }; /* IOV_MAX, which limits.h need not have */

static int result_of(ssize_t result)
{
    return result < 0 ? -errno : (int)result;
}

static const struct sockaddr *sockaddr_of(const asyncio_address *address)
{
    return (const struct sockaddr *)(const void *)address->data;
}

static struct sockaddr *sockaddr_room(asyncio_address *address)
{
    return (struct sockaddr *)(void *)address->data;
}

/* How much of `size` to move at once. */
static size_t transfer_size(size_t size)
{
    if (fault_short_transfers() && size > 1)
        return 1;
    return size < INT_MAX ? size : INT_MAX;
}

unsigned sys_place(void)
{
    return sim_place();
}

int sys_socket(int family, int type, int protocol)
{
    return sys_socket_at(sim_place(), family, type, protocol);
}

int sys_socket_at(unsigned place, int family, int type, int protocol)
{
    if (fault_fails())
        return -EMFILE;
    if (sim_current != NULL && (family == AF_INET || family == AF_INET6))
        return sim_socket_new(place, family, type, protocol);
    return result_of(socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
}

int sys_double(int fd)
{
    if (fault_fails())
        return -EMFILE;

    int copy = result_of(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    int r = copy >= 0 && sim_of(fd) != NULL ? sim_double(sim_of(fd), copy) : 0;
    if (r == 0)
        return copy;
    sys_close(copy);
    return r;
}

void sys_close(int fd)
{
    /* Not restarted: after EINTR Linux has closed it, and the number may be somebody else's. */
    if (sim_of(fd) != NULL)
        sim_close(sim_of(fd), fd);
    if (fd >= 0)
        (void)close(fd);
}

int sys_bind(int fd, const asyncio_address *address)
{
    if (fault_fails())
        return -EADDRINUSE;
    if (sim_of(fd) != NULL)
        return sim_bind(sim_of(fd), address);
    return result_of(bind(fd, sockaddr_of(address), address->size));
}

int sys_listen(int fd, int backlog)
{
    if (fault_fails())
        return -EADDRINUSE;
    if (sim_of(fd) != NULL)
        return sim_listen(sim_of(fd), backlog);
    return result_of(listen(fd, backlog));
}

int sys_connect(int fd, const asyncio_address *address)
{
    if (fault_fails())
        return -ECONNREFUSED;
    if (sim_of(fd) != NULL)
        return sim_connect(sim_of(fd), address);
    if (connect(fd, sockaddr_of(address), address->size) == 0)
        return 0;
    /* Interrupted, it goes on by itself; a second connect() would only say EALREADY. */
    return errno == EINTR ? -EINPROGRESS : -errno;
}

int sys_socket_error(int fd)
{
    int error;
    socklen_t size = sizeof error;

    if (fault_fails())
        return -ECONNREFUSED;
    if (sim_of(fd) != NULL)
        return sim_socket_error(sim_of(fd));
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}

int sys_accept(int listener, asyncio_address *from)
{
    struct sockaddr *room = from != NULL ? sockaddr_room(from) : NULL;
    socklen_t size = from != NULL ? sizeof from->data : 0;
    int fd;

    if (fault_fails())
        return -EMFILE;
    if (sim_of(listener) != NULL)
        return sim_accept(sim_of(listener), from);
    RESTART(fd, accept4(listener, room, from != NULL ? &size : NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd < 0)
        return -errno;
    if (from != NULL)
        from->size = size;
    return fd;
}

int sys_recv(int fd, void *data, size_t size)
{
    ssize_t got;

    if (fault_fails())
        return -ECONNRESET;
    if (sim_of(fd) != NULL)
        return sim_recv(sim_of(fd), data, transfer_size(size), NULL);
    RESTART(got, recv(fd, data, transfer_size(size), 0));
    return result_of(got);
}

int sys_recvfrom(int fd, void *data, size_t size, asyncio_address *from)
{
    struct sockaddr *room = from != NULL ? sockaddr_room(from) : NULL;
    socklen_t room_size = from != NULL ? sizeof from->data : 0;
    ssize_t got;

    if (fault_fails())
        return -ECONNREFUSED;
    if (sim_of(fd) != NULL)
        return sim_recv(sim_of(fd), data, size, from);
    if (size > INT_MAX)
        size = INT_MAX;
    RESTART(got, recvfrom(fd, data, size, 0, room, from != NULL ? &room_size : NULL));
    if (got >= 0 && from != NULL)
        from->size = room_size;
    return result_of(got);
}

int sys_send(int fd, const void *data, size_t size)
{
    ssize_t sent;

    if (fault_fails())
        return -ECONNRESET;
    if (sim_of(fd) != NULL)
        return sim_send(sim_of(fd), &(asyncio_bytes){ data, transfer_size(size) }, 1, NULL);
    RESTART(sent, send(fd, data, transfer_size(size), MSG_NOSIGNAL));
    return result_of(sent);
}

/* The first byte of the first part that has one. */
static int send_one_of(int fd, const asyncio_bytes *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size > 0)
            return sys_send(fd, parts[i].data, 1);
    }
    return 0;
}

int sys_sendv(int fd, const asyncio_bytes *parts, size_t count)
{
    ssize_t sent;

    if (fault_short_transfers())
        return send_one_of(fd, parts, count);
    if (fault_fails())
        return -ECONNRESET;
    if (sim_of(fd) != NULL)
        return sim_send(sim_of(fd), parts, count, NULL);

    /* The kernel only reads them, but its struct is not const.  It moves at most 2 GiB. */
    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)parts,
                              .msg_iovlen = (unsigned)(count < PARTS_MAX ? count : PARTS_MAX) };
    RESTART(sent, sendmsg(fd, &message, MSG_NOSIGNAL));
    return result_of(sent);
}

int sys_sendto(int fd, const void *data, size_t size, const asyncio_address *to)
{
    ssize_t sent;

    if (fault_fails())
        return -ENOBUFS;
    if (size > INT_MAX)
        return -EMSGSIZE;
    if (sim_of(fd) != NULL)
        return sim_send(sim_of(fd), &(asyncio_bytes){ data, size }, 1, to);
    const struct sockaddr *name = to != NULL ? sockaddr_of(to) : NULL;
    RESTART(sent, sendto(fd, data, size, MSG_NOSIGNAL, name, to != NULL ? to->size : 0));
    return result_of(sent);
}

int sys_shutdown_write(int fd)
{
    if (fault_fails())
        return -ENOTCONN;
    if (sim_of(fd) != NULL)
        return sim_shutdown_write(sim_of(fd));
    return result_of(shutdown(fd, SHUT_WR));
}

typedef int name_of_socket(int fd, struct sockaddr *restrict name, socklen_t *restrict size);

static int get_name(int fd, asyncio_address *address, name_of_socket *get, int fault)
{
    socklen_t size = sizeof address->data;

    if (fault_fails())
        return fault;
    if (get(fd, sockaddr_room(address), &size) < 0)
        return -errno;
    address->size = size;
    return 0;
}

int sys_getsockname(int fd, asyncio_address *address)
{
    if (sim_of(fd) != NULL)
        return fault_fails() ? -ENOBUFS : sim_getsockname(sim_of(fd), address);
    return get_name(fd, address, getsockname, -ENOBUFS);
}

int sys_getpeername(int fd, asyncio_address *address)
{
    if (sim_of(fd) != NULL)
        return fault_fails() ? -ENOTCONN : sim_getpeername(sim_of(fd), address);
    return get_name(fd, address, getpeername, -ENOTCONN);
}

int sys_set_option(int fd, int level, int name, int value)
{
    if (fault_fails())
        return -ENOMEM;
    if (sim_of(fd) != NULL)
        return sim_set_option(sim_of(fd), level, name, value);
    return result_of(setsockopt(fd, level, name, &value, sizeof value));
}

int sys_get_option(int fd, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof value;

    if (fault_fails())
        return -ENOMEM;
    if (sim_of(fd) != NULL)
        return sim_get_option(sim_of(fd), level, name);
    if (getsockopt(fd, level, name, &value, &size) < 0)
        return -errno;
    return value;
}

int sys_is_blocking(int fd)
{
    if (fault_fails())
        return -EBADF;

    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -errno : (flags & O_NONBLOCK) == 0;
}

int sys_set_nonblocking(int fd)
{
    if (fault_fails())
        return -EBADF;

    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK) == 0)
        flags = fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    return flags < 0 ? -errno : 0;
}

void sys_reset_on_close(int fd)
{
    struct linger linger = { .l_onoff = 1 };

    if (sim_of(fd) != NULL)
        sim_reset_on_close(sim_of(fd));
    /* On what is no TCP socket there is nothing to reset. */
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/* glibc's if_nametoindex() says ENOENT, or whatever, if there is no descriptor for its socket. */
int sys_interface_index(const char *name)
{
    struct ifreq request = { .ifr_ifindex = 0 };
    size_t size = strlen(name) + 1;

    if (fault_fails())
        return -EMFILE;
    if (size > sizeof request.ifr_name)
        return -ENODEV;
    memcpy(request.ifr_name, name, size);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int r = ioctl(fd, SIOCGIFINDEX, &request) < 0 ? -errno : request.ifr_ifindex;
    sys_close(fd);
    return r;
}
