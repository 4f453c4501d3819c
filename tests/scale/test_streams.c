/* test_streams.c - streams of every kind, round after round: the first rounds may ask for memory,
 * later ones do not, nor for descriptors.
 *
 * What is unsent lies in two buffers that change places, and each must have been the longer one
 * once; so there is no round of which it is known that it is the last to ask.
 */
#include "../rules/streams.h"

enum { ROUNDS_QUIET = 6, ROUNDS_MOST = 40, MESSAGES = 200, MUCH = 300 * 1000, MORE = 4 << 20 };

static int in_torture_fewer(int count)
{
    return test_is_torture() ? 3 : count;
}

struct side {
    asyncio_stream *stream;
    int (*play)(struct side *side);
    char *data; /* MUCH bytes */
    size_t size;
};

static int plays(void *arg)
{
    struct side *side = arg;
    int r = side->play(side);

    if (r < 0)
        asyncio_stream_abort(side->stream); /* so that nobody waits for us */
    return r;
}

/* ---- what is played ---- */

/* Small messages, answered. */
static int asks(struct side *side)
{
    char answer[16];

    for (int i = 0; i < in_torture_fewer(MESSAGES); i++) {
        TRY(asyncio_stream_write(side->stream, "question", 8));
        TRY(asyncio_stream_readexactly(side->stream, answer, 6));
    }
    return asyncio_stream_write(side->stream, "the end.", 8);
}

static int answers(struct side *side)
{
    char question[8] = "";

    while (memcmp(question, "the end.", 8) != 0) {
        TRY(asyncio_stream_readexactly(side->stream, question, 8));
        if (*question == 'q')
            TRY(asyncio_stream_write(side->stream, "answer", 6));
    }
    return 0;
}

/* Lines, of which many come at once. */
static int writes_lines(struct side *side)
{
    for (int i = 0; i < in_torture_fewer(MESSAGES); i++)
        TRY(asyncio_stream_printf(side->stream, "line %d\n", i));
    return asyncio_stream_write(side->stream, "\n", 1);
}

static int reads_lines(struct side *side)
{
    char line[32] = "";

    while (*line != '\n') {
        int n = asyncio_stream_readline(side->stream, line, sizeof line);

        if (n <= 0)
            return n < 0 ? n : ASYNCIO_EINCOMPLETE;
    }
    return 0;
}

/* More than the buffers take: the writer waits for the reader, again and again. */
static int writes_much(struct side *side)
{
    for (size_t done = 0; done < side->size; done += 10000) {
        size_t left = side->size - done;

        TRY(asyncio_stream_write(side->stream, side->data + done, left < 10000 ? left : 10000));
    }
    return 0;
}

static int reads_much(struct side *side)
{
    return asyncio_stream_readexactly(side->stream, side->data, side->size);
}

static int writes_at_once(struct side *side)
{
    return asyncio_stream_write(side->stream, side->data, side->size);
}

static int reads_piecemeal(struct side *side)
{
    size_t have = 0;

    while (have < side->size) {
        size_t piece = side->size - have < 16384 ? side->size - have : 16384;

        TRY(asyncio_stream_readexactly(side->stream, side->data + have, piece));
        have += piece;
    }
    return 0;
}

/* ---- rounds ---- */

static int play(struct side *a, struct side *b)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, plays, a);
    asyncio_task_group_spawn(&group, plays, b);
    return asyncio_task_group_exit(&group, 0);
}

/* Until nothing was asked for in a row of rounds; how busy the machine is decides when each of the
 * buffers is first used. */
static int play_rounds(struct side *a, struct side *b)
{
    int quiet = 0, descriptors = 0;

    for (int round = 0; round < ROUNDS_MOST && quiet < ROUNDS_QUIET; round++) {
        long before = memory_requests();

        TRY(play(a, b));
        quiet = memory_requests() == before ? quiet + 1 : 0;
        if (round == 0)
            descriptors = descriptors_open();
    }
    CHECK_INT(quiet, ROUNDS_QUIET);
    CHECK_INT(descriptors_open(), descriptors);
    return 0;
}

static int run_rounds(struct pair *pair, int (*first)(struct side *side),
                      int (*second)(struct side *side))
{
    struct side a = { pair->a, first, calloc(1, MUCH), MUCH };
    struct side b = { pair->b, second, calloc(1, MUCH), MUCH };

    a.size = b.size = test_is_torture() ? 1000 : MUCH;
    int r = a.data != NULL && b.data != NULL ? play_rounds(&a, &b) : -ENOMEM;
    free(a.data);
    free(b.data);
    return r;
}

STREAM_TEST(messages_ask_for_no_memory, 0)
{
    return run_rounds(pair, asks, answers);
}

STREAM_TEST(lines_ask_for_no_memory, 0)
{
    return run_rounds(pair, writes_lines, reads_lines);
}

STREAM_TEST(flow_control_asks_for_no_memory, 0)
{
    return run_rounds(pair, writes_much, reads_much);
}

/* What is kept of one large write would be kept by thousands of idle connections. */
static int write_again(struct pair *pair, size_t size, bool *asked)
{
    struct side a = { pair->a, writes_at_once, calloc(1, size), size };
    struct side b = { pair->b, reads_piecemeal, calloc(1, size), size };
    int r = a.data != NULL && b.data != NULL ? 0 : -ENOMEM;

    for (int round = 0; round < in_torture_fewer(5) && r == 0; round++) {
        long before = memory_requests();

        r = play(&a, &b);
        *asked = memory_requests() != before;
    }
    free(a.data);
    free(b.data);
    return r;
}

STREAM_TEST(much_memory_is_given_back, 0)
{
    bool asked = false;

    TRY(write_again(pair, test_is_torture() ? 1000 : MORE, &asked));
    CHECK(asked || test_is_torture());
    return 0;
}
