/* list_test.c - tests of list.h against what a list looks like from both ends. */
#include "ground/list.h"

#include <string.h>

#include "harness.h"

struct item {
    char name;
    struct asyncio_link_ link;
};

static struct item items[] = { { .name = 'a' }, { .name = 'b' }, { .name = 'c' }, { .name = 'd' } };
static struct asyncio_link_ *const a = &items[0].link, *const b = &items[1].link,
                                   *const c = &items[2].link, *const d = &items[3].link;

/* Its names, forward; checked to be the same backward. */
static const char *names_of(const struct asyncio_link_ *list)
{
    static char names[16];
    size_t count = 0, left;

    for (struct asyncio_link_ *node = list->next_; node != NULL; node = node->next_)
        names[count++] = CONTAINER_OF(node, struct item, link)->name;
    names[count] = '\0';

    left = count;
    for (struct asyncio_link_ *node = list->prev_; node != NULL; node = node->prev_)
        CHECK_INT(CONTAINER_OF(node, struct item, link)->name, names[--left]);
    CHECK_INT(left, 0);
    CHECK_INT(list_empty(list), count == 0);
    return names;
}

static bool all_zeros(const struct asyncio_link_ *list)
{
    return list->next_ == NULL && list->prev_ == NULL;
}

TEST(list_keeps_order)
{
    struct asyncio_link_ list = { 0 };

    CHECK_STR(names_of(&list), "");
    list_push_back(&list, b);
    list_push_back(&list, c);
    list_push_front(&list, a);
    list_push_back(&list, d);
    CHECK_STR(names_of(&list), "abcd");
    CHECK(list_pop_front(&list) == a);
    CHECK_STR(names_of(&list), "bcd");
}

TEST(list_push_front_on_empty)
{
    struct asyncio_link_ list = { 0 };

    list_push_front(&list, a);
    CHECK_STR(names_of(&list), "a");
    list_push_back(&list, b);
    CHECK_STR(names_of(&list), "ab");
}

TEST(list_removes_anywhere)
{
    struct asyncio_link_ list = { 0 };

    list_push_back(&list, a);
    list_push_back(&list, b);
    list_push_back(&list, c);
    list_push_back(&list, d);
    list_remove(&list, b); /* inside */
    CHECK_STR(names_of(&list), "acd");
    list_remove(&list, d); /* the last */
    CHECK_STR(names_of(&list), "ac");
    list_remove(&list, a); /* the first */
    CHECK_STR(names_of(&list), "c");
    list_remove(&list, c); /* the only */
    CHECK(all_zeros(&list));
}

TEST(list_popped_empty_is_all_zeros)
{
    struct asyncio_link_ list = { 0 };

    CHECK(list_pop_front(&list) == NULL);
    list_push_back(&list, a);
    list_push_back(&list, b);
    CHECK(list_pop_front(&list) == a);
    CHECK(list_pop_front(&list) == b);
    CHECK(list_pop_front(&list) == NULL);
    CHECK(all_zeros(&list));
}

TEST(list_is_taken_as_a_whole)
{
    struct asyncio_link_ list = { 0 }, taken = list_take(&list);

    CHECK(all_zeros(&taken));
    list_push_back(&list, a);
    list_push_back(&list, b);
    taken = list_take(&list);
    CHECK(all_zeros(&list));
    CHECK_STR(names_of(&taken), "ab");

    list_push_back(&list, c);
    list_push_back(&taken, d);
    CHECK_STR(names_of(&list), "c");
    CHECK_STR(names_of(&taken), "abd");
    CHECK(list_pop_front(&taken) == a);
    CHECK_STR(names_of(&taken), "bd");
}
