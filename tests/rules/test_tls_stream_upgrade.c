/* test_tls_stream_upgrade.c - streams that start TLS, and TLS on small stacks. */
#include "tls_servers.h"

/* ---- start_tls ---- */

/* Says so in plain text, then both turn TLS on. */
static int offers_tls(asyncio_stream *stream, void *arg)
{
    char line[32];

    (void)arg;
    TRY(asyncio_stream_readline(stream, line, sizeof line));
    TRY(send_text(stream, "go ahead\n"));
    TRY(asyncio_stream_start_tls(stream, tls_contexts.server,
                                 &(asyncio_start_tls_options){ .server_side = true }));
    return echo(stream, NULL);
}

static int start_as_client(asyncio_stream *stream, const asyncio_start_tls_options *options)
{
    char line[32] = "";

    TRY(send_text(stream, "STARTTLS\n"));
    TRY(asyncio_stream_readline(stream, line, sizeof line));
    CHECK_STR(line, "go ahead\n");
    CHECK(asyncio_stream_ssl(stream) == NULL && asyncio_stream_alpn(stream) == NULL);
    TRY(asyncio_stream_start_tls(stream, tls_contexts.client, options));
    CHECK(asyncio_stream_ssl(stream) != NULL);
    CHECK_STR(asyncio_stream_alpn(stream), "one");
    return talk(stream, "secret");
}

/* TLS-12, TLS-13: the same stream; the name is that of the host it was opened to. */
SERVER_TEST(TLS_12_start_tls, .handler = offers_tls)
{
    asyncio_stream *stream;

    TRY(open_client(&stream, server));
    int r = start_as_client(stream, NULL);
    asyncio_stream_free(stream);
    return r;
}

/* TLS-14: refused before anything happens; failed, the stream is closed. */
SERVER_TEST(TLS_14_start_tls_fails, .handler = offers_tls)
{
    asyncio_stream *stream;

    TRY(open_client(&stream, server));
    CHECK_INT(asyncio_stream_start_tls(stream, NULL, NULL), -EINVAL);
    CHECK_INT(asyncio_stream_start_tls(stream, tls_contexts.client,
                                       &(asyncio_start_tls_options){ .handshake_timeout = -1 }),
              -EINVAL);
    int r =
        start_as_client(stream, &(asyncio_start_tls_options){ .server_hostname = "example.com" });
    CHECK_INT(r, ASYNCIO_ETLSVERIFY);
    if (r == ASYNCIO_ETLSVERIFY) {
        CHECK(strstr(asyncio_error_detail(), "not for example.com") != NULL);
        CHECK(asyncio_stream_is_closing(stream));
        CHECK_INT(send_text(stream, "x"), ASYNCIO_ETLSVERIFY);
    }
    asyncio_stream_free(stream);
    return r == ASYNCIO_ETLSVERIFY ? 0 : r;
}

/* TLS-14: cancelled, it is closed, too. */
static int waits_for_tls(void *arg)
{
    return asyncio_stream_start_tls(arg, tls_contexts.client, NULL);
}

SERVER_TEST(TLS_14_start_tls_cancelled, .handler = waits_for_end)
{
    asyncio_stream *stream;
    asyncio_task *task;

    TRY(open_client(&stream, server));
    int r = start(&task, waits_for_tls, stream);
    if (r == 0) {
        r = asyncio_sleep(1);
        CHECK_INT(cancel(task), -ECANCELED);
        CHECK(asyncio_stream_is_closing(stream));
    }
    asyncio_stream_free(stream);
    return r;
}

/* TLS-14: what has no two directions, or is no connection. */
static int starts_on_memory(void *arg)
{
    asyncio_stream *a, *b;

    (void)arg;
    TRY(asyncio_stream_pair(&a, &b, 0));
    CHECK_INT(
        asyncio_stream_start_tls(a, tls_contexts.client,
                                 &(asyncio_start_tls_options){ .server_hostname = "localhost" }),
        -ENOTSUP);
    CHECK_INT(asyncio_stream_start_tls(a, tls_contexts.client, NULL), -EINVAL);
    asyncio_stream_free(a);
    asyncio_stream_free(b);
    return 0;
}

TEST(TLS_14_start_tls_unsupported)
{
    RUN(starts_on_memory, NULL);
}

/* TLS-13: the client does not wait; what the server has read ahead is TLS already. */
static int reads_line_then_tls(asyncio_stream *stream, void *arg)
{
    char line[32] = "";

    (void)arg;
    TRY(asyncio_sleep(1)); /* so that all of it is there */
    TRY(asyncio_stream_readline(stream, line, sizeof line));
    CHECK_STR(line, "STARTTLS\n");
    TRY(asyncio_stream_start_tls(stream, tls_contexts.server,
                                 &(asyncio_start_tls_options){ .server_side = true }));
    return echo(stream, NULL);
}

SERVER_TEST(TLS_13_bytes_read_ahead, .handler = reads_line_then_tls)
{
    asyncio_stream *stream;

    TRY(open_client(&stream, server));
    int r = send_text(stream, "STARTTLS\n");
    if (r == 0)
        r = asyncio_stream_start_tls(stream, tls_contexts.client, NULL);
    if (r == 0)
        r = talk(stream, "hello");
    asyncio_stream_free(stream);
    return r;
}

static int injects(asyncio_stream *stream, void *arg)
{
    (void)arg;
    TRY(send_text(stream, "go\nforged\n"));
    asyncio_ignore(asyncio_stream_start_tls(stream, tls_contexts.server,
                                            &(asyncio_start_tls_options){ .server_side = true }));
    return 0;
}

/* TLS-13: what somebody in between puts behind the last plain line is not taken for what came by
 * TLS: it is no TLS. */
SERVER_TEST(TLS_13_injected_before_tls, .handler = injects)
{
    asyncio_stream *stream;
    char line[32] = "";

    TRY(open_client(&stream, server));
    int r = asyncio_sleep(1); /* so that all of it is there */
    if (r == 0)
        r = asyncio_stream_readline(stream, line, sizeof line);
    if (r >= 0) {
        CHECK_STR(line, "go\n");
        r = asyncio_stream_start_tls(stream, tls_contexts.client, NULL);
        CHECK_INT(r, ASYNCIO_ETLS);
        CHECK(asyncio_stream_read(stream, line, sizeof line) <= 0);
    }
    asyncio_stream_free(stream);
    return r == ASYNCIO_ETLS ? 0 : r;
}

/* TLS-17: TLS over TLS. */
static int offers_more(asyncio_stream *stream, void *arg)
{
    TRY(expect_text(stream, "more"));
    TRY(send_text(stream, "yes"));
    TRY(asyncio_stream_start_tls(stream, tls_contexts.server,
                                 &(asyncio_start_tls_options){ .server_side = true }));
    return echo(stream, arg);
}

TLS_SERVER_TEST(TLS_17_tls_over_tls, offers_more, .backlog = 0)
{
    asyncio_stream *stream;

    TRY(open_secure(&stream, server, NULL));
    SSL *outer = asyncio_stream_ssl(stream);
    int r = send_text(stream, "more");
    if (r == 0)
        r = expect_text(stream, "yes");
    if (r == 0)
        r = asyncio_stream_start_tls(
            stream, tls_contexts.client,
            &(asyncio_start_tls_options){ .server_hostname = "localhost" });
    if (r == 0) {
        CHECK(asyncio_stream_ssl(stream) != outer);
        r = talk(stream, "secret of secrets");
    }
    asyncio_stream_free(stream);
    return r;
}

/* ---- small stacks ---- */

static int talks_on_a_small_stack(void *arg)
{
    asyncio_stream *stream;

    TRY(open_secure(&stream, arg, NULL));
    return talk_and_free(stream);
}

/* The least for TLS is 32 KiB, for client and handler. */
TLS_SERVER_TEST(stack_of_32_kib, echo, .stack_size = 32 * 1024)
{
    asyncio_task *task;

    TRY(asyncio_create_task(&task, talks_on_a_small_stack, server,
                            &(asyncio_task_options){ .stack_size = 32 * 1024 }));
    return finish(task);
}
