/* pq.h - PostgreSQL's libpq, awaited in one line.
 *
 *     PGconn *conn;
 *     PGresult *result;
 *     TRY(pq_connect(&conn, "dbname=test"));
 *     int r = pq_exec(conn, &result, "SELECT 6 * 7", NULL, 0);
 *
 * The connection and the results are libpq's own: look at them, and free them, with its functions.
 * One task at a time may use a connection; for several tasks have several, or an asyncio_lock.
 */
#ifndef BRIDGES_PQ_H
#define BRIDGES_PQ_H

#include <asyncio.h>
#include <libpq-fe.h>

/* PQconnectdb(), without blocking, if the server is given by address or path: libpq looks names up
 * itself.  -ECONNREFUSED: there is no connection, for a reason that PQerrorMessage(*conn) tells;
 * *conn is there all the same, and PQfinish() is due.  Any other error: nothing is left of it. */
ASYNCIO_SUSPENDS int pq_connect(PGconn **conn, const char *conninfo);

/* PQexecParams(), with `count` parameters as text, $1 and so on.  0: what the server answered is in
 * *result, to be freed with PQclear(), also if that is an error.  Of several commands in one string
 * it is the answer to the last.  -ECONNRESET: the connection is lost.  Cancelled: the server has
 * been asked to stop; the connection is good for the next command. */
ASYNCIO_SUSPENDS int pq_exec(PGconn *conn, PGresult **result, const char *command,
                             const char *const *params, int count);

/* Waits for what NOTIFY tells those that LISTEN; to be freed with PQfreemem(). */
ASYNCIO_SUSPENDS int pq_notification(PGconn *conn, PGnotify **notification);

#endif
