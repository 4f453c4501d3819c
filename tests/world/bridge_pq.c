/* bridge_pq.c - libpq's commands awaited, against a real PostgreSQL server. */
#include <stdio.h>
#include <string.h>

#include "pq.h"
#include "world.h"

static int open_connection(PGconn **conn)
{
    int r = pq_connect(conn, world_server("PG_CONNINFO"));

    if (r == -ECONNREFUSED) {
        if (!test_is_torture())
            FAIL("%s", PQerrorMessage(*conn));
        PQfinish(*conn);
    }
    return r;
}

/* Calls it with a connection, which is gone afterwards. */
static int with_connection(int (*body)(PGconn *conn))
{
    PGconn *conn;

    TRY(open_connection(&conn));
    int r = body(conn);
    PQfinish(conn);
    return r;
}

/* The only value of the only row. */
static int ask(PGconn *conn, const char *command, const char *param, const char *expected)
{
    PGresult *result;

    TRY(pq_exec(conn, &result, command, &param, param != NULL ? 1 : 0));
    if (CHECK_INT(PQresultStatus(result), PGRES_TUPLES_OK))
        CHECK_STR(PQgetvalue(result, 0, 0), expected);
    PQclear(result);
    return 0;
}

static int selects(PGconn *conn)
{
    TRY(ask(conn, "SELECT 6 * 7", NULL, "42"));
    TRY(ask(conn, "SELECT $1::int + 1", "41", "42"));
    TRY(ask(conn, "SELECT 1; SELECT 2", NULL, "2"));
    return 0;
}

static int select_is_awaited(void *arg)
{
    (void)arg;
    return with_connection(selects);
}

TEST(pq_select_is_awaited)
{
    run_world(select_is_awaited, NULL);
}

static int asks_nonsense(PGconn *conn)
{
    PGresult *result;

    TRY(pq_exec(conn, &result, "SELECT nonsense", NULL, 0));
    CHECK_INT(PQresultStatus(result), PGRES_FATAL_ERROR);
    CHECK(strstr(PQresultErrorMessage(result), "nonsense") != NULL);
    PQclear(result);
    return ask(conn, "SELECT 'good'", NULL, "good");
}

static int errors_are_results(void *arg)
{
    (void)arg;
    return with_connection(asks_nonsense);
}

TEST(pq_errors_are_results)
{
    run_world(errors_are_results, NULL);
}

/* More than one read can hold, in both directions. */
static int sends_and_gets_much(PGconn *conn)
{
    enum { SIZE = 4000000 };
    char *text = malloc(SIZE + 1), length[20];
    PGresult *result = NULL;

    if (text == NULL)
        return -ENOMEM;
    memset(text, 'x', SIZE);
    text[SIZE] = '\0';
    snprintf(length, sizeof length, "%d", SIZE);
    int r = ask(conn, "SELECT length($1)", text, length);
    free(text);
    TRY(r);
    TRY(pq_exec(conn, &result, "SELECT generate_series(1, 50000)", NULL, 0));
    CHECK_INT(PQntuples(result), 50000);
    PQclear(result);
    return 0;
}

static int much_goes_through(void *arg)
{
    (void)arg;
    return with_connection(sends_and_gets_much);
}

TEST(pq_much_goes_through)
{
    run_world(much_goes_through, NULL);
}

struct sleeper {
    PGconn *conn;
};

static int sleep_long(void *arg)
{
    struct sleeper *sleeper = arg;
    PGresult *result = NULL;
    int r = pq_exec(sleeper->conn, &result, "SELECT pg_sleep(60)", NULL, 0);

    PQclear(result);
    return r;
}

/* The server stops, and the connection is as good as new, long before the minute is over. */
static int is_cancelled(PGconn *conn)
{
    struct sleeper sleeper = { conn };
    int r = asyncio_wait_for(sleep_long, &sleeper, 0.05);

    if (!test_is_torture())
        CHECK_INT(r, -ETIMEDOUT);
    TRY(r == -ETIMEDOUT ? 0 : r);
    return ask(conn, "SELECT 'again'", NULL, "again");
}

static int command_is_cancelled(void *arg)
{
    (void)arg;
    return with_connection(is_cancelled);
}

TEST(pq_commands_are_cancelled)
{
    if (test_is_torture())
        SKIP("a lost PQcancel means a minute of waiting, rightly");
    run_world(command_is_cancelled, NULL);
}

static int gives_up(void *arg)
{
    PGconn *conn;

    (void)arg;
    TRY(open_connection(&conn));
    int r = asyncio_wait_for(sleep_long, &(struct sleeper){ conn }, 0.01);
    PQfinish(conn);
    return r == -ETIMEDOUT ? 0 : r;
}

TEST(pq_connections_are_given_up)
{
    run_world(gives_up, NULL);
}

static int one_of_many(void *arg)
{
    (void)arg;
    return with_connection(selects);
}

static int many_connections(void *arg)
{
    asyncio_task_group group;

    (void)arg;
    asyncio_task_group_enter(&group);
    for (int i = 0; i < 8; i++)
        asyncio_task_group_spawn(&group, one_of_many, NULL);
    return asyncio_task_group_exit(&group, 0);
}

TEST(pq_many_at_once)
{
    run_world(many_connections, NULL);
}

static int hears(PGconn *conn)
{
    PGresult *result = NULL;
    PGnotify *notification = NULL;

    TRY(pq_exec(conn, &result, "LISTEN news", NULL, 0));
    PQclear(result);
    TRY(pq_exec(conn, &result, "NOTIFY news, 'it rains'", NULL, 0));
    PQclear(result);
    TRY(pq_notification(conn, &notification));
    CHECK_STR(notification->relname, "news");
    CHECK_STR(notification->extra, "it rains");
    PQfreemem(notification);
    return 0;
}

static int notification_is_awaited(void *arg)
{
    (void)arg;
    return with_connection(hears);
}

TEST(pq_notifications_are_awaited)
{
    run_world(notification_is_awaited, NULL);
}

static int is_refused(void *arg)
{
    PGconn *conn;
    int r = pq_connect(&conn, "host=/nowhere");

    (void)arg;
    if (!test_is_torture())
        CHECK_INT(r, -ECONNREFUSED);
    if (r == -ECONNREFUSED || r == 0) {
        CHECK(strstr(PQerrorMessage(conn), "/nowhere") != NULL);
        PQfinish(conn);
    }
    return 0;
}

TEST(pq_says_why_it_failed)
{
    run_world(is_refused, NULL);
}
