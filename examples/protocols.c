/* protocols.c - a server without tasks: a protocol for each client, called by the loop.
 *
 *     make run PROGRAM=examples/protocols.c ARGS=7070     then: nc localhost 7070
 *
 * It keeps words: "set NAME WORD", "get NAME", "quit".  A protocol is a struct that begins with an
 * asyncio_protocol; the factory makes one for each connection, and it frees itself when that is
 * lost.  Bytes are read right into its line buffer (get_buffer, buffer_updated); a client that does
 * not read its answers is not read from either (pause_writing, resume_writing); one that says
 * nothing for a minute is sent away (a timer).  Ctrl-C ends the server when the last has gone.
 */
#include <asyncio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 1000, WORD_SIZE = 32, LINE_SIZE = 128, PATIENCE = 60 };

struct word {
    char name[WORD_SIZE], text[WORD_SIZE];
};

struct keeper {
    asyncio_loop *loop;
    asyncio_server *server;
    size_t client_count, word_count;
    bool closing;
    struct word words[WORDS_MAX];
};

struct client {
    asyncio_protocol protocol; /* first */
    struct keeper *keeper;
    asyncio_transport *transport;
    asyncio_timer patience;
    size_t size; /* of what is in `line` */
    char line[LINE_SIZE];
};

/* ---- words ---- */

static struct word *find(struct keeper *keeper, const char *name)
{
    for (size_t i = 0; i < keeper->word_count; i++)
        if (strcmp(keeper->words[i].name, name) == 0)
            return &keeper->words[i];
    return NULL;
}

static const char *set(struct keeper *keeper, const char *name, const char *text)
{
    struct word *word = find(keeper, name);

    if (word == NULL && keeper->word_count == WORDS_MAX)
        return "no room";
    if (word == NULL)
        word = &keeper->words[keeper->word_count++];
    snprintf(word->name, sizeof word->name, "%s", name);
    snprintf(word->text, sizeof word->text, "%s", text);
    return "ok";
}

/* ---- what a client asks ---- */

static int answer(struct client *client, const char *text)
{
    const asyncio_bytes parts[] = { { text, strlen(text) }, { "\n", 1 } };

    return asyncio_transport_writelines(client->transport, parts, 2);
}

static int obey(struct client *client, const char *line)
{
    char name[WORD_SIZE], text[WORD_SIZE];

    if (sscanf(line, "set %31s %31s", name, text) == 2)
        return answer(client, set(client->keeper, name, text));
    if (sscanf(line, "get %31s", name) == 1) {
        const struct word *word = find(client->keeper, name);
        return answer(client, word != NULL ? word->text : "no such word");
    }
    if (strcmp(line, "quit") == 0) {
        asyncio_transport_close(client->transport); /* after what is still to be sent */
        return 0;
    }
    return answer(client, "set NAME WORD, get NAME, or quit");
}

/* ---- the protocol ---- */

static struct client *client_of(asyncio_protocol *protocol)
{
    return (struct client *)(void *)protocol; /* its first member */
}

static int send_away(void *arg)
{
    struct client *client = arg;

    asyncio_transport_abort(client->transport);
    return 0;
}

static int be_patient(struct client *client)
{
    asyncio_timer_cancel(&client->patience);
    return asyncio_loop_call_later(client->keeper->loop, &client->patience, PATIENCE, send_away,
                                   client);
}

static void connection_made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    struct client *client = client_of(protocol);

    client->transport = transport;
    client->keeper->client_count++;
    if (be_patient(client) < 0)
        asyncio_transport_abort(transport);
}

static void stop_if_alone(struct keeper *keeper)
{
    if (keeper->closing && keeper->client_count == 0)
        asyncio_loop_stop(keeper->loop);
}

static void connection_lost(asyncio_protocol *protocol, int error)
{
    struct client *client = client_of(protocol);
    struct keeper *keeper = client->keeper;

    if (error < 0)
        fprintf(stderr, "a client is lost: %s\n", asyncio_strerror(error));
    asyncio_timer_cancel(&client->patience);
    free(client);
    keeper->client_count--;
    stop_if_alone(keeper);
}

static int get_buffer(asyncio_protocol *protocol, size_t hint, void **data, size_t *size)
{
    struct client *client = client_of(protocol);

    (void)hint;
    *data = client->line + client->size;
    *size = sizeof client->line - client->size; /* never 0, see below */
    return 0;
}

static int buffer_updated(asyncio_protocol *protocol, size_t size)
{
    struct client *client = client_of(protocol);
    char *line = client->line, *end;
    int r = be_patient(client);

    client->size += size;
    while (r == 0 && (end = memchr(line, '\n', client->size)) != NULL) {
        *end = '\0';
        r = obey(client, line);
        client->size -= (size_t)(end + 1 - line);
        line = end + 1;
    }
    if (client->size == sizeof client->line)
        return -EMSGSIZE; /* a negative result loses the connection, and is reported */
    memmove(client->line, line, client->size);
    return r;
}

static void pause_writing(asyncio_protocol *protocol)
{
    asyncio_transport_pause_reading(client_of(protocol)->transport);
}

static void resume_writing(asyncio_protocol *protocol)
{
    asyncio_transport_resume_reading(client_of(protocol)->transport);
}

static const asyncio_protocol_type client_type = {
    .connection_made = connection_made,
    .connection_lost = connection_lost,
    .pause_writing = pause_writing,
    .resume_writing = resume_writing,
    .get_buffer = get_buffer,
    .buffer_updated = buffer_updated,
};

/* ---- the server ---- */

static asyncio_protocol *make_client(void *arg)
{
    struct client *client = calloc(1, sizeof *client);

    if (client == NULL)
        return NULL;
    client->protocol.type = &client_type;
    client->keeper = arg;
    return &client->protocol;
}

static int interrupted(void *arg)
{
    struct keeper *keeper = arg;

    keeper->closing = true;
    asyncio_server_close(keeper->server);
    asyncio_server_close_clients(keeper->server);
    stop_if_alone(keeper);
    return 0;
}

static int serve(struct keeper *keeper, unsigned port)
{
    asyncio_future made = { 0 };

    asyncio_loop_create_server(keeper->loop, &made, &keeper->server, make_client, keeper,
                               &(asyncio_server_options){ .port = port });
    int r = asyncio_loop_run_until_complete(keeper->loop, &made);
    if (r < 0)
        return r;
    r = asyncio_loop_add_signal_handler(keeper->loop, SIGINT, interrupted, keeper);
    if (r == 0)
        r = asyncio_loop_run_forever(keeper->loop);
    asyncio_server_free(keeper->server);
    return r;
}

int main(int argc, char **argv)
{
    static struct keeper keeper;
    unsigned port = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 7070;
    int r = asyncio_new_event_loop(&keeper.loop, NULL);

    if (r == 0) {
        r = serve(&keeper, port);
        asyncio_loop_close(keeper.loop);
        asyncio_loop_unref(keeper.loop);
    }
    if (r < 0)
        fprintf(stderr, "%s\n", asyncio_strerror(r));
    else
        printf("kept %zu words\n", keeper.word_count);
    return r < 0;
}
