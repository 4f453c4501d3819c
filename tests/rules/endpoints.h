/* endpoints.h - what the tests of datagrams share: pairs of endpoints of each kind, and places. */
#ifndef ASYNCIO_TESTS_RULES_ENDPOINTS_H
#define ASYNCIO_TESTS_RULES_ENDPOINTS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "beside.h"
#include "ground/sys.h"
#include "harness.h"

/* ---- a directory for the time of a test ---- */

static char place[64]; /* "" until place_make() */

static inline void place_make(void)
{
    snprintf(place, sizeof place, "/tmp/asyncio-test-XXXXXX");
    if (mkdtemp(place) == NULL)
        abort();
}

/* It must be empty by then. */
static inline void place_remove(void)
{
    if (rmdir(place) < 0 && !test_is_torture())
        FAIL("something is left in %s", place);
}

/* A path in it; good until the next but three. */
static inline const char *path_to(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", place, name);
    return path;
}

/* ---- pairs ---- */

struct ends {
    asyncio_endpoint *a, *b; /* b is bound; NULL once the test has freed it */
    asyncio_address of_a, of_b;
};

typedef int make_ends(struct ends *ends);

static inline int find_names(struct ends *ends, int r)
{
    if (r == 0)
        r = asyncio_endpoint_get_sockname(ends->a, &ends->of_a);
    if (r == 0)
        r = asyncio_endpoint_get_sockname(ends->b, &ends->of_b);
    return r;
}

static inline int open_ends(struct ends *ends, const asyncio_endpoint_options *of_a,
                            const asyncio_endpoint_options *of_b)
{
    int r = asyncio_open_datagram_endpoint(&ends->a, of_a);

    if (r == 0) {
        r = asyncio_open_datagram_endpoint(&ends->b, of_b);
        if (r == 0)
            r = find_names(ends, r);
        else
            ends->b = NULL;
    } else {
        ends->a = ends->b = NULL;
    }
    return r;
}

static inline int ipv4_ends(struct ends *ends)
{
    asyncio_endpoint_options options = { .local_host = "127.0.0.1" };

    return open_ends(ends, &options, &options);
}

static inline int ipv6_ends(struct ends *ends)
{
    asyncio_endpoint_options options = { .local_host = "::1" };

    return open_ends(ends, &options, &options);
}

static inline int unix_ends(struct ends *ends)
{
    return open_ends(ends, &(asyncio_endpoint_options){ .local_path = path_to("a") },
                     &(asyncio_endpoint_options){ .local_path = path_to("b") });
}

struct ends_case {
    make_ends *make;
    int (*body)(struct ends *ends);
};

static inline int run_ends_case(void *arg)
{
    const struct ends_case *one = arg;
    struct ends ends = { NULL, NULL, { 0 }, { 0 } };
    int r = one->make(&ends);

    if (r == 0)
        r = one->body(&ends);
    asyncio_endpoint_free(ends.a);
    asyncio_endpoint_free(ends.b);
    return r;
}

/* One test for each kind of socket. */
#define ENDS_TEST(name)                                                                            \
    static int name(struct ends *ends);                                                            \
    TEST(name##_ipv4)                                                                              \
    {                                                                                              \
        RUN(run_ends_case, &((struct ends_case){ ipv4_ends, name }));                              \
    }                                                                                              \
    TEST(name##_ipv6)                                                                              \
    {                                                                                              \
        RUN(run_ends_case, &((struct ends_case){ ipv6_ends, name }));                              \
    }                                                                                              \
    TEST(name##_unix)                                                                              \
    {                                                                                              \
        place_make();                                                                              \
        RUN(run_ends_case, &((struct ends_case){ unix_ends, name }));                              \
        place_remove();                                                                            \
    }                                                                                              \
    static int name(struct ends *ends)

#define UNIX_TEST(name)                                                                            \
    static int name(struct ends *ends);                                                            \
    TEST(name)                                                                                     \
    {                                                                                              \
        place_make();                                                                              \
        RUN(run_ends_case, &((struct ends_case){ unix_ends, name }));                              \
        place_remove();                                                                            \
    }                                                                                              \
    static int name(struct ends *ends)

#define IPV4_TEST(name)                                                                            \
    static int name(struct ends *ends);                                                            \
    TEST(name)                                                                                     \
    {                                                                                              \
        RUN(run_ends_case, &((struct ends_case){ ipv4_ends, name }));                              \
    }                                                                                              \
    static int name(struct ends *ends)

/* ---- what the tests do with them ---- */

static inline int send_text(asyncio_endpoint *endpoint, const char *text, const asyncio_address *to)
{
    TRY(asyncio_endpoint_sendto(endpoint, text, strlen(text), to));
    return 0;
}

static inline bool same_address(const asyncio_address *a, const asyncio_address *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* `from`, unless NULL, is who must have sent it. */
static inline int expect_text(asyncio_endpoint *endpoint, const char *text,
                              const asyncio_address *from)
{
    char data[256] = "";
    asyncio_address sender;
    int r = asyncio_endpoint_recvfrom(endpoint, data, sizeof data - 1, &sender);

    if (r >= 0) {
        CHECK_INT(r, strlen(text));
        CHECK_STR(data, text);
        if (from != NULL)
            CHECK(same_address(&sender, from));
    }
    TRY(r);
    return 0;
}

/* A receive in a task of its own. */
struct receive {
    asyncio_endpoint *endpoint;
    char data[64];
    int result;
};

static inline int receives(void *arg)
{
    struct receive *receive = arg;

    receive->result =
        asyncio_endpoint_recvfrom(receive->endpoint, receive->data, sizeof receive->data - 1, NULL);
    return receive->result < 0 ? receive->result : 0;
}

#endif
