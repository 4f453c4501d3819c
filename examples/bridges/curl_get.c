/* curl_get.c - fetches many pages at once with libcurl, each by a task that awaits it.
 *
 *     curl_get URL...
 *
 * Ctrl-C, or ten seconds for all of them together, gives up those that have not come.
 */
#include <stdio.h>

#include "curl.h"

struct page {
    struct curl_bridge *bridge;
    const char *url;
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
    CURLcode code = CURLE_OK;
    long status = 0;

    if (easy == NULL)
        return -ENOMEM;
    curl_easy_setopt(easy, CURLOPT_URL, page->url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, count);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, page);
    int r = curl_bridge_perform(page->bridge, easy, &code);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (r == 0)
        printf("%s: status %ld, %zu bytes\n", page->url, status, page->size);
    else
        printf("%s: %s\n", page->url, r == -EIO ? curl_easy_strerror(code) : asyncio_strerror(r));
    curl_easy_cleanup(easy);
    return r == -EIO ? 0 : r; /* the others go on */
}

struct arguments {
    int count;
    char **urls;
};

static int fetch_all(void *arg)
{
    struct arguments *arguments = arg;
    struct curl_bridge *bridge;
    asyncio_task_group group;
    asyncio_timeout timeout;

    int r = curl_bridge_new(&bridge);
    if (r < 0)
        return r;
    asyncio_timeout_enter(&timeout, 10);
    asyncio_task_group_enter(&group);
    for (int i = 0; i < arguments->count; i++)
        asyncio_task_group_spawn_copy(
            &group, fetch, &(struct page){ .bridge = bridge, .url = arguments->urls[i] });
    r = asyncio_task_group_exit(&group, 0);
    r = asyncio_timeout_exit(&timeout, r);
    curl_bridge_free(bridge);
    return r;
}

int main(int argc, char **argv)
{
    struct arguments arguments = { argc - 1, argv + 1 };

    curl_global_init(CURL_GLOBAL_DEFAULT);
    int r = asyncio_run(fetch_all, &arguments);
    curl_global_cleanup();
    if (r < 0)
        fprintf(stderr, "curl_get: %s\n", asyncio_strerror(r));
    return r < 0;
}
