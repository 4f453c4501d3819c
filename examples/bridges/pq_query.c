/* pq_query.c - asks a PostgreSQL server, prints the rows, and does not wait for a slow answer.
 *
 *     pq_query CONNINFO COMMAND [PARAMETER...]
 */
#include <stdio.h>

#include "pq.h"

struct arguments {
    const char *conninfo, *command;
    const char *const *params;
    int count;
};

static int print_rows(const PGresult *result)
{
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        printf("%s%s", PQcmdStatus((PGresult *)result), PQresultErrorMessage(result));
        return PQresultStatus(result) == PGRES_COMMAND_OK ? 0 : -EIO;
    }
    for (int row = 0; row < PQntuples(result); row++)
        for (int i = 0; i < PQnfields(result); i++)
            printf("%s%s", PQgetvalue(result, row, i), i + 1 < PQnfields(result) ? "\t" : "\n");
    return 0;
}

static int ask(void *arg)
{
    struct arguments *arguments = arg;
    asyncio_timeout timeout;
    PGresult *result = NULL;
    PGconn *conn;

    int r = pq_connect(&conn, arguments->conninfo);
    if (r == -ECONNREFUSED) {
        fprintf(stderr, "%s", PQerrorMessage(conn));
        PQfinish(conn);
    }
    if (r < 0)
        return r;
    asyncio_timeout_enter(&timeout, 2);
    r = pq_exec(conn, &result, arguments->command, arguments->params, arguments->count);
    r = asyncio_timeout_exit(&timeout, r);
    if (r == 0)
        r = print_rows(result);
    PQclear(result);
    PQfinish(conn);
    return r;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: pq_query CONNINFO COMMAND [PARAMETER...]\n");
        return 2;
    }
    struct arguments arguments = {
        .conninfo = argv[1],
        .command = argv[2],
        .params = (const char *const *)argv + 3,
        .count = argc - 3,
    };
    int r = asyncio_run(ask, &arguments);
    if (r < 0)
        fprintf(stderr, "pq_query: %s\n", asyncio_strerror(r));
    return r < 0;
}
