/* uring_thread.c - threads that end while a loop's requests are theirs.
 *
 * After a single turn of a loop the kernel keeps its requests for the thread that made it.  Nobody
 * else may ask for them, and the kernel does not end them with the thread.  So the thread takes
 * them back as its last act, by a destructor, and the loop can go on elsewhere.
 */
#include "loop/uring.h"

#if defined(ASYNCIO_URING)

#include <pthread.h>

#include "ground/sys.h"

static pthread_key_t key;
static bool key_made;

uint64_t uring_this_thread(void)
{
    static atomic_uint_fast64_t last;
    static _Thread_local uint64_t mine;

    if (mine == 0)
        mine = atomic_fetch_add(&last, 1) + 1;
    return mine;
}

/* A fork's child has the thread, with this list, and nothing of the rings. */
static void thread_ends(void *first)
{
    struct uring *next;

    for (struct uring *uring = first; uring != NULL; uring = next) {
        next = uring->next_of_thread;
        if (uring->loop->process != sys_process_id())
            continue;
        uring->kept = false;
        uring_take_back(uring->loop);
    }
}

static void make_key(void)
{
    key_made = pthread_key_create(&key, thread_ends) == 0;
}

void uring_keep_with_thread(struct uring *uring)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_key);
    if (uring->kept || !key_made)
        return;
    uring->next_of_thread = pthread_getspecific(key);
    uring->kept = pthread_setspecific(key, uring) == 0;
}

/* It is kept, so it is in the list. */
void uring_take_from_thread(struct uring *uring)
{
    struct uring *first = pthread_getspecific(key), **place = &first;

    uring->kept = false;
    while (*place != uring)
        place = &(*place)->next_of_thread;
    *place = uring->next_of_thread;
    (void)pthread_setspecific(key, first); /* there is room: it was set before */
}

#endif
