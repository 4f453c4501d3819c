/* sim.h - a network inside the process, for what calls it: the sockets of sys.h, the back end
 * `sim`, and asyncio/testing.h.
 *
 * A simulated socket has a real descriptor, which keeps its number from being anybody else's and is
 * good for nothing.  The calls of sys.h that take a descriptor look it up here (sim_of), and go to
 * the simulation if it is one of its own; all others are the kernel's.  So everything above sys.h
 * runs unchanged.
 *
 * A network belongs to one loop and its thread; its clock is the loop's.  Sockets of IPv4 and IPv6
 * are made in the network that is current in the thread, where there is one.  It lives until its
 * loop is closed and its last socket, too.
 */
#ifndef ASYNCIO_GROUND_SIM_H
#define ASYNCIO_GROUND_SIM_H

#include "asyncio.h"
#include "asyncio/testing.h"

struct sim_network;
struct sim_socket;

extern _Thread_local struct sim_network *sim_current; /* where sockets are made; NULL: the kernel */
extern _Thread_local struct sim_socket **sim_sockets; /* by descriptor */
extern _Thread_local size_t sim_sockets_size;

/* NULL: a descriptor of the kernel's. */
static inline struct sim_socket *sim_of(int fd)
{
    return (size_t)fd < sim_sockets_size ? sim_sockets[fd] : NULL; /* negative: larger than all */
}

/* ---- networks ---- */

/* The clock is read where it lies; it must stand as long as the network is open.  NULL: no memory.
 * It becomes the thread's current one. */
struct sim_network *sim_network_open(const int64_t *clock);
void sim_network_close(struct sim_network *network);

void sim_set_seed(struct sim_network *network, uint64_t seed);
void sim_set_trace(struct sim_network *network, int fd);
uint64_t sim_seed(const struct sim_network *network);
uint64_t sim_digest(const struct sim_network *network);
uint64_t sim_random(struct sim_network *network);
uint64_t sim_below(struct sim_network *network, uint64_t limit);
bool sim_chance(struct sim_network *network, double probability);
asyncio_testing_faults *sim_faults(struct sim_network *network);
asyncio_testing_counts *sim_counts(struct sim_network *network);

/* How many descriptors are open. */
size_t sim_open_sockets(const struct sim_network *network);
/* The open socket of this number; false: there are not so many. */
bool sim_describe_open(const struct sim_network *network, size_t number, char *text, size_t size);

/* ---- hosts and what is between them ---- */

enum { SIM_ANY = 0xffff };

/* Which host the code that runs is at: asked when a socket is made. */
void sim_set_where(struct sim_network *network, unsigned (*where)(void));
unsigned sim_place(void);       /* in the current network; 0 where there is none */
int sim_host(const char *name); /* its number, or -ENOENT; NULL: SIM_ANY */
int sim_add_host(const char *name, const char *addresses, bool name_only);
void sim_set_down(unsigned host, bool down);
int sim_set_conditions(unsigned from, unsigned to, const asyncio_testing_conditions *conditions);
int sim_partition(unsigned a, unsigned b);
void sim_heal(unsigned a, unsigned b);
int sim_reset_connections(double share);

/* Names are those of hosts, once any was added.  How long it takes to learn one is told, too. */
bool sim_has_names(void);
int sim_getaddrinfo(asyncio_address **addresses, const char *host, const char *service,
                    const asyncio_getaddrinfo_options *options);
int sim_name_of(char *name, size_t size, const asyncio_address *address);
double sim_name_delay(void);

/* ---- time ---- */

int64_t sim_next_event(const struct sim_network *network); /* INT64_MAX: nothing is under way */
int64_t sim_jump(struct sim_network *network, int64_t to); /* when the clock is to stand instead */
void sim_run_events(struct sim_network *network);          /* all that is due */

/* ---- what is ready: flags of loop/readiness.h ---- */

enum { SIM_READ = 1, SIM_WRITE = 2, SIM_HANGUP = 4 };

/* The next descriptor of which something has changed since this was asked, and what is ready of it
 * now; false: there is none. */
bool sim_take_changed(struct sim_network *network, int *fd, unsigned *ready);
bool sim_has_changed(const struct sim_network *network);

/* The like of one that has not: sometimes, by chance. */
bool sim_take_spurious(struct sim_network *network, int *fd, unsigned *ready);

/* Has it taken for changed, if one of these is so already. */
void sim_watch(struct sim_socket *socket, unsigned wanted);

/* ---- what sys.h says of sockets ---- */

int sim_socket_new(unsigned host, int family, int type, int protocol);
int sim_double(struct sim_socket *socket, int fd); /* `fd` is another of the same now */
void sim_close(struct sim_socket *socket, int fd); /* not yet the descriptor itself */
int sim_bind(struct sim_socket *socket, const asyncio_address *address);
int sim_listen(struct sim_socket *socket, int backlog);
int sim_connect(struct sim_socket *socket, const asyncio_address *address);
int sim_socket_error(struct sim_socket *socket);
int sim_accept(struct sim_socket *socket, asyncio_address *from);
int sim_recv(struct sim_socket *socket, void *data, size_t size, asyncio_address *from);
int sim_send(struct sim_socket *socket, const asyncio_bytes *parts, size_t count,
             const asyncio_address *to);
int sim_shutdown_write(struct sim_socket *socket);
int sim_getsockname(const struct sim_socket *socket, asyncio_address *address);
int sim_getpeername(const struct sim_socket *socket, asyncio_address *address);
int sim_set_option(struct sim_socket *socket, int level, int name, int value);
int sim_get_option(struct sim_socket *socket, int level, int name);
void sim_reset_on_close(struct sim_socket *socket);

#endif
