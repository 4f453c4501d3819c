/* test_stream_edges.c - streams at their edges: sizes that no buffer has, limits that are none,
 * transports that move no bytes, and who waits behind a file. */
#include <sys/mman.h>
#include <wchar.h>

#include "core/transport.h"
#include "streams.h"

/* Memory of more than INT_MAX bytes, which takes only what is touched; NULL: there is none here. */
enum { MORE = 4096 };
static void *huge_map(void)
{
    void *memory = mmap(NULL, (size_t)INT_MAX + MORE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory != MAP_FAILED ? memory : NULL;
}

static void huge_unmap(void *memory)
{
    munmap(memory, (size_t)INT_MAX + MORE);
}

/* ---- sizes ---- */

static int reads_into(struct pair *pair, char *memory)
{
    size_t size = (size_t)INT_MAX + MORE;

    TRY(send_text(pair->b, "one\ntwo\nthree"));
    CHECK_INT(asyncio_stream_readuntil(pair->a, memory, size, "\n"), 4);
    CHECK_STR(memory, "one\n");
    TRY(asyncio_stream_readexactly(pair->a, memory, 4));
    int r = asyncio_stream_read(pair->a, memory, size);
    TRY(r);
    CHECK_INT(r, 5);
    CHECK(memcmp(memory, "three", 5) == 0);
    return 0;
}

/* STR-01: a buffer may be larger than a count can tell. */
STREAM_TEST(STR_01_buffer_larger_than_a_count, 0)
{
    char *memory = huge_map();

    if (memory == NULL)
        SKIP("there is no such large mapping");
    int r = reads_into(pair, memory);
    huge_unmap(memory);
    return r;
}

static int wants_more_than_comes(struct pair *pair, char *memory)
{
    size_t size = (size_t)INT_MAX + MORE;

    TRY(send_text(pair->b, "few"));
    TRY(all_sent(pair->b));
    asyncio_stream_close(pair->b);
    int r = asyncio_stream_readexactly(pair->a, memory, size);
    TRY(r == ASYNCIO_EINCOMPLETE || r == -ENOMEM ? 0 : r);
    if (r == ASYNCIO_EINCOMPLETE) {
        CHECK_INT(asyncio_stream_partial(pair->a), 3);
        CHECK(memcmp(memory, "few", 3) == 0);
    }
    return 0;
}

/* STR-03: also of so many bytes what there was is told. */
static int wants_much(struct pair *pair)
{
    char *memory = huge_map();

    if (memory == NULL)
        SKIP("there is no such large mapping");
    int r = wants_more_than_comes(pair, memory);
    huge_unmap(memory);
    return r;
}

STREAM_TEST_OF(tcp, wants_much, 0, NEEDS_NOTHING)
STREAM_TEST_OF(unix, wants_much, 0, NEEDS_NOTHING)

/* The memory that one large read took is given back after it; what came behind it is not lost. */
static int gives_memory_back(struct pair *pair)
{
    enum { SIZE = 3 * 1024 * 1024 };
    char *data = calloc(1, SIZE);

    if (data == NULL)
        return -ENOMEM;
    asyncio_task *task;
    struct job job = { .stream = pair->a, .data = data, .size = SIZE - 3 };
    int r = start(&task, does_readexactly, &job);
    for (int sent = 0; r == 0 && sent < SIZE; sent += 64 * 1024)
        r = asyncio_stream_write(pair->b, data, 64 * 1024);
    if (r == 0)
        r = send_text(pair->b, "end");
    r = finish_after(task, r);
    if (r == 0)
        r = asyncio_stream_readexactly(pair->a, data, 6);
    if (r == 0) {
        CHECK(memcmp(data, "\0\0\0end", 6) == 0);
        CHECK(pair->a->ahead.capacity <= 1024 * 1024 || pair->a->fed);
    }
    free(data);
    return r;
}

STREAM_TEST(memory_is_given_back, 1024)
{
    return test_is_torture() ? 0 : gives_memory_back(pair);
}

/* Parts whose sum is no size; a separator that is none; a format that cannot be printed. */
STREAM_TEST(arguments_that_are_none, 0)
{
    static const wchar_t wrong[] = { (wchar_t)0x7fffffff, 0 };
    asyncio_bytes parts[] = { { "x", SIZE_MAX }, { "y", 2 } };
    char data[8];

    CHECK_INT(asyncio_stream_writelines(pair->a, parts, 2), -ENOMEM);
    CHECK_INT(asyncio_stream_readuntil(pair->a, data, sizeof data, NULL), -EINVAL);
    CHECK_INT(asyncio_stream_readuntil(pair->a, data, sizeof data, ""), -EINVAL);
    CHECK_INT(asyncio_stream_printf(pair->a, "%ls", wrong), -EINVAL);
    CHECK_INT(asyncio_stream_get_write_buffer_size(pair->a), 0);
    TRY(send_text(pair->a, "fine"));
    return expect_text(pair->b, "fine");
}

/* A limit so large that twice as much is no size is none. */
static int has_no_limit(size_t limit)
{
    asyncio_stream *a, *b;
    char line[128];

    TRY(asyncio_stream_pair(&a, &b, limit));
    int r = asyncio_stream_write_nowait(a, "a line that arrives at once\n", 28);
    if (r == 0)
        CHECK_INT(asyncio_stream_get_write_buffer_size(a), 0);
    if (r == 0)
        r = asyncio_stream_readline(b, line, sizeof line);
    if (r > 0)
        CHECK_INT(r, 28);
    asyncio_stream_free(a);
    asyncio_stream_free(b);
    return r < 0 ? r : 0;
}

static int have_no_limit(void *arg)
{
    (void)arg;
    TRY(has_no_limit(SIZE_MAX));
    TRY(has_no_limit(SIZE_MAX / 2 + 1));
    TRY(has_no_limit(SIZE_MAX / 4 + 1));
    return 0;
}

TEST(limits_that_are_none)
{
    RUN(have_no_limit, NULL);
}

/* ---- names, pipes ---- */

/* A pipe that is none. */
static int opens_no_pipe(void *arg)
{
    asyncio_file none = -1;
    asyncio_stream *stream;

    (void)arg;
    CHECK_INT(asyncio_open_pipe(&stream, NULL, &none), -EBADF);
    CHECK_INT(asyncio_open_pipe(&stream, &none, NULL), -EBADF);
    return 0;
}

TEST(pipe_that_is_none)
{
    RUN(opens_no_pipe, NULL);
}

/* ---- who waits behind a file ---- */

enum { FILE_SIZE = 300 * 1000 };

static int zeros(void)
{
    char path[] = "/tmp/asyncio-test-XXXXXX";
    int fd = mkstemp(path);

    if (fd < 0)
        abort();
    unlink(path);
    if (ftruncate(fd, FILE_SIZE) < 0)
        abort();
    return fd;
}

struct behind {
    asyncio_stream *stream;
    asyncio_task *sender; /* the group's */
    int file;
    int64_t sent;
};

static int sends_file(void *arg)
{
    struct behind *behind = arg;

    return asyncio_stream_sendfile(behind->stream, &behind->sent, behind->file, NULL);
}

static int writes_end(void *arg)
{
    return send_text(((struct behind *)arg)->stream, "end");
}

/* Writes until a writer would have to wait; how much that was. */
static int64_t fill_up(asyncio_stream *stream)
{
    static const char data[16 * 1024];
    int64_t size = 0;

    for (int i = 0; i < 1000 && !stream->paused && stream->state == STREAM_OPEN; i++) {
        if (asyncio_stream_write_nowait(stream, data, sizeof data) < 0)
            break;
        size += (int64_t)sizeof data;
    }
    return size;
}

/* Both, one behind the other.  Whoever of them fails ends the group. */
static int stand_in_line(asyncio_task_group *group, struct behind *behind)
{
    TRY(asyncio_task_group_create_task(group, &behind->sender, sends_file, behind, NULL));
    TRY(asyncio_sleep(0));
    TRY(asyncio_task_group_spawn(group, writes_end, behind));
    return asyncio_sleep(0);
}

/* Reads so many zeros. */
static int read_zeros(asyncio_stream *stream, int64_t size)
{
    static char data[16 * 1024];

    while (size > 0) {
        int r = asyncio_stream_read(stream, data, size < 16 * 1024 ? (size_t)size : sizeof data);

        TRY(r == 0 ? ASYNCIO_EINCOMPLETE : r);
        for (int i = 0; i < r; i++)
            if (data[i] != 0)
                return -EPROTO;
        size -= r;
    }
    return 0;
}

static int in_order(struct pair *pair, struct behind *behind)
{
    int64_t before = fill_up(pair->a);
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    int r = stand_in_line(&group, behind);
    if (r == 0)
        r = read_zeros(pair->b, before + FILE_SIZE);
    if (r == 0)
        r = expect_text(pair->b, "end");
    r = asyncio_task_group_exit(&group, r);
    if (r == 0)
        CHECK_INT(behind->sent, FILE_SIZE);
    return r;
}

/* With a file; and in torture, which may have cancelled one for whom another waits, not for ever.
 */
static int with_file(struct pair *pair, int (*body)(struct pair *pair, struct behind *behind))
{
    struct behind behind = { .stream = pair->a, .file = zeros() };
    asyncio_timeout limit;

    asyncio_timeout_enter(&limit, test_is_torture() ? 100 : INFINITY);
    int r = asyncio_timeout_exit(&limit, body(pair, &behind));
    close(behind.file);
    return r;
}

/* SFL-02: a file waits for its turn among the writers, and those behind it wait for the file. */
STREAM_TEST(SFL_02_file_in_line, 0)
{
    return with_file(pair, in_order);
}

static int gives_up(struct pair *pair, struct behind *behind)
{
    int64_t before = fill_up(pair->a);
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    int r = stand_in_line(&group, behind);
    if (r == 0) {
        asyncio_task_cancel(behind->sender);
        r = read_zeros(pair->b, before);
    }
    if (r == 0)
        r = expect_text(pair->b, "end");
    r = asyncio_task_group_exit(&group, r);
    CHECK_INT(behind->sent, 0);
    return r;
}

/* SFL-02: a file that is given up in the line has sent nothing, and holds up nobody. */
STREAM_TEST(SFL_02_file_given_up_in_line, 0)
{
    return with_file(pair, gives_up);
}

static int is_closed(struct pair *pair, struct behind *behind)
{
    asyncio_task_group group;

    fill_up(pair->a);
    asyncio_task_group_enter(&group);
    int r = stand_in_line(&group, behind);
    asyncio_stream_abort(pair->a);
    r = asyncio_task_group_exit(&group, r);
    TRY(r == ASYNCIO_ECLOSED ? 0 : r);
    CHECK_INT(r, ASYNCIO_ECLOSED);
    CHECK_INT(behind->sent, 0);
    return 0;
}

/* SFL-02: nor does it go into a stream that was closed meanwhile. */
STREAM_TEST(SFL_02_file_in_line_of_a_closed_stream, 0)
{
    return with_file(pair, is_closed);
}
