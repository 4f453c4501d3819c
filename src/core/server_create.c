/* server_create.c - making a server: from the options to sockets that listen.
 *
 * Hosts that are numbers, paths and sockets made elsewhere are bound at once.  Names are looked up
 * first, all at the same time; the first failure ends the whole, as does a cancellation.  What was
 * made until then is given back: the sockets, the file of a Unix socket; a socket that was given
 * stays its owner's.
 */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/resolver.h"
#include "core/server.h"
#include "ground/address.h"
#include "ground/memory.h"
#include "ground/sys.h"

enum { HOST_SIZE = 256 };

struct host {
    struct lookup lookup;
    struct making *making;
    asyncio_address number; /* when the name is one */
    size_t count;           /* of addresses */
    char name[HOST_SIZE];
};

/* From the call to the completion. */
struct making {
    struct asyncio_loop *loop;
    asyncio_future *done;
    struct asyncio_server **server;
    struct server_request request;
    asyncio_server_options options; /* without strings */
    struct context_node *context;   /* that of the call */
    size_t pending;
    size_t host_count;
    struct host hosts[];
};

/* ---- the server ---- */

static struct asyncio_server *new_server(struct asyncio_loop *loop, size_t capacity,
                                         const struct server_request *request,
                                         const asyncio_server_options *options)
{
    struct asyncio_server *server =
        memory_zeroed(sizeof *server + capacity * sizeof server->listeners[0]);

    if (server == NULL)
        return NULL;
    server->loop = asyncio_loop_ref(loop);
    server->references = 1;
    server->type = request->type;
    server->handler = request->handler;
    server->factory = request->factory;
    server->arg = request->arg;
    server->limit = options->limit;
    server->max_clients = options->max_clients;
    server->stack_size = options->stack_size;
    server->backlog = options->backlog > 0 ? options->backlog : SERVER_BACKLOG;
    server->silent_until = -INFINITY;
    /* Without it a shortage of descriptors is only waited out. */
    server->reserve_fd = sys_event_open();
    asyncio_ignore(tls_settings_of_server(&server->tls, options)); /* which was checked */
    if (server->tls.context != NULL)
        asyncio_tls_context_ref(server->tls.context);
    return server;
}

static int begin(struct asyncio_server *made, const asyncio_server_options *options,
                 struct asyncio_server **server)
{
    int r = options->bind_only ? 0 : asyncio_server_start_serving(made);

    if (r < 0)
        return r;
    made->keep_file = options->keep_socket_file;
    *server = made;
    return 0;
}

static int bind_at_once(struct asyncio_server *made, struct server_request *request,
                        const asyncio_server_options *options)
{
    if (options->socket != NULL)
        return server_take_socket(made, options);
    if (options->path != NULL)
        return server_bind_path(made, request, options);
    return server_bind_everywhere(made, request, options);
}

static int make_at_once(struct asyncio_loop *loop, struct asyncio_server **server,
                        struct server_request *request, const asyncio_server_options *options)
{
    struct asyncio_server *made = new_server(loop, 2, request, options);

    if (made == NULL)
        return -ENOMEM;
    int r = bind_at_once(made, request, options);
    if (r == 0) {
        r = begin(made, options, server);
        if (r < 0 && options->socket != NULL)
            server_give_socket_back(made);
    }
    if (r < 0)
        asyncio_server_free(made);
    return r;
}

/* ---- of hosts ---- */

static void set_detail(struct making *making, const struct host *host, int error)
{
    if (making->request.detail != NULL)
        snprintf(making->request.detail, SERVER_DETAIL_SIZE, "'%.100s', port %u: %s", host->name,
                 making->options.port, asyncio_strerror(error));
}

static asyncio_address *collect(const struct making *making, size_t *count)
{
    size_t used = 0;

    *count = 0;
    for (size_t i = 0; i < making->host_count; i++)
        *count += making->hosts[i].count;
    asyncio_address *all = memory_get(*count * sizeof *all);
    for (size_t i = 0; all != NULL && i < making->host_count; i++) {
        const struct host *host = &making->hosts[i];
        const asyncio_address *found =
            host->number.size > 0 ? &host->number : lookup_addresses(&host->lookup);

        memcpy(&all[used], found, host->count * sizeof *all);
        used += host->count;
    }
    return all;
}

static int make_of_hosts(struct making *making)
{
    size_t count;
    asyncio_address *addresses = collect(making, &count);

    if (addresses == NULL)
        return -ENOMEM;
    struct asyncio_server *made =
        new_server(making->loop, count, &making->request, &making->options);
    int r = made != NULL
                ? server_bind_addresses(made, addresses, count, &making->request, &making->options)
                : -ENOMEM;
    memory_free(addresses);
    if (r == 0)
        r = begin(made, &making->options, making->server);
    if (r < 0)
        asyncio_server_free(made);
    return r;
}

static void finish(struct making *making, int r, const char *reason)
{
    asyncio_future *done = making->done;

    for (size_t i = 0; i < making->host_count; i++)
        lookup_clear(&making->hosts[i].lookup);
    context_node_unref(making->context);
    asyncio_tls_context_unref(making->options.tls);
    memory_free(making);
    future_finish(done, r, reason);
}

/* All names are known.  The handlers are to have the context of the call. */
static void finish_making(struct making *making)
{
    struct context_slot slot, *outer = context_enter(&slot, context_node_ref(making->context));
    int r = make_of_hosts(making);

    context_leave(&slot, outer);
    finish(making, r, NULL);
}

static bool cancel(asyncio_future *done, const char *reason)
{
    finish(done->owner_, -ECANCELED, reason);
    return true;
}

static void looked_up(struct lookup *lookup, int result)
{
    struct host *host = CONTAINER_OF(lookup, struct host, lookup);
    struct making *making = host->making;

    if (result < 0) {
        set_detail(making, host, result);
        finish(making, result, NULL);
        return;
    }
    host->count = (size_t)result;
    if (--making->pending == 0)
        finish_making(making);
}

/* ---- the list of hosts ---- */

/* Takes the first off the list; spaces around it do not count. */
static int next_host(const char **list, char *host)
{
    const char *first = *list + strspn(*list, " ");
    size_t length = strcspn(first, ",");

    *list = first + length + (first[length] == ',');
    while (length > 0 && first[length - 1] == ' ')
        length--;
    if (length >= HOST_SIZE || length == 0)
        return -EINVAL;
    memcpy(host, first, length);
    host[length] = '\0';
    return 0;
}

static int look_up(struct host *host, const char *service)
{
    struct making *making = host->making;
    asyncio_getaddrinfo_options hints = {
        .family = making->options.family,
        .type = SOCK_STREAM,
        .flags = making->options.flags != 0 ? making->options.flags : AI_PASSIVE,
    };
    int r = resolver_numeric(&host->number, host->name, service, &hints);

    if (r > 0) {
        host->count = 1;
        return 0;
    }
    host->lookup.ended = looked_up;
    if (r == 0)
        r = lookup_start(&host->lookup, making->loop, host->name, service, &hints);
    if (r == 0)
        making->pending++;
    return r;
}

static int look_all_up(struct making *making, const char *list)
{
    char service[16];
    int r = 0;

    snprintf(service, sizeof service, "%u", making->options.port);
    for (size_t i = 0; r == 0 && i < making->host_count; i++) {
        struct host *host = &making->hosts[i];

        host->making = making;
        r = next_host(&list, host->name);
        if (r == 0)
            r = look_up(host, service);
        if (r < 0)
            set_detail(making, host, r);
    }
    return r;
}

static struct making *new_making(const char *list)
{
    size_t count = 1;

    for (const char *c = list; *c != '\0'; c++)
        count += *c == ',' && c[1] != '\0';
    struct making *making = memory_zeroed(sizeof *making + count * sizeof making->hosts[0]);
    if (making != NULL)
        making->host_count = count;
    return making;
}

static void create_of_hosts(struct asyncio_loop *loop, asyncio_future *done,
                            struct asyncio_server **server, const struct server_request *request,
                            const asyncio_server_options *options)
{
    struct making *making = new_making(options->host);

    if (making == NULL) {
        future_finish(done, -ENOMEM, NULL);
        return;
    }
    making->loop = loop;
    making->done = done;
    making->server = server;
    making->request = *request;
    making->options = *options;
    making->options.host = NULL;
    if (options->tls != NULL)
        asyncio_tls_context_ref(options->tls);
    making->context = context_capture();
    int r = look_all_up(making, options->host);
    if (r < 0) {
        finish(making, r, NULL);
    } else if (making->pending == 0) {
        finish_making(making);
    } else {
        done->owner_ = making;
        done->cancel_ = cancel;
    }
}

/* ---- the call ---- */

static int check(const struct server_request *request, const asyncio_server_options *options)
{
    bool of_host = options->port != 0 || (options->host != NULL && options->host[0] != '\0');
    int ways = of_host + (options->path != NULL) + (options->socket != NULL);

    if (request->handler == NULL && request->factory == NULL)
        return -EINVAL;
    if (isnan(options->grace) || ways > 1 || options->port > PORT_MAX)
        return -EINVAL;
    return tls_settings_of_server(&(struct tls_settings){ 0 }, options);
}

void server_create(struct asyncio_loop *loop, asyncio_future *done, struct asyncio_server **server,
                   const struct server_request *request, const asyncio_server_options *options)
{
    static const asyncio_server_options defaults = { 0 };
    struct server_request wanted = *request;

    if (options == NULL)
        options = &defaults;
    future_begin(done, loop, NULL, NULL);
    int r = loop_check(loop);
    if (r == 0)
        r = check(request, options);
    if (r == 0 && options->host != NULL && options->host[0] != '\0') {
        create_of_hosts(loop, done, server, request, options);
        return;
    }
    if (r == 0)
        r = make_at_once(loop, server, &wanted, options);
    future_finish(done, r, NULL);
}
