/* test_sendfile.c - the rules of sending files, for tasks: through streams, and to sockets. */
#include <fcntl.h>
#include <stdatomic.h>

#include "core/sendfile.h"
#include "io/stream_fd.h"
#include "streams.h"

enum { SIZE = 1000 * 1000 };

/* The linker puts these around the library's calls, so that a test can have a file that is not in
 * the page cache. */
static struct {
    bool is_cold;
    atomic_int reads;
} cold;

int __real_sys_file_read_cached(int fd, void *data, size_t size, int64_t offset);
int __wrap_sys_file_read_cached(int fd, void *data, size_t size, int64_t offset);
int __real_sys_file_read(int fd, void *data, size_t size, int64_t offset);
int __wrap_sys_file_read(int fd, void *data, size_t size, int64_t offset);

int __wrap_sys_file_read_cached(int fd, void *data, size_t size, int64_t offset)
{
    return cold.is_cold ? -EAGAIN : __real_sys_file_read_cached(fd, data, size, offset);
}

int __wrap_sys_file_read(int fd, void *data, size_t size, int64_t offset)
{
    atomic_fetch_add(&cold.reads, 1);
    return __real_sys_file_read(fd, data, size, offset);
}

static char pattern_at(int64_t i)
{
    return (char)(i * 31 % 251);
}

/* A file without a name, with the pattern in it. */
static int make_file(int64_t size)
{
    char path[] = "/tmp/asyncio-test-XXXXXX";
    int fd = mkstemp(path);
    char *data = malloc((size_t)size + 1);

    if (fd < 0 || data == NULL)
        abort();
    unlink(path);
    for (int64_t i = 0; i < size; i++)
        data[i] = pattern_at(i);
    if (write(fd, data, (size_t)size) != size)
        abort();
    free(data);
    lseek(fd, 7, SEEK_SET); /* anywhere: it does not count */
    return fd;
}

/* ---- through a stream: of each kind ---- */

struct sending {
    asyncio_stream *stream;
    int file;
    asyncio_sendfile_options options;
    int64_t sent;
    int result;
};

static int sends_file(void *arg)
{
    struct sending *sending = arg;

    sending->result =
        asyncio_stream_sendfile(sending->stream, &sending->sent, sending->file, &sending->options);
    if (sending->result < 0)
        asyncio_stream_abort(sending->stream); /* nobody waits for the rest */
    return sending->result;
}

static int expect_pattern(asyncio_stream *stream, int64_t from, int64_t count)
{
    char data[4096];
    int wrong = 0;

    for (int64_t i = 0; i < count;) {
        size_t size = count - i < (int64_t)sizeof data ? (size_t)(count - i) : sizeof data;

        TRY(asyncio_stream_readexactly(stream, data, size));
        for (size_t j = 0; j < size; j++)
            wrong += data[j] != pattern_at(from + i + (int64_t)j);
        i += (int64_t)size;
    }
    CHECK_INT(wrong, 0);
    return 0;
}

/* The file that a test sends from a, and what it is to come to. */
static int send_and_compare(struct pair *pair, int file, asyncio_sendfile_options options,
                            int64_t expected)
{
    struct sending sending = { .stream = pair->a, .file = file, .options = options };
    asyncio_task *task;

    TRY(start(&task, sends_file, (struct job *)(void *)&sending));
    int r = expect_pattern(pair->b, options.offset, expected);
    TRY(finish_after(task, r));
    CHECK_INT(sending.sent, expected);
    CHECK_INT(lseek(file, 0, SEEK_CUR), options.offset + expected);
    return 0;
}

static int file_size(void)
{
    return test_is_torture() ? 1000 : SIZE;
}

static int with_file(struct pair *pair, int (*body)(struct pair *pair, int file))
{
    int file = make_file(file_size()), r = body(pair, file);

    close(file);
    return r;
}

static int send_before_and_after(struct pair *pair, int file)
{
    TRY(send_text(pair->a, "before"));
    struct sending sending = { .stream = pair->a, .file = file };
    asyncio_task *task;

    TRY(start(&task, sends_file, (struct job *)(void *)&sending));
    int r = expect_text(pair->b, "before");
    if (r == 0)
        r = expect_pattern(pair->b, 0, file_size());
    TRY(finish_after(task, r));
    CHECK_INT(sending.sent, file_size());
    TRY(send_text(pair->a, "after"));
    return expect_text(pair->b, "after");
}

/* SFL-01, SFL-02: all of it, after what was written before; the stream works again after it. */
STREAM_TEST(SFL_02_sendfile_in_order, 0)
{
    return with_file(pair, send_before_and_after);
}

static int send_parts(struct pair *pair, int file)
{
    int size = file_size();
    asyncio_sendfile_options part = { .offset = 100, .count = 300 };

    TRY(send_and_compare(pair, file, part, 300));
    part = (asyncio_sendfile_options){ .offset = size - 10 };
    TRY(send_and_compare(pair, file, part, 10));
    part = (asyncio_sendfile_options){ .offset = size - 10, .count = 100 };
    return send_and_compare(pair, file, part, 10);
}

/* SFL-01: offset and count are honoured; and where the file stands afterwards. */
STREAM_TEST(SFL_01_offset_and_count, 0)
{
    return with_file(pair, send_parts);
}

static int send_nothing(struct pair *pair, int file)
{
    int empty = make_file(0);
    int r = send_and_compare(pair, empty, (asyncio_sendfile_options){ 0 }, 0);

    close(empty);
    if (r < 0)
        return r;
    asyncio_sendfile_options behind = { .offset = file_size() };
    return send_and_compare(pair, file, behind, 0);
}

/* SFL-05: an empty file, or an offset at the end, is nothing to send. */
STREAM_TEST(SFL_05_nothing_to_send, 0)
{
    return with_file(pair, send_nothing);
}

static int fails_with(struct pair *pair, int error, int file, asyncio_sendfile_options options)
{
    int64_t sent = -1;
    int r = asyncio_stream_sendfile(pair->a, &sent, file, &options);

    if (r == -ECANCELED || r == -ENOMEM)
        return r;
    CHECK_INT(r, error);
    CHECK_INT(sent, 0);
    return 0;
}

static int is_nonsense(struct pair *pair, int file)
{
    TRY(fails_with(pair, -EINVAL, file, (asyncio_sendfile_options){ .offset = -1 }));
    TRY(fails_with(pair, -EINVAL, file, (asyncio_sendfile_options){ .count = -1 }));
    TRY(fails_with(pair, -EBADF, -1, (asyncio_sendfile_options){ 0 }));
    asyncio_stream_close(pair->a);
    CHECK_INT(asyncio_stream_sendfile(pair->a, &(int64_t){ 0 }, file, NULL), ASYNCIO_ECLOSED);
    return 0;
}

/* SFL-03: bad arguments; a stream that is closing. */
STREAM_TEST(SFL_03_arguments, 0)
{
    return with_file(pair, is_nonsense);
}

static int write_meanwhile(struct pair *pair, int file)
{
    struct sending sending = { .stream = pair->a, .file = file };
    asyncio_task *task;

    TRY(start(&task, sends_file, (struct job *)(void *)&sending));
    if (!asyncio_task_done(task)) {
        CHECK_INT(asyncio_stream_write(pair->a, "x", 1), ASYNCIO_ESTATE);
        CHECK_INT(asyncio_stream_write_nowait(pair->a, "x", 1), ASYNCIO_ESTATE);
        CHECK_INT(asyncio_stream_sendfile(pair->a, &(int64_t){ 0 }, file, NULL), ASYNCIO_ESTATE);
        if (asyncio_stream_can_write_eof(pair->a))
            CHECK_INT(asyncio_stream_write_eof(pair->a), ASYNCIO_ESTATE);
    }
    return finish_after(task, expect_pattern(pair->b, 0, file_size()));
}

/* SFL-02: nobody else writes meanwhile. */
STREAM_TEST(SFL_02_writing_meanwhile, 0)
{
    return with_file(pair, write_meanwhile);
}

static int sends_and_says(void *arg)
{
    struct sending *sending = arg;
    int r = asyncio_stream_sendfile(sending->stream, &sending->sent, sending->file, NULL);

    if (r < 0)
        asyncio_stream_abort(sending->stream);
    trace("%s", r == 0 ? "sent" : asyncio_error_name(r));
    r = asyncio_sleep(1);
    trace("%s", asyncio_error_name(r));
    return r;
}

static int cancel_in_the_middle(struct pair *pair, int file)
{
    struct sending sending = { .stream = pair->a, .file = file };
    asyncio_task *task;
    char byte;

    TRY(start(&task, sends_and_says, (struct job *)(void *)&sending));
    int r = asyncio_stream_readexactly(pair->b, &byte, 1);
    bool done = asyncio_task_done(task);
    CHECK_INT(cancel(task), -ECANCELED);
    if (r == 0 && !done && !test_is_torture()) {
        CHECK_TRACE("sent ECANCELED");
        CHECK(sending.sent > 0 && sending.sent < file_size());
        CHECK_INT(lseek(file, 0, SEEK_CUR), sending.sent);
    }
    return r;
}

/* Cancelled after the first byte it returns how far it came, and the request stays. */
STREAM_TEST(sendfile_cancelled_in_the_middle, 0)
{
    return with_file(pair, cancel_in_the_middle);
}

static int close_in_the_middle(struct pair *pair, int file)
{
    struct sending sending = { .stream = pair->a, .file = file };
    asyncio_task *task;
    char byte;

    TRY(start(&task, sends_file, (struct job *)(void *)&sending));
    int r = asyncio_stream_readexactly(pair->b, &byte, 1);
    asyncio_stream_abort(pair->a);
    int result = finish(task);
    if (!test_is_torture())
        CHECK_INT(result, ASYNCIO_ECLOSED);
    return r;
}

STREAM_TEST(sendfile_aborted_in_the_middle, 0)
{
    return with_file(pair, close_in_the_middle);
}

static int lose_in_the_middle(struct pair *pair, int file)
{
    struct sending sending = { .stream = pair->a, .file = file };
    asyncio_task *task;
    char byte;

    TRY(start(&task, sends_file, (struct job *)(void *)&sending));
    int r = asyncio_stream_readexactly(pair->b, &byte, 1);
    asyncio_stream_abort(pair->b);
    int result = finish(task);
    CHECK(result < 0);
    if (!test_is_torture())
        CHECK_INT(lseek(file, 0, SEEK_CUR), sending.sent);
    return r;
}

/* SFL-01: the peer goes away: an error, and no SIGPIPE; *sent is told all the same. */
STREAM_TEST(SFL_01_peer_goes_away, 0)
{
    return with_file(pair, lose_in_the_middle);
}

static int sends_file_and_end(void *arg)
{
    struct sending *sending = arg;
    int r = sends_file(sending);

    return r < 0 ? r : send_end(sending->stream);
}

static int shrink_in_the_middle(struct pair *pair, int file)
{
    struct sending sending = { .stream = pair->a, .file = file };
    asyncio_task *task;
    char data[4096];
    int64_t received = 0;

    TRY(start(&task, sends_file_and_end, (struct job *)(void *)&sending));
    int r = ftruncate(file, 1000) < 0 ? -errno : 1;
    while (r > 0) {
        r = asyncio_stream_read(pair->b, data, sizeof data);
        received += r > 0 ? r : 0;
    }
    TRY(finish_after(task, r));
    CHECK_INT(sending.sent, received);
    CHECK(received >= 1000 && (received < SIZE || test_is_torture()));
    return 0;
}

/* A file that becomes shorter meanwhile: there is no more to send. */
STREAM_TEST(sendfile_of_a_file_that_shrinks, 0)
{
    return with_file(pair, shrink_in_the_middle);
}

/* ---- what the kernel cannot ---- */

static bool kernel_sends_to(const struct pair *pair)
{
    return pair->a->type == &socket_stream_type;
}

static int refuse_fallback(struct pair *pair, int file)
{
    asyncio_sendfile_options options = { .no_fallback = true };

    if (kernel_sends_to(pair))
        return send_and_compare(pair, file, options, file_size());
    return fails_with(pair, ASYNCIO_ENOSENDFILE, file, options);
}

/* SFL-03: without the fallback, only a socket that nothing lies over. */
STREAM_TEST(SFL_03_no_fallback, 0)
{
    return with_file(pair, refuse_fallback);
}

/* The kernel cannot send what is made up while it is read. */
static int send_made_up(struct pair *pair, int file)
{
    struct sending sending = { .stream = pair->a, .file = file };
    char expected[512] = "", data[512] = "";
    asyncio_task *task;
    ssize_t size = pread(file, expected, sizeof expected, 0);

    if (kernel_sends_to(pair))
        TRY(fails_with(pair, ASYNCIO_ENOSENDFILE, file,
                       (asyncio_sendfile_options){ .no_fallback = true }));
    TRY(start(&task, sends_file, (struct job *)(void *)&sending));
    int r = asyncio_stream_readexactly(pair->b, data, (size_t)size);
    TRY(finish_after(task, r));
    CHECK_INT(sending.sent, size);
    CHECK(memcmp(data, expected, sizeof data) == 0);
    return 0;
}

/* SFL-03, SFL-04: such a file is read, in blocks, and written. */
STREAM_TEST(SFL_04_fallback_for_the_file, 0)
{
    int file = open("/proc/self/comm", O_RDONLY | O_CLOEXEC), r = send_made_up(pair, file);

    close(file);
    return r;
}

/* ---- turns, and what it costs ---- */

static int count_turns_meanwhile(struct pair *pair, int file)
{
    struct sending sending = { .stream = pair->a, .file = file };
    asyncio_task *task, *counter;
    int turns = 0;

    TRY(start(&task, sends_file, (struct job *)(void *)&sending));
    int r = asyncio_create_task(&counter, counts_turns, &turns, NULL);
    if (r == 0) {
        r = expect_pattern(pair->b, 0, file_size());
        asyncio_ignore(cancel(counter));
    }
    TRY(finish_after(task, r));
    if (!test_is_torture())
        CHECK(turns > 3);
    return 0;
}

/* Others have their turns while a big file is sent. */
STREAM_TEST(sendfile_starves_nobody, 0)
{
    return with_file(pair, count_turns_meanwhile);
}

/* ---- to a socket ---- */

struct socket_case {
    int a, b, file;
    int64_t sent;
};

static int sends_to_socket(void *arg)
{
    struct socket_case *one = arg;
    int r = asyncio_sock_sendfile(one->a, &one->sent, one->file, NULL);

    shutdown(one->a, SHUT_RDWR);
    return r;
}

static int receive_from_socket(struct socket_case *one, int64_t *received)
{
    char data[4096];
    int n, wrong = 0;

    for (*received = 0; (n = asyncio_sock_recv(one->b, data, sizeof data)) > 0; *received += n) {
        for (int i = 0; i < n; i++)
            wrong += data[i] != pattern_at(*received + i);
    }
    CHECK_INT(wrong, 0);
    return n;
}

static int transfer(struct socket_case *one)
{
    asyncio_task *task;
    int64_t received;

    TRY(start(&task, sends_to_socket, (struct job *)(void *)one));
    int r = receive_from_socket(one, &received);
    TRY(finish_after(task, r));
    CHECK_INT(received, file_size());
    CHECK_INT(one->sent, received);
    CHECK_INT(lseek(one->file, 0, SEEK_CUR), received);
    return 0;
}

static int with_sockets(void *arg)
{
    int (*body)(struct socket_case * one) = *(int (**)(struct socket_case *))arg;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    struct socket_case one = { .a = fds[0], .b = fds[1], .file = make_file(file_size()) };
    int r = body(&one);
    close(one.a);
    close(one.b);
    close(one.file);
    return r;
}

#define SOCKET_TEST(name)                                                                          \
    static int name(struct socket_case *one);                                                      \
    TEST(name)                                                                                     \
    {                                                                                              \
        int (*body)(struct socket_case *) = name;                                                  \
        RUN(with_sockets, &body);                                                                  \
    }                                                                                              \
    static int name(struct socket_case *one)

/* SFL-01: to a socket of one's own. */
SOCKET_TEST(SFL_01_sock_sendfile)
{
    return transfer(one);
}

/* SFL-04: by blocks, where the kernel cannot. */
SOCKET_TEST(SFL_04_sock_fallback)
{
    char data[512] = "", expected[512] = "";
    int file = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    ssize_t size = pread(file, expected, sizeof expected, 0);
    int r = asyncio_sock_sendfile(one->a, &one->sent, file, NULL);

    close(file);
    TRY(r);
    CHECK_INT(one->sent, size);
    for (ssize_t got = 0; got < size;) {
        int n = asyncio_sock_recv(one->b, data + got, sizeof data - (size_t)got);
        TRY(n);
        got += n;
    }
    CHECK(memcmp(data, expected, sizeof data) == 0);
    return 0;
}

/* SFL-03: no socket, none of streams; TRP-20: one that a stream has. */
SOCKET_TEST(SFL_03_sock_sendfile_arguments)
{
    int datagrams = sys_socket(AF_INET, SOCK_DGRAM, 0);
    asyncio_sendfile_options no = { .no_fallback = true };
    int64_t sent = 0;

    CHECK_INT(asyncio_sock_sendfile(one->file, &sent, one->file, NULL), -EINVAL);
    if (datagrams >= 0)
        CHECK_INT(asyncio_sock_sendfile(datagrams, &sent, one->file, NULL), -EINVAL);
    sys_close(datagrams);
    no.offset = -1;
    CHECK_INT(asyncio_sock_sendfile(one->a, &sent, one->file, &no), -EINVAL);
    asyncio_stream *stream;
    int fd = dup(one->a);
    TRY(stream_of(&stream, fd, 0));
    CHECK_INT(asyncio_sock_sendfile(fd, &sent, one->file, NULL), -EBUSY);
    asyncio_stream_free(stream);
    return 0;
}

static int many_times(struct socket_case *one)
{
    char data[512];
    int64_t sent;

    for (int i = 0; i < 50; i++) {
        TRY(asyncio_sock_sendfile(one->a, &sent, one->file,
                                  &(asyncio_sendfile_options){ .count = 100 }));
        for (int64_t got = 0; got < sent;) {
            int n = asyncio_sock_recv(one->b, data, sizeof data);
            TRY(n);
            got += n;
        }
    }
    return 0;
}

/* What is not in the page cache is read by a thread first, not by the loop while it sends. */
SOCKET_TEST(sendfile_of_a_cold_file)
{
    cold.is_cold = true;
    int r = transfer(one);
    cold.is_cold = false;
    if (r == 0)
        CHECK(atomic_load(&cold.reads) >= file_size() / SENDFILE_CHUNK);
    return r;
}

/* The kernel sends without any memory of ours. */
SOCKET_TEST(sendfile_without_memory)
{
    TRY(many_times(one));
    long before = memory_requests();
    TRY(many_times(one));
    CHECK_INT(memory_requests() - before, 0);
    return 0;
}

TEST(sendfile_needs_a_task)
{
    int64_t sent = -1;

    CHECK_INT(asyncio_sock_sendfile(0, &sent, 0, NULL), ASYNCIO_ENOTASK);
    CHECK_INT(sent, 0);
}
