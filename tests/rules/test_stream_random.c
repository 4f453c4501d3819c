/* test_stream_random.c - two streams that talk at random, both ways at once: every byte arrives,
 * once and in order, however it was written and read, and whoever was cancelled meanwhile.
 *
 * The bytes are numbers that follow from their place; a failed check tells the seed.
 */
#include "streams.h"

enum { TOTAL = 150 * 1000, SEEDS = 4 };

struct talk {
    asyncio_stream *stream;
    unsigned random;
    size_t written, read;
    char data[20 * 1000];
};

static size_t total(void)
{
    return test_is_torture() ? 2000 : TOTAL;
}

/* Below `limit`. */
static unsigned draw(struct talk *talk, unsigned limit)
{
    talk->random = talk->random * 1103515245U + 12345U;
    return (talk->random >> 8) % limit;
}

static char byte_at(size_t place)
{
    return (char)(place * 7 + place / 251);
}

/* Mostly small, sometimes more than any buffer. */
static size_t draw_size(struct talk *talk, size_t most)
{
    size_t size = draw(talk, 8) == 0 ? draw(talk, sizeof talk->data) : draw(talk, 300);

    return size < most ? size : most;
}

/* ---- writing ---- */

static int write_some(struct talk *talk, const char *data, size_t size)
{
    size_t half = size / 2;
    const asyncio_bytes parts[] = { { data, half }, { data + half, size - half } };

    switch (draw(talk, 3)) {
    case 0: return asyncio_stream_write(talk->stream, data, size);
    case 1: return asyncio_stream_writelines(talk->stream, parts, 2);
    }
    TRY(asyncio_stream_write_nowait(talk->stream, data, size));
    return asyncio_stream_drain(talk->stream);
}

static int write_all(struct talk *talk)
{
    while (talk->written < total()) {
        char data[sizeof talk->data];
        size_t size = draw_size(talk, total() - talk->written);

        for (size_t i = 0; i < size; i++)
            data[i] = byte_at(talk->written + i);
        TRY(write_some(talk, data, size));
        talk->written += size;
        if (draw(talk, 10) == 0)
            TRY(asyncio_sleep(draw(talk, 3) * 0.001));
    }
    return 0;
}

static int writes(void *arg)
{
    struct talk *talk = arg;
    int r = write_all(talk);

    if (r < 0)
        asyncio_stream_abort(talk->stream);
    return r;
}

/* ---- reading ---- */

static int read_some(struct talk *talk)
{
    size_t most = total() - talk->read, size = draw_size(talk, most);
    int r;

    switch (draw(talk, most > 1000 ? 3 : 2)) { /* near the end there may be no newline any more */
    case 0: return asyncio_stream_read(talk->stream, talk->data, size);
    case 1:
        r = asyncio_stream_readexactly(talk->stream, talk->data, size);
        return r < 0 ? r : (int)size;
    }
    r = asyncio_stream_readuntil(talk->stream, talk->data, sizeof talk->data, "\n");
    return r == ASYNCIO_ELIMIT || r == ASYNCIO_EINCOMPLETE
               ? asyncio_stream_read(talk->stream, talk->data, size)
               : r;
}

/* One that is cut off by the clock has taken nothing. */
static int read_some_in_time(struct talk *talk)
{
    asyncio_timeout timeout;
    int r;

    if (draw(talk, 4) > 0)
        return read_some(talk);
    asyncio_timeout_enter(&timeout, draw(talk, 3) * 0.0005);
    r = read_some(talk);
    r = asyncio_timeout_exit(&timeout, r);
    return r == -ETIMEDOUT ? 0 : r;
}

static int read_all(struct talk *talk)
{
    while (talk->read < total()) {
        int n = read_some_in_time(talk);

        if (n < 0)
            return n;
        for (int i = 0; i < n; i++)
            if (talk->data[i] != byte_at(talk->read + (size_t)i))
                return -EBADMSG;
        talk->read += (size_t)n;
        if (draw(talk, 10) == 0)
            TRY(asyncio_sleep(draw(talk, 3) * 0.001));
        if (n == 0 && asyncio_stream_at_eof(talk->stream))
            return ASYNCIO_EINCOMPLETE;
    }
    return 0;
}

static int reads(void *arg)
{
    struct talk *talk = arg;
    int r = read_all(talk);

    if (r < 0)
        asyncio_stream_abort(talk->stream);
    return r;
}

/* ---- both ---- */

static int talk_both_ways(struct pair *pair, unsigned seed)
{
    static struct talk talks[4];
    asyncio_task_group group;

    for (unsigned i = 0; i < 4; i++)
        talks[i] =
            (struct talk){ .stream = i % 2 == 0 ? pair->a : pair->b, .random = seed * 4 + i };
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, writes, &talks[0]);
    asyncio_task_group_spawn(&group, writes, &talks[1]);
    asyncio_task_group_spawn(&group, reads, &talks[2]);
    asyncio_task_group_spawn(&group, reads, &talks[3]);
    int r = asyncio_task_group_exit(&group, 0);
    if (r < 0 && !test_is_torture())
        printf("seed %u: %zu and %zu written, %zu and %zu read\n", seed, talks[0].written,
               talks[1].written, talks[2].read, talks[3].read);
    return r;
}

STREAM_TEST(random_talk, 0)
{
    for (unsigned seed = 1; seed <= (test_is_torture() ? 1 : SEEDS); seed++)
        TRY(talk_both_ways(pair, seed));
    return 0;
}

/* With a limit that is often in the way. */
STREAM_TEST(random_talk_within_a_small_limit, 50)
{
    for (unsigned seed = 11; seed < 11 + (test_is_torture() ? 1 : SEEDS); seed++)
        TRY(talk_both_ways(pair, seed));
    return 0;
}
