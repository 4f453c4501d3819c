/* asyncio/lowlevel.h - the floor below the tasks: loop, callbacks, operations, transports.
 *
 * For protocol authors, embedders and bindings; nothing here needs a task.  What takes time
 * completes an asyncio_future, all-zeros before, which a task can await and a callback can watch;
 * also an error found at once arrives there.  Cancelling that future stops the work, after which
 * nothing that the call was given is touched any more.  asyncio_await on it never loses a result:
 * if a cancellation comes after the completion, the result is returned and the request stays
 * pending.  The rules at the top of asyncio.h hold here too.
 */
#ifndef ASYNCIO_LOWLEVEL_H
#define ASYNCIO_LOWLEVEL_H

#include "../asyncio.h"

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__) && !defined(_WIN32)
#pragma GCC visibility push(default)
#endif

/* ---- loops ---------------------------------------------------------------------------------- */

struct asyncio_loop_options {
    const char *backend;            /* epoll, poll, uring, sim (virtual time); or ASYNCIO_BACKEND */
    enum asyncio_toggle debug;      /* default: ON if ASYNCIO_DEBUG is set */
    bool virtual_time;              /* stands still, and jumps to the next timer when all wait */
    size_t stack_size;              /* of its tasks; 256 KiB */
    void (*before_wait)(void *arg); /* around each wait for the kernel: to drop and take a lock */
    void (*after_wait)(void *arg);
    void *hook_arg;
    double busy_poll; /* seconds to go on looking before it sleeps; 0: none.  See below */
    uintptr_t reserved_[3];
};

/* busy_poll: waking a thread that sleeps takes tens of microseconds.  A loop that looks for
 * something to do for as long as that, say 50e-6, answers sooner, and uses its processor while
 * nothing happens.  It does so only while it has lately paid off, and not in virtual time. */

/* A new loop, with one reference for the caller: the best one, one that waits for readiness
 * (epoll, poll), or one that has the kernel do the operation (io_uring, IOCP).  A back end that
 * the kernel refuses is replaced silently, which asyncio_loop_backend_info tells: "epoll
 * (io_uring: not permitted)". */
int asyncio_new_event_loop(asyncio_loop **loop, const asyncio_loop_options *options);
int asyncio_selector_event_loop_new(asyncio_loop **loop, const asyncio_loop_options *options);
int asyncio_proactor_event_loop_new(asyncio_loop **loop, const asyncio_loop_options *options);
const char *asyncio_loop_backend_info(const asyncio_loop *loop);

/* A thread that keeps a reference may use a closed loop's THREADSAFE functions safely. */
ASYNCIO_THREADSAFE asyncio_loop *asyncio_loop_ref(asyncio_loop *loop);
ASYNCIO_THREADSAFE void asyncio_loop_unref(asyncio_loop *loop);

/* The loop that runs in this thread; NULL: none. */
asyncio_loop *asyncio_get_running_loop(void);

/* The running loop, else the one set for this thread, else NULL; none is made.  Borrowed. */
asyncio_loop *asyncio_get_event_loop(void);
void asyncio_set_event_loop(asyncio_loop *loop);

/* Runs it, until asyncio_loop_stop, or until the future is done, whose result is then returned;
 * ASYNCIO_ESTATE: stopped before.  -EBUSY: a loop runs in this thread already.  ASYNCIO_EEXIT: from
 * a task or callback.  -EDEADLK: as for asyncio_run.  May be run again. */
int asyncio_loop_run_forever(asyncio_loop *loop);
int asyncio_loop_run_until_complete(asyncio_loop *loop, asyncio_future *future);

/* Lets the current iteration end, then ends the run; before a run, lets that make one iteration. */
ASYNCIO_THREADSAFE void asyncio_loop_stop(asyncio_loop *loop);

/* For use inside another loop: one iteration that waits at most `max_wait`; how long it may wait at
 * most; a descriptor that is readable when it should not wait (-ENOTSUP).  On io_uring, between two
 * iterations the loop is its thread's: another that continues or closes it gets
 * ASYNCIO_EWRONGLOOP, until that thread has ended. */
int asyncio_loop_run_once(asyncio_loop *loop, double max_wait);
double asyncio_loop_next_timeout(const asyncio_loop *loop);
int asyncio_loop_fd(const asyncio_loop *loop);

bool asyncio_loop_is_running(const asyncio_loop *loop);
ASYNCIO_THREADSAFE bool asyncio_loop_is_closed(const asyncio_loop *loop);

/* Drops scheduled callbacks, completes operations with -ECANCELED, restores signals, reports tasks
 * and resources left.  Tasks left are gone without having cleaned up: asyncio_run ends them before.
 * -EBUSY: it runs.  Closing again does nothing; scheduling is ASYNCIO_ECLOSED from then on. */
int asyncio_loop_close(asyncio_loop *loop);

/* Its clock; with virtual time, moved by hand. */
double asyncio_loop_time(const asyncio_loop *loop);
void asyncio_loop_advance_time(asyncio_loop *loop, double seconds);

/* ---- callbacks ------------------------------------------------------------------------------
 *
 * A handle or timer is the caller's until scheduled, the loop's until called or cancelled; `fn` may
 * reuse or free it.  Never called inside the function that schedules it.  It runs in a copy of the
 * context current when it was scheduled, or in its member `context` (timer.handle.context) if that
 * is set.  -EBUSY: is scheduled already.  -EINVAL: no function.  ASYNCIO_ECLOSED.  In debug mode
 * ASYNCIO_EWRONGLOOP: this is the wrong thread.
 */

/* In order, one after the other. */
int asyncio_loop_call_soon(asyncio_loop *loop, asyncio_handle *handle, asyncio_callback *fn,
                           void *arg);

/* Also wakes the loop.  In order per thread.  Not for signal handlers. */
ASYNCIO_THREADSAFE int asyncio_loop_call_soon_threadsafe(asyncio_loop *loop, asyncio_handle *handle,
                                                         asyncio_callback *fn, void *arg);

/* At a time of asyncio_loop_time(); timers of the same time in the order they were set. */
int asyncio_loop_call_later(asyncio_loop *loop, asyncio_timer *timer, double delay,
                            asyncio_callback *fn, void *arg);
int asyncio_loop_call_at(asyncio_loop *loop, asyncio_timer *timer, double when,
                         asyncio_callback *fn, void *arg);

/* After it `fn` is not called any more, and the storage is the caller's again.  Allowed at any
 * time; for what call_soon_threadsafe scheduled from any thread: then it waits while `fn` runs. */
void asyncio_handle_cancel(asyncio_handle *handle);
void asyncio_timer_cancel(asyncio_timer *timer);
bool asyncio_handle_cancelled(const asyncio_handle *handle);
asyncio_context *asyncio_handle_get_context(asyncio_handle *handle); /* NULL: no memory */
double asyncio_timer_when(const asyncio_timer *timer);               /* also after cancel */

/* Has `fn` called by the loop once a future is done, in the order of registration; the callback's
 * member `handle` is what is scheduled then.  Removing: false if it was, or is not registered. */
typedef int asyncio_done_callback(asyncio_future *future, void *arg);
void asyncio_future_add_done_callback(asyncio_future *future, asyncio_future_callback *callback,
                                      asyncio_done_callback *fn, void *arg);
bool asyncio_future_remove_done_callback(asyncio_future *future, asyncio_future_callback *callback);

/* Watches a descriptor: `fn` is called in every iteration that finds it ready, or in error.  A
 * second add replaces the first; remove returns 1 if there was one.  -EPERM: a regular file;
 * -EBUSY: a stream's or a transport's. */
int asyncio_loop_add_reader(asyncio_loop *loop, asyncio_socket fd, asyncio_callback *fn, void *arg);
int asyncio_loop_add_writer(asyncio_loop *loop, asyncio_socket fd, asyncio_callback *fn, void *arg);
int asyncio_loop_remove_reader(asyncio_loop *loop, asyncio_socket fd);
int asyncio_loop_remove_writer(asyncio_loop *loop, asyncio_socket fd);

/* Has `fn` called in the loop for a signal; several that come close together may count as one.  A
 * second add replaces the first; remove restores the disposition, as does closing the loop.
 * -EBUSY: another loop's; -EINVAL: no signal, or one that cannot be caught. */
int asyncio_loop_add_signal_handler(asyncio_loop *loop, int signum, asyncio_callback *fn,
                                    void *arg);
int asyncio_loop_remove_signal_handler(asyncio_loop *loop, int signum);

/* ---- operations -----------------------------------------------------------------------------
 *
 * One request to the kernel, in storage of the caller.  Submitting never fails and never calls
 * `done`.  `done` is called exactly once, by the loop.  Until then the operation and all it points
 * to belong to the loop; in it they are the owner's again, to reuse, free or submit.  Results are
 * counts of bytes, or a negated errno.
 */

typedef struct asyncio_op asyncio_op;
typedef void asyncio_op_done(asyncio_op *op, int result);

struct asyncio_op {
    asyncio_op_done *done;   /* to be set before it is submitted */
    asyncio_socket accepted; /* what asyncio_op_accept has accepted */
    struct asyncio_op_ private_;
};

void asyncio_op_recv(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket, void *data,
                     size_t size);
void asyncio_op_send(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket, const void *data,
                     size_t size);
void asyncio_op_sendv(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket,
                      const asyncio_bytes *parts, size_t count);
void asyncio_op_recvfrom(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket, void *data,
                         size_t size, asyncio_address *from);
void asyncio_op_sendto(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket, const void *data,
                       size_t size, const asyncio_address *to);
void asyncio_op_accept(asyncio_op *op, asyncio_loop *loop, asyncio_socket listener,
                       asyncio_address *from);
void asyncio_op_connect(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket,
                        const asyncio_address *address);

/* Of files, pipes and terminals; offset -1: where it stands.  To a pipe or terminal that blocks no
 * more than PIPE_BUF bytes are written at once. */
void asyncio_op_read(asyncio_op *op, asyncio_loop *loop, asyncio_file file, void *data, size_t size,
                     int64_t offset);
void asyncio_op_write(asyncio_op *op, asyncio_loop *loop, asyncio_file file, const void *data,
                      size_t size, int64_t offset);
enum { ASYNCIO_READABLE = 1, ASYNCIO_WRITABLE = 2 }; /* the result says which */
void asyncio_op_poll(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket, int events);

/* Asks for it to end with -ECANCELED; it may still succeed, and until done it is not over. */
void asyncio_op_cancel(asyncio_op *op);

/* ---- protocols and transports ---------------------------------------------------------------
 *
 * A protocol is what the user writes: a struct that begins with an asyncio_protocol and is called
 * by its transport, in the loop, in this order: connection_made once, then data and the like, then
 * eof_received at most once, connection_lost once.  What it does not need is NULL.
 */

typedef struct asyncio_protocol_type {
    void (*connection_made)(asyncio_protocol *protocol, asyncio_transport *transport);

    /* 0: closed, by either side.  The last call; the protocol may free itself. */
    void (*connection_lost)(asyncio_protocol *protocol, int error);

    /* More is buffered for sending than the high water mark, called inside the write; or again no
     * more than the low one. */
    void (*pause_writing)(asyncio_protocol *protocol);
    void (*resume_writing)(asyncio_protocol *protocol);

    /* Bytes came, valid during the call.  A negative result loses the connection with it. */
    int (*data_received)(asyncio_protocol *protocol, const void *data, size_t size);

    /* In place of it: where to read to, `hint` being 0 or a likely size; then, with nothing in
     * between, how many bytes came, unless none did.  As above; also an empty buffer loses the
     * connection. */
    int (*get_buffer)(asyncio_protocol *protocol, size_t hint, void **data, size_t *size);
    int (*buffer_updated)(asyncio_protocol *protocol, size_t size);

    /* The peer will send no more.  1: stay open for writing (not with TLS); 0, or NULL: close. */
    int (*eof_received)(asyncio_protocol *protocol);

    /* Datagram transports: one came, valid during the call; a send or receive failed. */
    int (*datagram_received)(asyncio_protocol *protocol, const void *data, size_t size,
                             const asyncio_address *from);
    void (*error_received)(asyncio_protocol *protocol, int error);

    /* Subprocess transports: fd is 1 or 2, or 0 for a lost stdin; the exit may come before them. */
    int (*pipe_data_received)(asyncio_protocol *protocol, int fd, const void *data, size_t size);
    void (*pipe_connection_lost)(asyncio_protocol *protocol, int fd, int error);
    void (*process_exited)(asyncio_protocol *protocol);
    void (*reserved_[4])(void);
} asyncio_protocol_type;

struct asyncio_protocol {
    const asyncio_protocol_type *type;
};

/* A transport is the library's, until connection_lost has returned, or longer with a reference;
 * then its functions do nothing. */
asyncio_transport *asyncio_transport_ref(asyncio_transport *transport);
void asyncio_transport_unref(asyncio_transport *transport);

/* Sends at once what it can and copies the rest.  After the connection is lost: dropped.
 * ASYNCIO_ESTATE: after write_eof, or during sendfile.  -ENOTSUP: it is not for writing bytes.
 * -ENOMEM: nothing was sent. */
int asyncio_transport_write(asyncio_transport *transport, const void *data, size_t size);
int asyncio_transport_writelines(asyncio_transport *transport, const asyncio_bytes *parts,
                                 size_t count);
int asyncio_transport_write_eof(asyncio_transport *transport);
bool asyncio_transport_can_write_eof(const asyncio_transport *transport);

/* The water marks, 64 and 16 KiB; SIZE_MAX: not given, then high is 4 times low.  -EINVAL. */
int asyncio_transport_set_write_buffer_limits(asyncio_transport *transport, size_t high,
                                              size_t low);
void asyncio_transport_get_write_buffer_limits(const asyncio_transport *transport, size_t *low,
                                               size_t *high);
size_t asyncio_transport_get_write_buffer_size(const asyncio_transport *transport);

/* Stops and restarts the delivery of data; also in connection_made. */
void asyncio_transport_pause_reading(asyncio_transport *transport);
void asyncio_transport_resume_reading(asyncio_transport *transport);
bool asyncio_transport_is_reading(const asyncio_transport *transport);

/* Stops reading, sends what is buffered, then connection_lost(0); or that at once.  Never inside
 * the call. */
void asyncio_transport_close(asyncio_transport *transport);
void asyncio_transport_abort(asyncio_transport *transport);
bool asyncio_transport_is_closing(const asyncio_transport *transport);

void asyncio_transport_set_protocol(asyncio_transport *transport, asyncio_protocol *protocol);
asyncio_protocol *asyncio_transport_get_protocol(const asyncio_transport *transport);

/* What get_extra_info tells.  -ENOTSUP: not of this kind.  The socket or pipe is borrowed. */
int asyncio_transport_get_peername(const asyncio_transport *transport, asyncio_address *address);
int asyncio_transport_get_sockname(const asyncio_transport *transport, asyncio_address *address);
int asyncio_transport_get_socket(const asyncio_transport *transport, asyncio_socket *socket);
int asyncio_transport_get_pipe(const asyncio_transport *transport, asyncio_file *pipe);

/* Datagrams: `to` is NULL, or the same, when connected (-EINVAL).  Never waits, never fails for the
 * network's sake: error_received tells, later.  -ENOMEM.  Each that is buffered counts as 8 bytes
 * and its data.  A negative result of datagram_received is reported, and ends nothing. */
int asyncio_transport_sendto(asyncio_transport *transport, const void *data, size_t size,
                             const asyncio_address *to);

/* Subprocesses: the transports of the pipes, 0 to write to, 1 and 2 to read from, NULL: none.
 * Closing the transport kills the child and drops what is unsent.  -ESRCH: it has ended. */
asyncio_transport *asyncio_transport_get_pipe_transport(const asyncio_transport *transport, int fd);
int asyncio_transport_get_pid(const asyncio_transport *transport);
int asyncio_transport_get_returncode(const asyncio_transport *transport); /* ASYNCIO_RUNNING */
int asyncio_transport_send_signal(asyncio_transport *transport, int signum);
int asyncio_transport_terminate(asyncio_transport *transport);
int asyncio_transport_kill(asyncio_transport *transport);

/* ---- making transports: each completes `done` after connection_made --------------------------
 *
 * The protocol stays the caller's if that fails.  Sockets and files given are taken over, and
 * closed if that fails, but for -EINVAL and -EBUSY (something waits on them, or they are a
 * transport's or stream's already), which leave them alone.
 */

void asyncio_loop_create_connection(asyncio_loop *loop, asyncio_future *done,
                                    asyncio_protocol *protocol, const char *host, unsigned port,
                                    const asyncio_connection_options *options);
void asyncio_loop_create_unix_connection(asyncio_loop *loop, asyncio_future *done,
                                         asyncio_protocol *protocol, const char *path,
                                         const asyncio_connection_options *options);

/* A socket that was accepted elsewhere; the TLS options are for the server's side.  -EINVAL: no
 * stream socket, or a name to verify. */
void asyncio_loop_connect_accepted_socket(asyncio_loop *loop, asyncio_future *done,
                                          asyncio_protocol *protocol, asyncio_socket socket,
                                          const asyncio_connection_options *options);

/* Datagrams, with the options of asyncio_open_datagram_endpoint(). */
void asyncio_loop_create_datagram_endpoint(asyncio_loop *loop, asyncio_future *done,
                                           asyncio_protocol *protocol,
                                           const asyncio_endpoint_options *options);

/* Pipes, FIFOs, sockets, terminals.  -EINVAL: another kind of file. */
void asyncio_loop_connect_read_pipe(asyncio_loop *loop, asyncio_future *done,
                                    asyncio_protocol *protocol, asyncio_file pipe);
void asyncio_loop_connect_write_pipe(asyncio_loop *loop, asyncio_future *done,
                                     asyncio_protocol *protocol, asyncio_file pipe);

/* `in`, `out` and `err` are pipes unless said otherwise (ASYNCIO_INHERIT counts as ASYNCIO_PIPE;
 * give a file to inherit).  What fails leaves no child. */
void asyncio_loop_subprocess_exec(asyncio_loop *loop, asyncio_future *done,
                                  asyncio_protocol *protocol, const char *const *argv,
                                  const asyncio_process_options *options);
void asyncio_loop_subprocess_shell(asyncio_loop *loop, asyncio_future *done,
                                   asyncio_protocol *protocol, const char *command,
                                   const asyncio_process_options *options);

/* Gives the protocol for one accepted connection, with TLS after the handshake; NULL: it is
 * closed. */
typedef asyncio_protocol *asyncio_protocol_factory(void *arg);

/* A server, stored before `done` completes; used with the functions in asyncio.h. */
void asyncio_loop_create_server(asyncio_loop *loop, asyncio_future *done, asyncio_server **server,
                                asyncio_protocol_factory *factory, void *arg,
                                const asyncio_server_options *options);

/* asyncio_getaddrinfo without a task; its result is that of `done`. */
void asyncio_loop_getaddrinfo(asyncio_loop *loop, asyncio_future *done, asyncio_address *addresses,
                              size_t capacity, const char *host, const char *service,
                              const asyncio_getaddrinfo_options *options);

/* Sends a file after what is buffered; writing meanwhile is ASYNCIO_ESTATE.  Reading is paused.
 * Otherwise as asyncio_stream_sendfile(): `done` and *sent tell how it went. */
void asyncio_loop_sendfile(asyncio_loop *loop, asyncio_future *done, int64_t *sent,
                           asyncio_transport *transport, asyncio_file file,
                           const asyncio_sendfile_options *options);

/* ---- executors ------------------------------------------------------------------------------ */

typedef struct asyncio_job asyncio_job;

/* Anything that runs jobs.  The members may be called from any thread. */
typedef struct asyncio_executor {
    /* Arranges that asyncio_job_run(job) is called once, somewhere. */
    int (*submit)(struct asyncio_executor *executor, asyncio_job *job);
    /* Takes a job back; false if it has begun.  May be NULL. */
    bool (*cancel)(struct asyncio_executor *executor, asyncio_job *job);
    /* Ends it, calling `ended` in some thread once the last job has.  May be NULL. */
    void (*shutdown)(struct asyncio_executor *executor, void (*ended)(void *arg), void *arg);
} asyncio_executor;

ASYNCIO_THREADSAFE void asyncio_job_run(asyncio_job *job);

/* Threads, started when needed, named PREFIX_N; max_workers 0: min(32, processors + 4).  _free
 * blocks until the jobs that run have ended. */
int asyncio_thread_pool_new(asyncio_executor **pool, unsigned max_workers, const char *prefix);
void asyncio_thread_pool_free(asyncio_executor *pool);

/* Submits fn(arg) now; NULL: to the loop's own pool.  Cancelling `done` takes back a job that has
 * not begun; one that has goes on, so that `arg` must outlive it.  No context is passed on. */
void asyncio_loop_run_in_executor(asyncio_loop *loop, asyncio_future *done,
                                  asyncio_executor *executor, asyncio_callback *fn, void *arg);

/* Only a thread pool (-EINVAL); it stays the caller's. */
int asyncio_loop_set_default_executor(asyncio_loop *loop, asyncio_executor *pool);

/* Waits for the jobs that run, at most `timeout`, then gives the pool up (-ETIMEDOUT). */
void asyncio_loop_shutdown_default_executor(asyncio_loop *loop, asyncio_future *done,
                                            double timeout);

/* ---- errors, log, memory --------------------------------------------------------------------- */

/* What happened; all but the message may be 0 or NULL. */
typedef struct asyncio_exception_context {
    const char *message;
    int error;
    asyncio_task *task;
    asyncio_future *future;
    asyncio_handle *handle;
    asyncio_transport *transport;
    asyncio_protocol *protocol;
    const asyncio_socket *socket;
    const char *source_traceback; /* debug mode: where the object was made */
    uintptr_t reserved_[4];
} asyncio_exception_context;

/* Gets every error that nobody else can get, in the context of what failed.  A negative result is
 * a failure of its own and makes the default one report both; ASYNCIO_EEXIT ends the run. */
typedef int asyncio_exception_handler(asyncio_loop *loop, void *arg,
                                      const asyncio_exception_context *context);
void asyncio_loop_set_exception_handler(asyncio_loop *loop, asyncio_exception_handler *handler,
                                        void *arg); /* NULL: the default one */
asyncio_exception_handler *asyncio_loop_get_exception_handler(const asyncio_loop *loop);
void asyncio_loop_call_exception_handler(asyncio_loop *loop,
                                         const asyncio_exception_context *context);
void asyncio_loop_default_exception_handler(asyncio_loop *loop,
                                            const asyncio_exception_context *context);

/* All the library says, also from its threads; at first, warnings and errors go to stderr. */
enum asyncio_log_level {
    ASYNCIO_LOG_DEBUG,
    ASYNCIO_LOG_INFO,
    ASYNCIO_LOG_WARNING,
    ASYNCIO_LOG_ERROR
};
typedef void asyncio_log_function(void *arg, enum asyncio_log_level level, const char *message);
void asyncio_set_log_function(asyncio_log_function *fn, void *arg, enum asyncio_log_level least);

/* Debug mode: calls from the wrong thread fail, slow steps and dropped cancellations are logged,
 * objects know where they were made. */
void asyncio_loop_set_debug(asyncio_loop *loop, bool enabled);
bool asyncio_loop_get_debug(const asyncio_loop *loop);
void asyncio_loop_set_slow_callback_duration(asyncio_loop *loop, double seconds); /* 0.1 s */
double asyncio_loop_get_slow_callback_duration(const asyncio_loop *loop);

/* All the library's memory but stacks.  As realloc(3), and frees when `size` is 0; any thread.  To
 * be set before anything else of the library is used. */
typedef void *asyncio_allocator(void *arg, void *memory, size_t size);
void asyncio_set_allocator(asyncio_allocator *allocator, void *arg);

#if defined(__GNUC__) && !defined(_WIN32)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
