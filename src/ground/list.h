/* list.h - intrusive doubly linked lists, ended by NULL on both sides.
 *
 * The head is a link too: its next_ is the first node, its prev_ the last.  An all-zeros head is an
 * empty list, and an emptied list is all-zeros again, so that whoever embeds one in caller's
 * storage needs no initializer and may copy it while it is empty.  A node does not know its list:
 * removing takes both.  A node outside every list is not all-zeros; whoever must know keeps a flag.
 */
#ifndef ASYNCIO_GROUND_LIST_H
#define ASYNCIO_GROUND_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "asyncio/layout.h"

/* The struct that `member` is embedded in. */
#define CONTAINER_OF(pointer, type, member) ((type *)((uintptr_t)(pointer)-offsetof(type, member)))

static inline bool list_empty(const struct asyncio_link_ *head)
{
    return head->next_ == NULL;
}

static inline void list_push_back(struct asyncio_link_ *head, struct asyncio_link_ *node)
{
    node->next_ = NULL;
    node->prev_ = head->prev_;
    if (head->prev_ != NULL)
        head->prev_->next_ = node;
    else
        head->next_ = node;
    head->prev_ = node;
}

static inline void list_push_front(struct asyncio_link_ *head, struct asyncio_link_ *node)
{
    node->prev_ = NULL;
    node->next_ = head->next_;
    if (head->next_ != NULL)
        head->next_->prev_ = node;
    else
        head->prev_ = node;
    head->next_ = node;
}

static inline void list_insert_after(struct asyncio_link_ *head, struct asyncio_link_ *before,
                                     struct asyncio_link_ *node)
{
    node->prev_ = before;
    node->next_ = before->next_;
    if (node->next_ != NULL)
        node->next_->prev_ = node;
    else
        head->prev_ = node;
    before->next_ = node;
}

static inline void list_remove(struct asyncio_link_ *head, struct asyncio_link_ *node)
{
    if (node->prev_ != NULL)
        node->prev_->next_ = node->next_;
    else
        head->next_ = node->next_;
    if (node->next_ != NULL)
        node->next_->prev_ = node->prev_;
    else
        head->prev_ = node->prev_;
}

/* NULL: the list is empty. */
static inline struct asyncio_link_ *list_pop_front(struct asyncio_link_ *head)
{
    struct asyncio_link_ *node = head->next_;

    if (node != NULL)
        list_remove(head, node);
    return node;
}

/* All of it, which leaves it empty. */
static inline struct asyncio_link_ list_take(struct asyncio_link_ *head)
{
    struct asyncio_link_ taken = *head;

    head->next_ = head->prev_ = NULL;
    return taken;
}

#endif
