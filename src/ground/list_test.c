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

TEST(list_appends_all_of_another)
{
    struct asyncio_link_ to = { 0 }, from = { 0 };

    list_append(&to, &from);
    CHECK(all_zeros(&to));

    list_push_back(&from, a);
    list_push_back(&from, b);
    list_append(&to, &from);
    CHECK_STR(names_of(&to), "ab");
    CHECK(all_zeros(&from));

    list_push_back(&from, c);
    list_append(&to, &from);
    CHECK_STR(names_of(&to), "abc");
    CHECK(all_zeros(&from));

    list_append(&to, &from);
    CHECK_STR(names_of(&to), "abc");
    list_push_back(&to, d);
    CHECK_STR(names_of(&to), "abcd");
}
