/* stack.c - slabs of stacks, and who may have their memory.
 *
 * A place is room for one stack and its guard; where it is and what it is doing is kept outside of
 * it, so that pages of a stack that is not used are never touched.  A place is
 *
 *     unmade   beyond slab->made: it never was used, has no guard, and its struct is not filled in
 *     live     in nobody's list: between stack_get() and stack_put()
 *     warm     in class->warm: idle, its memory kept; the front is the last one given back
 *     cold     in slab->cold: idle, its memory given back, its guard kept
 *
 * stack_get() takes the front of warm, else a cold one, else makes one.  Trimming moves places from
 * the back of warm to cold, and releases a slab when all that was made in it is cold.  Slabs that
 * have cold or unmade places are in class->roomy, the others in class->full.
 *
 * How many places a class may keep is its high-water mark: `keep` is raised to the most that were
 * live in a period, and falls by a quarter each period in which that is less.  Hence a burst that
 * comes back each second finds its stacks warm, and one that does not is forgotten in some seconds.
 */
#include "ground/stack.h"

#include <assert.h>
#include <errno.h>

#include "ground/list.h"
#include "ground/memory.h"
#include "ground/sys.h"

enum {
    SLAB_PLACES = 64,
    KEPT_ALWAYS = 8,  /* idle stacks, in each class */
    TRIM_SHARE = 128, /* places in one call; about 0.2 ms */
    KEEP_FALL = 4,    /* by a quarter */
};
static const size_t SLAB_SIZE_MAX = (size_t)64 << 20;
static const int64_t PERIOD_NS = NS_PER_S;

struct stack_place {
    struct stack_place *colder, *warmer; /* in warm; `colder` in cold, too */
    struct stack_slab *slab;
    char *low; /* above the guard */
};

struct stack_slab {
    struct asyncio_link_ link; /* in roomy or full */
    struct stack_class *class;
    char *pages;
    struct stack_place *cold;
    size_t cold_count;
    size_t made, count; /* of the places */
    struct stack_place places[];
};

struct stack_class {
    struct stack_class *next;
    size_t asked;                          /* the size that it was last found by */
    size_t size;                           /* of its stacks, without the guard */
    struct stack_place *warmest, *coldest; /* coldest: only if there is a warmest */
    struct asyncio_link_ roomy, full;
    size_t live, held; /* held: live or warm */
    size_t keep, peak; /* peak: the most live since `since_ns` */
    int64_t since_ns;
};

/* ---- slabs ---- */

static size_t place_size(const struct stack_class *class)
{
    return class->size + sys_page_size();
}

static struct stack_slab *slab_new(struct stack_class *class)
{
    size_t count = SLAB_PLACES;

    while (count > 1 && count > SLAB_SIZE_MAX / place_size(class))
        count /= 2;
    struct stack_slab *slab = memory_get(sizeof *slab + count * sizeof slab->places[0]);
    if (slab == NULL)
        return NULL;
    *slab = (struct stack_slab){ .class = class, .count = count };
    slab->pages = sys_pages_reserve(count * place_size(class));
    if (slab->pages == NULL) {
        memory_free(slab);
        return NULL;
    }
    list_push_front(&class->roomy, &slab->link);
    return slab;
}

static void slab_free(struct stack_slab *slab)
{
    sys_pages_release(slab->pages, slab->count * place_size(slab->class));
    memory_free(slab);
}

static bool slab_is_full(const struct stack_slab *slab)
{
    return slab->made == slab->count && slab->cold_count == 0;
}

static void slab_free_if_unused(struct stack_slab *slab)
{
    if (slab->cold_count < slab->made)
        return;
    list_remove(&slab->class->roomy, &slab->link);
    slab_free(slab);
}

/* The guard is made with the first use of a place, so that a program of few tasks pays for few. */
static int place_make(struct stack_slab *slab, struct stack_place **place)
{
    size_t guard_size = sys_page_size();
    char *guard = slab->pages + slab->made * place_size(slab->class);
    int r = sys_pages_guard(guard, guard_size);

    if (r < 0)
        return r;
    *place = &slab->places[slab->made++];
    **place = (struct stack_place){ .slab = slab, .low = guard + guard_size };
    return 0;
}

/* ---- places ---- */

/* Who takes one does not tell the next that it is the warmest now: `warmer` of the warmest is not
 * looked at, and writing it would cost as much as all the rest. */
static struct stack_place *warm_pop(struct stack_class *class)
{
    struct stack_place *place = class->warmest;

    class->warmest = place->colder;
    return place;
}

static void warm_push(struct stack_class *class, struct stack_place *place)
{
    if (class->warmest != NULL)
        class->warmest->warmer = place;
    else
        class->coldest = place;
    place->colder = class->warmest;
    class->warmest = place;
}

/* There are more: trimming leaves KEPT_ALWAYS of them. */
static struct stack_place *warm_pop_coldest(struct stack_class *class)
{
    struct stack_place *place = class->coldest;

    class->coldest = place->warmer;
    class->coldest->colder = NULL;
    return place;
}

/* A place whose memory is not there. */
static int place_get_cold(struct stack_class *class, struct stack_place **place)
{
    struct stack_slab *slab = list_empty(&class->roomy)
                                  ? slab_new(class)
                                  : CONTAINER_OF(class->roomy.next_, struct stack_slab, link);

    if (slab == NULL)
        return -ENOMEM;
    if (slab->cold != NULL) {
        *place = slab->cold;
        slab->cold = (*place)->colder;
        slab->cold_count--;
    } else {
        int r = place_make(slab, place);
        if (r < 0) {
            slab_free_if_unused(slab);
            return r;
        }
    }
    if (slab_is_full(slab)) {
        list_remove(&class->roomy, &slab->link);
        list_push_front(&class->full, &slab->link);
    }
    return 0;
}

/* From warm to cold. */
static void place_cool(struct stack_class *class, struct stack_place *place)
{
    struct stack_slab *slab = place->slab;

    sys_pages_discard(place->low, class->size);
    if (slab_is_full(slab)) {
        list_remove(&class->full, &slab->link);
        list_push_front(&class->roomy, &slab->link);
    }
    place->colder = slab->cold;
    slab->cold = place;
    slab->cold_count++;
    slab_free_if_unused(slab);
}

/* ---- size classes ---- */

/* Steps of an eighth to a quarter of the size, so that many sizes make few classes; 0: too much. */
static size_t class_size(size_t size)
{
    size_t step = sys_page_size();

    if (size == 0)
        size = STACK_SIZE_DEFAULT;
    if (size < STACK_SIZE_MIN)
        size = STACK_SIZE_MIN;
    if (size > PTRDIFF_MAX / 4)
        return 0;
    while (step * 8 <= size)
        step *= 2;
    return (size + step - 1) / step * step;
}

static struct stack_class *class_new(struct stack_pool *pool, size_t size)
{
    struct stack_class *class = memory_zeroed(sizeof *class);

    if (class == NULL)
        return NULL;
    class->size = size;
    class->next = pool->classes;
    pool->classes = class;
    return class;
}

static struct stack_class *class_find_or_new(struct stack_pool *pool, size_t asked)
{
    size_t size = class_size(asked);
    struct stack_class *class = pool->classes;

    if (size == 0)
        return NULL;
    while (class != NULL && class->size != size)
        class = class->next;
    if (class == NULL)
        class = class_new(pool, size);
    if (class != NULL)
        class->asked = asked;
    return class;
}

/* ---- the pool ---- */

static void take(struct stack_pool *pool, struct stack_place *place, struct stack *stack)
{
    struct stack_class *class = place->slab->class;

    pool->live++;
    if (++class->live > class->peak)
        class->peak = class->live;
    *stack = (struct stack){ .low = place->low, .top = place->low + class->size, .place = place };
}

__attribute__((noinline)) static int get_unusual(struct stack_pool *pool, struct stack *stack,
                                                 size_t size)
{
    struct stack_class *class = class_find_or_new(pool, size);
    struct stack_place *place;

    if (class == NULL)
        return -ENOMEM;
    if (class->warmest != NULL) {
        place = warm_pop(class);
    } else {
        int r = place_get_cold(class, &place);
        if (r < 0)
            return r;
        class->held++;
        pool->held++;
    }
    take(pool, place, stack);
    return 0;
}

/* Only the usual case, so that it needs no registers saved. */
int stack_get(struct stack_pool *pool, struct stack *stack, size_t size)
{
    struct stack_class *class = pool->classes;

    while (class != NULL && class->asked != size)
        class = class->next;
    if (class == NULL || class->warmest == NULL)
        return get_unusual(pool, stack, size);
    take(pool, warm_pop(class), stack);
    return 0;
}

void stack_put(struct stack_pool *pool, const struct stack *stack)
{
    struct stack_class *class = stack->place->slab->class;

    warm_push(class, stack->place);
    class->live--;
    pool->live--;
}

static void class_age(struct stack_class *class, int64_t now_ns)
{
    /* At most one period, however long the last call is past: it may be that nothing was to be
     * trimmed, and the burst that calls for it is of just now. */
    if (now_ns - class->since_ns < PERIOD_NS)
        return;
    class->since_ns = now_ns;
    class->keep -= (class->keep + KEEP_FALL - 1) / KEEP_FALL;
    if (class->keep < class->peak)
        class->keep = class->peak;
    class->peak = class->live;
}

/* How many of the warm places are too many; `falling`: more will be when a period is over. */
static size_t class_excess(const struct stack_class *class, bool *falling)
{
    size_t least = class->live + KEPT_ALWAYS;
    size_t keep = class->keep > class->peak ? class->keep : class->peak;

    *falling = class->held > least;
    if (keep < least)
        keep = least;
    return class->held > keep ? class->held - keep : 0;
}

bool stack_pool_trim_at(struct stack_pool *pool, int64_t now_ns)
{
    size_t share = TRIM_SHARE;
    bool more = false;

    for (struct stack_class *class = pool->classes; class != NULL; class = class->next) {
        bool falling;

        class_age(class, now_ns);
        size_t excess = class_excess(class, &falling);
        for (; excess > 0 && share > 0; excess--, share--) {
            place_cool(class, warm_pop_coldest(class));
            class->held--;
            pool->held--;
        }
        more |= falling;
    }
    return more;
}

bool stack_pool_trim(struct stack_pool *pool)
{
    /* Reading the clock costs as much as all the rest. */
    if (pool->held - pool->live <= KEPT_ALWAYS)
        return false;
    return stack_pool_trim_at(pool, sys_now_ns());
}

static void slabs_free(struct asyncio_link_ *slabs)
{
    struct asyncio_link_ *link;

    while ((link = list_pop_front(slabs)) != NULL)
        slab_free(CONTAINER_OF(link, struct stack_slab, link));
}

void stack_pool_destroy(struct stack_pool *pool)
{
    assert(pool->live == 0);
    while (pool->classes != NULL) {
        struct stack_class *class = pool->classes;

        pool->classes = class->next;
        slabs_free(&class->roomy);
        slabs_free(&class->full);
        memory_free(class);
    }
    *pool = (struct stack_pool){ 0 };
}
