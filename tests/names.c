/* names.c - the resolver of tests: answers by table, held back in threads or by a virtual clock. */
#include "names.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/job.h"
#include "ground/address.h"
#include "ground/fault.h"
#include "ground/memory.h"
#include "harness.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static const struct fake_name *fakes;
static int asked, held, inside;
static bool holding;

void names_set(const struct fake_name *table)
{
    pthread_mutex_lock(&lock);
    fakes = table;
    pthread_mutex_unlock(&lock);
}

int names_asked(void)
{
    pthread_mutex_lock(&lock);
    int count = asked;
    pthread_mutex_unlock(&lock);
    return count;
}

void names_hold(void)
{
    pthread_mutex_lock(&lock);
    holding = true;
    pthread_mutex_unlock(&lock);
}

void names_release(void)
{
    pthread_mutex_lock(&lock);
    holding = false;
    pthread_cond_broadcast(&changed);
    while (inside > 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

int names_held(void)
{
    pthread_mutex_lock(&lock);
    int count = held;
    pthread_mutex_unlock(&lock);
    return count;
}

bool names_wait_for_held(int count)
{
    struct timespec limit;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += test_is_torture() ? 1 : 60;
    pthread_mutex_lock(&lock);
    while (held < count && pthread_cond_timedwait(&changed, &lock, &limit) == 0)
        continue;
    bool there = held >= count;
    pthread_mutex_unlock(&lock);
    return there;
}

/* ---- instead of the C library ---- */

static const struct fake_name *ask_for(const char *host)
{
    pthread_mutex_lock(&lock);
    const struct fake_name *fake = fakes;
    asked++;
    held++;
    inside++;
    pthread_cond_broadcast(&changed);
    while (holding)
        pthread_cond_wait(&changed, &lock);
    held--;
    pthread_mutex_unlock(&lock);
    while (fake != NULL && fake->host != NULL && (host == NULL || strcmp(fake->host, host) != 0))
        fake++;
    return fake != NULL && fake->host != NULL ? fake : NULL;
}

/* Those of the family that is wanted; `list` is written over. */
static int parse_list(asyncio_address *addresses, char *list, unsigned port, int family)
{
    char *rest = list, *word;
    int count = 0;

    while ((word = strtok_r(rest, " ", &rest)) != NULL) {
        if (asyncio_address_init(&addresses[count], word, port) == 0 &&
            (family == AF_UNSPEC || family == address_family(&addresses[count])))
            count++;
    }
    return count > 0 ? count : ASYNCIO_EAI_NONAME;
}

static int answer(asyncio_address **addresses, const struct fake_name *fake, const char *service,
                  int family)
{
    if (fake->addresses == NULL)
        return fake->error;
    char *list = memory_copy_string(fake->addresses);
    asyncio_address *block = memory_zeroed((strlen(fake->addresses) / 2 + 1) * sizeof *block);
    unsigned port = service != NULL ? (unsigned)strtoul(service, NULL, 10) : 0;
    if (fake->port > 0)
        port = fake->port;
    int r = list != NULL && block != NULL ? parse_list(block, list, port, family) : -ENOMEM;

    memory_free(list);
    if (r < 0)
        memory_free(block);
    else
        *addresses = block;
    return r;
}

int __real_sys_getaddrinfo(asyncio_address **addresses, const char *host, const char *service,
                           const asyncio_getaddrinfo_options *options);
int __wrap_sys_getaddrinfo(asyncio_address **addresses, const char *host, const char *service,
                           const asyncio_getaddrinfo_options *options);

static int look_up(asyncio_address **addresses, const char *host, const char *service,
                   const asyncio_getaddrinfo_options *options)
{
    const struct fake_name *fake = ask_for(host);

    if (fake == NULL)
        return __real_sys_getaddrinfo(addresses, host, service, options);
    if (fault_fails())
        return ASYNCIO_EAI_AGAIN;
    return answer(addresses, fake, service, options->family);
}

int __wrap_sys_getaddrinfo(asyncio_address **addresses, const char *host, const char *service,
                           const asyncio_getaddrinfo_options *options)
{
    int r = look_up(addresses, host, service, options);

    pthread_mutex_lock(&lock);
    inside--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return r;
}

/* ---- by the clock ---- */

struct slow_pool {
    asyncio_executor executor;
    asyncio_loop *loop;
    double delay;
    struct asyncio_link_ jobs;
};

struct slow_job {
    struct asyncio_link_ link;
    asyncio_timer timer;
    struct slow_pool *pool;
    asyncio_job *job;
};

/* Virtual time stands still while there are jobs, because they are in threads; these are not. */
static void forget(struct slow_job *slow)
{
    slow->pool->loop->jobs++;
    list_remove(&slow->pool->jobs, &slow->link);
    memory_free(slow);
}

static int run_slow(void *arg)
{
    struct slow_job *slow = arg;
    asyncio_job *job = slow->job;

    forget(slow);
    asyncio_job_run(job);
    return 0;
}

static int submit_slowly(asyncio_executor *executor, asyncio_job *job)
{
    struct slow_pool *pool = CONTAINER_OF(executor, struct slow_pool, executor);
    struct slow_job *slow = memory_zeroed(sizeof *slow);

    if (slow == NULL)
        return -ENOMEM;
    slow->pool = pool;
    slow->job = job;
    int r = asyncio_loop_call_later(pool->loop, &slow->timer, pool->delay, run_slow, slow);
    if (r < 0) {
        memory_free(slow);
        return r;
    }
    pool->loop->jobs--;
    list_push_back(&pool->jobs, &slow->link);
    return 0;
}

static bool take_back(asyncio_executor *executor, asyncio_job *job)
{
    struct slow_pool *pool = CONTAINER_OF(executor, struct slow_pool, executor);

    for (struct asyncio_link_ *link = pool->jobs.next_; link != NULL; link = link->next_) {
        struct slow_job *slow = CONTAINER_OF(link, struct slow_job, link);

        if (slow->job != job)
            continue;
        asyncio_timer_cancel(&slow->timer);
        forget(slow);
        return true;
    }
    return false;
}

int names_delayed(double delay, asyncio_coro *body, void *arg)
{
    struct slow_pool pool = {
        .executor = { .submit = submit_slowly, .cancel = take_back },
        .loop = asyncio_get_running_loop(),
        .delay = delay,
    };
    struct executors *executors = executors_of(pool.loop);

    if (executors == NULL)
        return -ENOMEM;
    executors->resolver = &pool.executor;
    int r = body(arg);
    executors->resolver = NULL;
    return r;
}
