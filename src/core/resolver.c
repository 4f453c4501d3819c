/* resolver.c - looking names up: the inquiry that a thread makes, and who waits for it.
 *
 * An inquiry has all that its thread reads and writes.  Two have it: the thread, until its function
 * returns or is never to be called, and the lookup, until that is cleared.  The thread's result is
 * the lookup's to read once the job has ended.
 *
 * In a simulated network (ground/sim.h) no thread is needed: the answer is known, and comes later.
 */
#include "core/resolver.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "ground/address.h"
#include "ground/memory.h"
#include "ground/sim.h"
#include "ground/sys.h"

enum { HOST_MAX = 1025, SERVICE_MAX = 32 }; /* NI_MAXHOST, NI_MAXSERV */

struct inquiry {
    atomic_int references;
    asyncio_getaddrinfo_options options; /* of a name */
    const char *host, *service;
    asyncio_address *addresses; /* what was found */
    asyncio_address address;    /* of whom the name is wanted */
    struct lookup *lookup;      /* simulated: whose it is, */
    asyncio_timer timer;        /* ... when it is to be told, */
    int result;                 /* ... and what */
    int flags;
    char text[]; /* host and service, asked for or found */
};

static void unref(struct inquiry *inquiry)
{
    if (atomic_fetch_sub(&inquiry->references, 1) != 1)
        return;
    memory_free(inquiry->addresses);
    memory_free(inquiry);
}

/* The job will not be run. */
static void give_up(void *arg)
{
    unref(arg);
}

static struct inquiry *make_inquiry(size_t text_size)
{
    struct inquiry *made = memory_zeroed(sizeof *made + text_size);

    if (made != NULL)
        atomic_init(&made->references, 1);
    return made;
}

/* ---- in a thread ---- */

/* With no type given each comes three times; and hosts files repeat themselves. */
static int drop_repeated(asyncio_address *addresses, int count)
{
    int kept = 0;

    for (int i = 0; i < count; i++) {
        int other = 0;

        while (other < kept && !address_equal(&addresses[other], &addresses[i]))
            other++;
        if (other == kept)
            addresses[kept++] = addresses[i];
    }
    return kept;
}

static int find_addresses(void *arg)
{
    struct inquiry *inquiry = arg;
    int r =
        sys_getaddrinfo(&inquiry->addresses, inquiry->host, inquiry->service, &inquiry->options);

    if (r > 0)
        r = drop_repeated(inquiry->addresses, r);
    unref(inquiry);
    return r;
}

static int find_name(void *arg)
{
    struct inquiry *inquiry = arg;
    int r = sys_getnameinfo(inquiry->text, HOST_MAX, inquiry->text + HOST_MAX, SERVICE_MAX,
                            &inquiry->address, inquiry->flags);

    unref(inquiry);
    return r;
}

/* ---- a lookup ---- */

static void job_over(void *owner, int result)
{
    struct lookup *lookup = owner;

    lookup->job = NULL;
    lookup->ended(lookup, result);
}

static int answer(void *arg)
{
    struct inquiry *inquiry = arg;

    inquiry->lookup->ended(inquiry->lookup, inquiry->result);
    return 0;
}

/* The function gives its reference back. */
static int begin_simulated(struct lookup *lookup, struct asyncio_loop *loop,
                           struct inquiry *inquiry, asyncio_callback *fn)
{
    atomic_fetch_add(&inquiry->references, 1);
    inquiry->result = fn(inquiry);
    inquiry->lookup = lookup;
    int r = asyncio_loop_call_later(loop, &inquiry->timer, sim_name_delay(), answer, inquiry);
    if (r < 0)
        unref(inquiry);
    else
        lookup->inquiry = inquiry;
    return r;
}

/* Takes the inquiry, also when it fails. */
static int begin(struct lookup *lookup, struct asyncio_loop *loop, struct inquiry *inquiry,
                 asyncio_callback *fn)
{
    asyncio_executor *pool = NULL;
    struct asyncio_job *job;

    if (sim_has_names())
        return begin_simulated(lookup, loop, inquiry, fn);
    int r = executors_resolver(loop, &pool);

    atomic_fetch_add(&inquiry->references, 1);
    if (r == 0)
        r = job_start(&job, loop, pool, (asyncio_call){ fn, inquiry }, JOB_PLAIN);
    if (r < 0) {
        unref(inquiry);
        unref(inquiry);
        return r;
    }
    job->ended = job_over;
    job->owner = lookup;
    job->unused = give_up;
    lookup->job = job;
    lookup->inquiry = inquiry;
    return 0;
}

/* A number as a port: 1; a name: 0.  The C library would cut off what is too large. */
static int parse_service(const char *service, unsigned *port)
{
    *port = 0;
    if (service == NULL)
        return 1;
    if (service[strspn(service, "0123456789")] != '\0')
        return 0;
    for (; *service != '\0' && *port <= PORT_MAX; service++)
        *port = *port * 10 + (unsigned)(*service - '0');
    return *port <= PORT_MAX ? 1 : ASYNCIO_EAI_SERVICE;
}

int lookup_start(struct lookup *lookup, struct asyncio_loop *loop, const char *host,
                 const char *service, const asyncio_getaddrinfo_options *options)
{
    size_t host_size = host != NULL ? strlen(host) + 1 : 0;
    size_t service_size = service != NULL ? strlen(service) + 1 : 0;
    struct inquiry *inquiry = make_inquiry(host_size + service_size);
    if (inquiry == NULL)
        return -ENOMEM;
    if (options != NULL)
        inquiry->options = *options;
    if (host != NULL)
        inquiry->host = memcpy(inquiry->text, host, host_size);
    if (service != NULL)
        inquiry->service = memcpy(inquiry->text + host_size, service, service_size);
    return begin(lookup, loop, inquiry, find_addresses);
}

const asyncio_address *lookup_addresses(const struct lookup *lookup)
{
    return lookup->inquiry->addresses;
}

void lookup_clear(struct lookup *lookup)
{
    if (lookup->job != NULL)
        job_abandon(lookup->job);
    if (lookup->inquiry != NULL) {
        asyncio_timer_cancel(&lookup->inquiry->timer);
        unref(lookup->inquiry);
    }
    *lookup = (struct lookup){ NULL, NULL, NULL };
}

/* ---- numbers ---- */

static bool hints_fit(const asyncio_getaddrinfo_options *options)
{
    int type = options->type, protocol = options->protocol;
    bool family =
        options->family == AF_UNSPEC || options->family == AF_INET || options->family == AF_INET6;

    return family && (type != SOCK_STREAM || protocol != IPPROTO_UDP) &&
           (type != SOCK_DGRAM || protocol != IPPROTO_TCP);
}

/* As an IPv6 socket names an IPv4 host, which it is. */
static void map_to_in6(asyncio_address *address, const char *host, unsigned port)
{
    char mapped[64];

    (void)snprintf(mapped, sizeof mapped, "::ffff:%s", host);
    asyncio_ignore(asyncio_address_init(address, mapped, port));
}

int resolver_numeric(asyncio_address *address, const char *host, const char *service,
                     const asyncio_getaddrinfo_options *options)
{
    static const asyncio_getaddrinfo_options none = { 0 };
    asyncio_address found;
    unsigned port;
    int r = parse_service(service, &port);

    if (options == NULL)
        options = &none;
    if (r <= 0 || host == NULL)
        return r < 0 ? r : 0;
    r = asyncio_address_init(&found, host, port);
    if (r < 0)
        return r == -EINVAL ? 0 : r;
    if (!hints_fit(options))
        return ASYNCIO_EAI_BADHINTS;
    int family = address_family(&found);
    if (options->family == AF_INET6 && family == AF_INET && (options->flags & AI_V4MAPPED) != 0) {
        map_to_in6(&found, host, port);
        family = AF_INET6;
    }
    if (options->family != AF_UNSPEC && options->family != family)
        return ASYNCIO_EAI_NONAME;
    *address = found;
    return 1;
}

/* ---- with a future ---- */

struct request {
    struct lookup lookup;
    asyncio_future *done;
    asyncio_address *addresses;
    size_t capacity;
    char *host, *service;
    size_t host_size, service_size;
};

static void end_request(struct request *request, int result, const char *reason)
{
    asyncio_future *done = request->done;

    lookup_clear(&request->lookup);
    memory_free(request);
    future_finish(done, result, reason);
}

static bool cancel_request(asyncio_future *done, const char *reason)
{
    end_request(done->owner_, -ECANCELED, reason);
    return true;
}

static struct request *make_request(asyncio_future *done, lookup_ended *ended)
{
    struct request *made = memory_zeroed(sizeof *made);

    if (made == NULL)
        return NULL;
    made->lookup.ended = ended;
    made->done = done;
    return made;
}

static void begun(struct request *request, int r)
{
    if (r < 0)
        end_request(request, r, NULL);
    else
        request->done->owner_ = request;
}

static void addresses_found(struct lookup *lookup, int result)
{
    struct request *request = CONTAINER_OF(lookup, struct request, lookup);
    size_t count = result > 0 ? (size_t)result : 0;

    if (count > request->capacity)
        count = request->capacity;
    if (count > 0)
        memcpy(request->addresses, lookup_addresses(lookup), count * sizeof *request->addresses);
    end_request(request, result, NULL);
}

void asyncio_loop_getaddrinfo(asyncio_loop *loop, asyncio_future *done, asyncio_address *addresses,
                              size_t capacity, const char *host, const char *service,
                              const asyncio_getaddrinfo_options *options)
{
    asyncio_address address;
    int r = loop_check(loop);

    future_begin(done, loop, cancel_request, NULL);
    if (r == 0)
        r = resolver_numeric(&address, host, service, options);
    if (r > 0 && capacity > 0)
        addresses[0] = address;
    struct request *request = r == 0 ? make_request(done, addresses_found) : NULL;
    if (request == NULL) {
        future_finish(done, r == 0 ? -ENOMEM : r, NULL);
        return;
    }
    request->addresses = addresses;
    request->capacity = capacity;
    begun(request, lookup_start(&request->lookup, loop, host, service, options));
}

/* ---- the reverse ---- */

static bool fits(const char *text, size_t size)
{
    return size == 0 || strlen(text) < size;
}

static void name_found(struct lookup *lookup, int result)
{
    struct request *request = CONTAINER_OF(lookup, struct request, lookup);
    const char *host = lookup->inquiry->text, *service = host + HOST_MAX;

    if (result == 0 && !(fits(host, request->host_size) && fits(service, request->service_size)))
        result = ASYNCIO_ELIMIT;
    if (result == 0 && request->host_size > 0)
        memcpy(request->host, host, strlen(host) + 1);
    if (result == 0 && request->service_size > 0)
        memcpy(request->service, service, strlen(service) + 1);
    end_request(request, result, NULL);
}

static int ask_for_name(struct request *request, struct asyncio_loop *loop,
                        const asyncio_address *address, int flags)
{
    struct inquiry *inquiry = make_inquiry(HOST_MAX + SERVICE_MAX);

    if (inquiry == NULL)
        return -ENOMEM;
    inquiry->address = *address;
    inquiry->flags = flags;
    return begin(&request->lookup, loop, inquiry, find_name);
}

static bool wants_numbers(size_t host_size, size_t service_size, int flags)
{
    return (host_size == 0 || (flags & NI_NUMERICHOST) != 0) &&
           (service_size == 0 || (flags & NI_NUMERICSERV) != 0);
}

void resolver_getnameinfo(struct asyncio_loop *loop, asyncio_future *done, char *host,
                          size_t host_size, char *service, size_t service_size,
                          const asyncio_address *address, int flags)
{
    future_begin(done, loop, cancel_request, NULL);
    if (wants_numbers(host_size, service_size, flags)) {
        future_finish(done, sys_getnameinfo(host, host_size, service, service_size, address, flags),
                      NULL);
        return;
    }
    struct request *request = make_request(done, name_found);
    if (request == NULL) {
        future_finish(done, -ENOMEM, NULL);
        return;
    }
    request->host = host;
    request->host_size = host_size;
    request->service = service;
    request->service_size = service_size;
    begun(request, ask_for_name(request, loop, address, flags));
}
