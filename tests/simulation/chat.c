/* chat.c - the program tests/programs/14_chat.c, as it is, with members who come, talk and leave.
 *
 * What each member hears: of every other, from some line on each line once and in order, between
 * the message that he has come and the one that he has left; of himself, all he said, if the
 * network breaks nothing.  Without memory the program leaves a line out, to who it had none for.
 * On Ctrl-C it ends within its grace.
 */
#include <signal.h>
#include <stdlib.h>

int chat_main(void);
#define main chat_main
#include "../programs/14_chat.c"
#undef main

#include "scenario.h"

enum { MEMBERS_MAX = 5, SAYINGS_MAX = 10 };

struct member {
    unsigned number, sayings;
    struct hall *hall;
    asyncio_stream *stream;
    int next[MEMBERS_MAX];     /* of what each says; -1: nothing was heard yet */
    bool present[MEMBERS_MAX]; /* is known to be there */
    bool closing;              /* the program said so */
    bool heard_end;
};

struct hall {
    struct member members[MEMBERS_MAX];
    unsigned count;
    bool strict; /* nothing breaks */
    bool over;   /* the program has ended */
    double interrupted_at, ended_at;
};

/* ---- listening ---- */

static int heard_saying(struct member *me, unsigned who, int number)
{
    if (who >= me->hall->count || number < 0)
        return broken("a line of nobody");
    bool gap = number > me->next[who] && !me->hall->strict;
    if (me->next[who] >= 0 && number != me->next[who] && !gap)
        return broken("member %u heard line %d of %u in place of %d", me->number, number, who,
                      me->next[who]);
    if (who == me->number && me->next[who] < 0 && number != 0 && !gap)
        return broken("member %u did not hear his own first line", who);
    if (!me->present[who] && me->next[who] >= 0)
        return broken("member %u heard one who has left", me->number);
    me->next[who] = number + 1;
    me->present[who] = true;
    return 0;
}

static int heard_coming(struct member *me, unsigned who, bool comes)
{
    if (who >= me->hall->count)
        return broken("nobody has come or left");
    if (comes && me->present[who])
        return broken("member %u has come twice", who);
    me->present[who] = comes;
    if (comes)
        me->next[who] = 0;
    return 0;
}

static int heard(struct member *me, const char *line)
{
    unsigned who;
    int number;
    char what[8];

    if (strncmp(line, "* closing", 9) == 0) {
        me->closing = true;
        return 0;
    }
    if (sscanf(line, "* m%u has %7s", &who, what) == 2)
        return heard_coming(me, who, strcmp(what, "come") == 0);
    if (sscanf(line, "m%u: saying %d", &who, &number) == 2)
        return heard_saying(me, who, number);
    /* The last line of one whose connection broke in the middle. */
    if (!me->hall->strict && (line[0] == 'm' || strncmp(line, "* m", 3) == 0))
        return 0;
    return broken("member %u heard '%s'", me->number, line);
}

/* The question has no newline, and stands before the first line. */
static int listen_to_all(void *arg)
{
    struct member *me = arg;
    char text[700];
    char question[] = "Your name? ";
    int n = asyncio_stream_readexactly(me->stream, text, strlen(question));

    if (n < 0) {
        me->heard_end = n == ASYNCIO_EINCOMPLETE;
        return me->heard_end ? 0 : n;
    }
    if (memcmp(text, question, strlen(question)) != 0)
        return broken("was not asked for a name");
    while ((n = asyncio_stream_readline(me->stream, text, sizeof text)) > 0) {
        bool whole = text[n - 1] == '\n';

        text[n - 1] = '\0';
        if (whole && heard(me, text) < 0)
            return -ENOTRECOVERABLE;
    }
    me->heard_end = n == 0;
    return n;
}

/* ---- talking ---- */

static int say_all(void *arg)
{
    struct member *me = arg;

    int r = asyncio_stream_printf(me->stream, "m%u\n", me->number);
    for (unsigned i = 0; i < me->sayings && r >= 0; i++) {
        r = pause_up_to(2);
        if (r == 0)
            r = asyncio_stream_printf(me->stream, "saying %u\n", i);
    }
    return r < 0 ? r : asyncio_stream_write_eof(me->stream);
}

/* One of the two fails when the other says that the connection is over. */
static int take_part(struct member *me)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_spawn(&group, listen_to_all, me);
    if (r == 0)
        r = asyncio_task_group_spawn(&group, say_all, me);
    return asyncio_task_group_exit(&group, r);
}

static int check_all_heard(const struct member *me)
{
    int own = me->next[me->number];
    bool cut_short = me->closing || me->hall->interrupted_at > 0; /* came too late to be told */

    if (own >= 0 && !cut_short && own != (int)me->sayings)
        return broken("member %u heard %d of his %u lines", me->number, own, me->sayings);
    return 0;
}

static int visit(void *arg)
{
    struct member *me = arg;

    me->sayings = (unsigned)asyncio_testing_below(SAYINGS_MAX);
    for (unsigned i = 0; i < MEMBERS_MAX; i++)
        me->next[i] = -1;
    int r = asyncio_open_connection(&me->stream, "server", 8888, NULL);
    if (r < 0)
        return r;
    r = take_part(me);
    if (r == 0 && me->hall->strict)
        r = check_all_heard(me);
    /* Who stopped listening, or was stopped, does not wait for what he said to be heard. */
    if (!me->heard_end)
        asyncio_stream_abort(me->stream);
    asyncio_stream_free(me->stream);
    return r;
}

static int be_member(void *arg)
{
    struct member *me = arg;

    int r = pause_up_to(5);
    if (r == 0)
        r = asyncio_wait_for(visit, me, 300);
    if (r == -EPIPE || !me->hall->strict || me->hall->over || me->closing)
        return excused("a member", r);
    return r == -ECONNREFUSED || r == -ECONNRESET ? 0 : r;
}

static int place_member(void *arg)
{
    return asyncio_testing_at_host("client", be_member, arg);
}

/* ---- the program ---- */

static int run_program(void *arg)
{
    struct hall *hall = arg;

    int r = run(NULL);
    hall->over = true;
    hall->ended_at = asyncio_loop_time(asyncio_get_running_loop());
    return excused("the program", r < 0 ? r : 0);
}

static int place_program(void *arg)
{
    return asyncio_testing_at_host("server", run_program, arg);
}

static bool listens_to_signals(void)
{
    struct sigaction now;

    return sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler != SIG_DFL;
}

/* A program that could not begin does not wait for a signal. */
static int interrupt(struct hall *hall)
{
    hall->interrupted_at = asyncio_loop_time(asyncio_get_running_loop());
    if (!hall->over && listens_to_signals() && raise(SIGINT) != 0)
        return broken("no signal");
    return 0;
}

static int trouble(const struct hall *hall)
{
    int r = 0;

    if (!hall->strict && asyncio_testing_below(2) == 0)
        r = asyncio_testing_reset_connections(0.5);
    if (r >= 0 && !hall->strict && asyncio_testing_below(3) == 0)
        r = asyncio_testing_partition("server", "client");
    if (r >= 0 && !hall->strict && asyncio_testing_below(3) == 0)
        r = cancel_some(4);
    return r < 0 ? r : 0;
}

static int run_evening(void *arg)
{
    struct hall *hall = arg;
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_spawn(&group, place_program, hall);
    for (unsigned i = 0; i < hall->count && r == 0; i++) {
        hall->members[i].number = i;
        hall->members[i].hall = hall;
        r = asyncio_task_group_spawn(&group, place_member, &hall->members[i]);
    }
    if (r == 0)
        r = pause_up_to(8);
    if (r == 0)
        r = trouble(hall);
    if (r == 0)
        r = pause_up_to(20);
    int interrupted = interrupt(hall);
    if (asyncio_testing_below(2) == 0)
        calm_down();
    return asyncio_task_group_exit(&group, r < 0 ? r : interrupted);
}

/* A clock that jumps may pass the end of the grace by as far. */
static int check_end(const struct hall *hall)
{
    asyncio_testing_counts counts;
    double took = hall->ended_at - hall->interrupted_at;

    asyncio_testing_get_counts(&counts);
    if (hall->interrupted_at > 0 && took > GRACE + 0.001 && counts.clock_jumps == 0)
        return broken("the program has ended %f seconds after Ctrl-C", took);
    return 0;
}

static int run_chat(void *arg)
{
    struct hall hall = { .count = 1 + (unsigned)asyncio_testing_below(MEMBERS_MAX) };

    (void)arg;
    hall.strict = asyncio_testing_below(2) == 0;
    int r = hall.strict ? set_up_mild_network() : set_up_network();
    if (r == 0)
        r = run_evening(&hall);
    calm_down();
    if (r == 0)
        r = check_end(&hall);
    return excused("the evening", r);
}

const struct scenario scenario_chat = { "chat", "tests/programs/14_chat.c and its members",
                                        run_chat };
