/* shim.h - comes before everything in the library's files that threads meet in (loop.c, remote.c,
 * threadpool.c and others), compiled once more for the models: what one thread can see of another
 * is a place where another may go on.  threads.h has the functions.
 */
#ifndef ASYNCIO_TESTS_MODEL_SHIM_H
#define ASYNCIO_TESTS_MODEL_SHIM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ground/sys.h"

void model_step(void);
void model_store(atomic_int *place, bool value);
int model_lock(pthread_mutex_t *mutex);
int model_unlock(pthread_mutex_t *mutex);
int model_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int model_broadcast(pthread_cond_t *condition);
int model_wake_one(pthread_cond_t *condition);
int model_start(pthread_t *thread, void *(*fn)(void *arg), void *arg, const char *name);
int model_join(pthread_t thread, void **result);
int model_detach(pthread_t thread);
pthread_t model_self(void);
void model_signal(int fd);
void model_clear(int fd);
int64_t model_now(void);

#define MODEL_ORDER memory_order_seq_cst
#undef atomic_load
#undef atomic_store
#undef atomic_exchange
#define atomic_load(place)            (model_step(), atomic_load_explicit((place), MODEL_ORDER))
#define atomic_store(place, value)    model_store((place), (value))
#define atomic_exchange(place, value) (model_step(), model_exchange((place), (value)))
bool model_exchange(atomic_int *place, bool value);

#define __atomic_load_n(place, order) (model_step(), __atomic_load_n((place), (order)))
#define __atomic_store_n(place, value, order)                                                      \
    (model_step(), __atomic_store_n((place), (value), (order)))

#define pthread_mutex_lock     model_lock
#define pthread_mutex_unlock   model_unlock
#define pthread_cond_wait      model_wait
#define pthread_cond_broadcast model_broadcast
#define pthread_cond_signal    model_wake_one
#define pthread_join           model_join
#define pthread_detach         model_detach
#define pthread_self           model_self
#define sys_thread_start       model_start
#undef pthread_equal
#define pthread_equal(a, b) ((a) == (b))
#define sys_event_signal    model_signal
#define sys_event_clear     model_clear
#define sys_now_ns          model_now

#endif
