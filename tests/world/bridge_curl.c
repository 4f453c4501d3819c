/* bridge_curl.c - libcurl's transfers awaited, against a real HTTP server. */
#include <stdio.h>

#include "curl.h"
#include "world.h"

enum { AT_ONCE = 40, BIG = 1 << 20 };

struct page {
    struct curl_bridge *bridge;
    const char *path;
    CURL *easy; /* only where it is used again */
    CURLcode code;
    long status;
    size_t size;
};

static size_t count(char *data, size_t size, size_t n, void *arg)
{
    struct page *page = arg;

    (void)data;
    page->size += size * n;
    return size * n;
}

static int fetch(void *arg)
{
    struct page *page = arg;
    CURL *easy = curl_easy_init();
    char url[100];

    if (easy == NULL)
        return -ENOMEM;
    snprintf(url, sizeof url, "%s%s", world_server("HTTP_URL"), page->path);
    page->size = 0;
    curl_easy_setopt(easy, CURLOPT_URL, page->path[0] == '/' ? url : page->path);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, count);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, page);
    int r = curl_bridge_perform(page->bridge, easy, &page->code);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &page->status);
    curl_easy_cleanup(easy);
    return r;
}

/* Calls it with a bridge, which is gone afterwards. */
static int with_bridge(int (*body)(struct curl_bridge *bridge))
{
    struct curl_bridge *bridge;

    TRY(curl_bridge_new(&bridge));
    int r = body(bridge);
    curl_bridge_free(bridge);
    return r;
}

static int two_pages(struct curl_bridge *bridge)
{
    struct page hello = { .bridge = bridge, .path = "/hello" };
    struct page missing = { .bridge = bridge, .path = "/nowhere" };

    TRY(fetch(&hello));
    CHECK_INT(hello.status, 200);
    CHECK_INT(hello.size, 6);
    TRY(fetch(&missing));
    CHECK_INT(missing.status, 404);
    return 0;
}

static int gets_pages(void *arg)
{
    (void)arg;
    return with_bridge(two_pages);
}

TEST(curl_pages_are_awaited)
{
    run_world(gets_pages, NULL);
}

static int many_pages(struct curl_bridge *bridge)
{
    struct page pages[AT_ONCE];
    asyncio_task_group group;
    size_t size = 0;

    asyncio_task_group_enter(&group);
    for (int i = 0; i < AT_ONCE; i++) {
        pages[i] = (struct page){ .bridge = bridge, .path = i % 2 == 0 ? "/hello" : "/big" };
        asyncio_task_group_spawn(&group, fetch, &pages[i]);
    }
    TRY(asyncio_task_group_exit(&group, 0));
    for (int i = 0; i < AT_ONCE; i++)
        size += pages[i].size;
    CHECK_INT(size, AT_ONCE / 2 * (6 + BIG));
    return 0;
}

static int gets_many(void *arg)
{
    (void)arg;
    return with_bridge(many_pages);
}

TEST(curl_many_at_once)
{
    run_world(gets_many, NULL);
}

static int refused_page(struct curl_bridge *bridge)
{
    struct page page = { .bridge = bridge, .path = "http://127.0.0.1:1/" };
    int r = fetch(&page);

    if (!test_is_torture()) {
        CHECK_INT(r, -EIO);
        CHECK_INT(page.code, CURLE_COULDNT_CONNECT);
    }
    return r == -EIO ? 0 : r;
}

static int is_refused(void *arg)
{
    (void)arg;
    return with_bridge(refused_page);
}

TEST(curl_says_why_it_failed)
{
    run_world(is_refused, NULL);
}

/* The slow page is given up; the bridge, and other transfers, do not mind. */
static int slow_page(struct curl_bridge *bridge)
{
    struct page slow = { .bridge = bridge, .path = "/slow" };
    struct page hello = { .bridge = bridge, .path = "/hello" };
    int r = asyncio_wait_for(fetch, &slow, 0.05);

    if (r != -ETIMEDOUT)
        return r;
    TRY(fetch(&hello));
    CHECK_INT(hello.size, 6);
    return 0;
}

static int gives_up(void *arg)
{
    (void)arg;
    return with_bridge(slow_page);
}

TEST(curl_transfers_are_cancelled)
{
    run_world(gives_up, NULL);
}

static int perform(void *arg)
{
    struct page *page = arg;

    return curl_bridge_perform(page->bridge, page->easy, &page->code);
}

static int use_again(struct page *page, CURL *easy)
{
    char url[100];

    snprintf(url, sizeof url, "%s/slow", world_server("HTTP_URL"));
    page->easy = easy;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    int r = asyncio_wait_for(perform, page, 0.05);
    if (r != -ETIMEDOUT)
        return r;
    snprintf(url, sizeof url, "%s/hello", world_server("HTTP_URL"));
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, count);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, page);
    TRY(perform(page));
    TRY(perform(page));
    CHECK_INT(page->size, 12);
    return 0;
}

/* A handle that was given up, or has done its work, is its owner's as before. */
static int one_handle(struct curl_bridge *bridge)
{
    struct page page = { .bridge = bridge };
    CURL *easy = curl_easy_init();
    int r = easy != NULL ? use_again(&page, easy) : -ENOMEM;

    curl_easy_cleanup(easy);
    return r;
}

static int uses_again(void *arg)
{
    (void)arg;
    return with_bridge(one_handle);
}

TEST(curl_handles_are_used_again)
{
    run_world(uses_again, NULL);
}

/* A group whose first failure cancels the others, in all stages of their transfers. */
static int one_fails(struct curl_bridge *bridge)
{
    struct page pages[AT_ONCE];
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    for (int i = 0; i < AT_ONCE; i++) {
        pages[i] = (struct page){ .bridge = bridge, .path = i % 2 == 0 ? "/slow" : "/big" };
        asyncio_task_group_spawn(&group, fetch, &pages[i]);
    }
    int r = asyncio_sleep(0.02);
    r = asyncio_task_group_exit(&group, r < 0 ? r : -EPROTO);
    return r == -EPROTO ? 0 : r;
}

static int gives_all_up(void *arg)
{
    (void)arg;
    return with_bridge(one_fails);
}

TEST(curl_all_are_cancelled)
{
    run_world(gives_all_up, NULL);
}
