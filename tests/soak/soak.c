/* soak.c - a server under churn, resets and TLS, for as long as asked: soak SECONDS.
 *
 * One process has both sides.  The clients come and go without a pause: they echo, in plain and
 * over TLS, and end in order, by a reset, in the middle of a message or of a handshake, or cut off
 * by the clock; some send what is no TLS, some look names up, some are connected to and say
 * nothing.  The servers are shut down and begun anew.  Every second the memory of the process, the
 * library's own and the descriptors are counted.  At the end: their slopes by least squares,
 * without the first fifth; above a bound the status is 1.
 */
#include <asyncio.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "counted.h"
#include "series.h"
#include "tls/certificates.h"

enum { CLIENTS = 48, MESSAGE_MAX = 200 * 1000, SERVER_LIFE = 15, LINES_EVERY = 10 };

static struct soak {
    double seconds;
    bool over;
    uint64_t random;
    asyncio_server *servers[2]; /* plain, TLS */
    unsigned long connections, handshakes, bytes, resets, cut_off, refused, restarts;
} soak;

static unsigned draw(unsigned limit)
{
    soak.random = soak.random * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(soak.random >> 33) % limit;
}

/* ---- what is counted ---- */

static double resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static double descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = -3; /* ., .. and its own */

    if (directory == NULL)
        return 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* ---- the server ---- */

static int echoes(asyncio_stream *stream, void *arg)
{
    char data[8192];
    int n;

    (void)arg;
    while ((n = asyncio_stream_read(stream, data, sizeof data)) > 0) {
        n = asyncio_stream_write(stream, data, (size_t)n);
        if (n < 0)
            break;
    }
    return n;
}

static int start_servers(void)
{
    asyncio_server_options plain = { .host = "127.0.0.1" };
    asyncio_server_options tls = { .host = "127.0.0.1",
                                   .tls = tls_contexts.server,
                                   .tls_handshake_timeout = 2,
                                   .tls_shutdown_timeout = 1 };
    int r = asyncio_start_server(&soak.servers[0], echoes, NULL, &plain);

    if (r == 0)
        r = asyncio_start_server(&soak.servers[1], echoes, NULL, &tls);
    return r;
}

/* Those who are connected are cut off; clients that come meanwhile are refused. */
static void end_servers(void)
{
    asyncio_shutdown_counts counts;

    for (int i = 0; i < 2; i++) {
        asyncio_server *server = soak.servers[i];

        soak.servers[i] = NULL;
        if (server != NULL)
            asyncio_ignore(asyncio_server_shutdown(server, 0.3, &counts));
        asyncio_server_free(server);
    }
}

static int restarts(void *arg)
{
    int r = 0;

    (void)arg;
    while (r == 0 && !soak.over) {
        r = asyncio_sleep(SERVER_LIFE);
        if (r < 0)
            break;
        end_servers();
        r = start_servers();
        soak.restarts++;
    }
    return r;
}

/* ---- clients ---- */

struct visit {
    asyncio_stream *stream;
    bool tls;
    char *data;
    size_t size;
};

static int connect_to(struct visit *visit)
{
    asyncio_server *server = soak.servers[visit->tls];
    asyncio_connection_options plain = { .limit = 0 };
    asyncio_connection_options tls = { .tls = tls_contexts.client,
                                       .tls_handshake_timeout = 2,
                                       .tls_shutdown_timeout = 1 };

    if (server == NULL)
        return -ECONNREFUSED;
    int r = asyncio_open_connection(&visit->stream, draw(8) == 0 ? "localhost" : "127.0.0.1",
                                    asyncio_server_port(server), visit->tls ? &tls : &plain);
    if (r == 0)
        soak.connections++;
    if (r == 0 && visit->tls)
        soak.handshakes++;
    return r;
}

/* Writes and reads at once, so that neither has to wait for the other. */
static int writes(void *arg)
{
    struct visit *visit = arg;

    memset(visit->data, 'x', visit->size);
    int r = asyncio_stream_write(visit->stream, visit->data, visit->size);
    if (r == 0 && asyncio_stream_can_write_eof(visit->stream) && draw(2) == 0)
        r = asyncio_stream_write_eof(visit->stream);
    return r;
}

/* All of it, or a part. */
static int reads(void *arg)
{
    struct visit *visit = arg;
    size_t left = draw(4) > 0 ? visit->size : draw(1 + (unsigned)visit->size);
    char data[8192];
    int n = 1;

    while (left > 0 && n > 0) {
        size_t most = 1 + draw(sizeof data);

        n = asyncio_stream_read(visit->stream, data, most < left ? most : left);
        left -= n > 0 ? (size_t)n : 0;
        soak.bytes += n > 0 ? (unsigned long)n : 0;
    }
    return n < 0 ? n : 0;
}

static int talk(struct visit *visit)
{
    asyncio_task_group group;

    visit->size = draw(10) == 0 ? draw(MESSAGE_MAX) : draw(2000);
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, writes, visit);
    asyncio_task_group_spawn(&group, reads, visit);
    return asyncio_task_group_exit(&group, 0);
}

/* In order, at once, or by a reset; or nothing at all, which free does. */
static int part(struct visit *visit)
{
    switch (draw(4)) {
    case 0: asyncio_stream_close(visit->stream); return asyncio_stream_wait_closed(visit->stream);
    case 1:
        soak.resets++;
        asyncio_stream_abort(visit->stream);
        return 0;
    case 2: asyncio_stream_close(visit->stream); return 0;
    }
    return 0;
}

/* To the TLS server, and is none. */
static int talk_nonsense(struct visit *visit)
{
    char data[300];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)draw(256);
    data[0] = 22; /* a handshake, as it seems */
    int r = asyncio_stream_write(visit->stream, data, draw(sizeof data));
    if (r == 0 && draw(2) == 0)
        r = asyncio_stream_read(visit->stream, data, sizeof data);
    return r;
}

static int visits_nonsensically(struct visit *visit)
{
    asyncio_server *server = soak.servers[1];

    if (server == NULL)
        return -ECONNREFUSED;
    int r = asyncio_open_connection(&visit->stream, "127.0.0.1", asyncio_server_port(server), NULL);
    return r < 0 ? r : talk_nonsense(visit);
}

static int visits(void *arg)
{
    struct visit *visit = arg;
    int r;

    if (draw(20) == 0)
        return visits_nonsensically(visit);
    r = connect_to(visit);
    if (r == 0 && draw(10) > 0)
        r = talk(visit);
    if (r == 0)
        r = part(visit);
    return r;
}

/* One after the other; some are cut off by the clock, wherever they are. */
static int comes_and_goes(void *arg)
{
    (void)arg;
    while (!soak.over) {
        struct visit visit = { .tls = draw(3) == 0, .data = malloc(MESSAGE_MAX) };
        double limit = draw(3) == 0 ? draw(20) * 0.001 : 5;
        int r = visit.data != NULL ? asyncio_wait_for(visits, &visit, limit) : -ENOMEM;

        asyncio_stream_free(visit.stream);
        free(visit.data);
        soak.cut_off += r == -ETIMEDOUT;
        soak.refused += r == -ECONNREFUSED;
        if (r == -EINVAL) /* a mistake of this program's */
            return r;
        if (r == -ECANCELED)
            return r;
        if (r == -ECONNREFUSED)
            r = asyncio_sleep(0.01);
        if (r == -ECANCELED)
            return r;
    }
    return 0;
}

/* ---- watching ---- */

static struct series memory, own, files;

static int watches(void *arg)
{
    double start = asyncio_loop_time(asyncio_get_running_loop()), now = 0;
    int r = 0;

    (void)arg;
    for (int i = 1; r == 0 && now < soak.seconds; i++) {
        r = asyncio_sleep(1);
        now = asyncio_loop_time(asyncio_get_running_loop()) - start;
        series_add(&memory, now, resident_kib());
        series_add(&own, now, (double)atomic_load(&blocks));
        series_add(&files, now, descriptors());
        if (i % LINES_EVERY == 0 || now >= soak.seconds)
            printf("%6.0f s  %8lu connections  %8.0f KiB  %6.0f blocks  %4.0f descriptors\n", now,
                   soak.connections, series_last(&memory), series_last(&own), series_last(&files));
        fflush(stdout);
    }
    soak.over = true;
    return r;
}

static int runs(void *arg)
{
    asyncio_task_group group;
    asyncio_task *restarter;

    (void)arg;
    int r = start_servers();
    if (r < 0)
        return r;
    asyncio_task_group_enter(&group);
    r = asyncio_task_group_create_task(&group, &restarter, restarts, NULL, NULL);
    for (int i = 0; i < CLIENTS; i++)
        asyncio_task_group_spawn(&group, comes_and_goes, NULL);
    if (r == 0)
        r = watches(NULL);
    if (r == 0)
        asyncio_task_cancel(restarter);
    r = asyncio_task_group_exit(&group, r);
    end_servers();
    return r;
}

/* What handlers' failures come to: everyday life here. */
static void hear(void *arg, enum asyncio_log_level level, const char *text)
{
    static unsigned long heard;

    (void)arg;
    (void)level;
    if (heard++ < 5)
        printf("the library said: %s\n", text);
}

static bool report(void)
{
    printf("%lu connections, %lu of them TLS, %lu bytes echoed, %lu resets, %lu cut off by the "
           "clock, %lu refused; servers begun anew %lu times\n",
           soak.connections, soak.handshakes, soak.bytes, soak.resets, soak.cut_off, soak.refused,
           soak.restarts);
    /* What a run of minutes can tell from noise; see docs/proof/soak.md. */
    bool memory_fine = series_report(&memory, "memory", "KiB", 2048, 4096);
    bool own_fine = series_report(&own, "library's blocks", "", 100, 600);
    bool files_fine = series_report(&files, "descriptors", "", 10, 60);
    return memory_fine && own_fine && files_fine;
}

int main(int argc, char **argv)
{
    soak.seconds = argc > 1 ? strtod(argv[1], NULL) : 60;
    soak.random = 1;
    asyncio_set_allocator(counted_allocate, NULL);
    asyncio_set_log_function(hear, NULL, ASYNCIO_LOG_WARNING);
    int r = asyncio_run(runs, NULL);
    if (r < 0)
        printf("the run ended with %d (%s)\n", r, asyncio_error_name(r));
    bool fine = report();
    series_free(&memory);
    series_free(&own);
    series_free(&files);
    return r == 0 && fine ? 0 : 1;
}
