/* script.c - see script.h. */
#include "script.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const char *at;
    int lists; /* how many have begun */
};

static struct node *node_new(enum node_kind kind)
{
    struct node *node = calloc(1, sizeof *node);

    if (node == NULL)
        abort();
    node->kind = kind;
    return node;
}

static void skip_space(struct reader *reader)
{
    while (isspace((unsigned char)*reader->at))
        reader->at++;
}

static void read_word(struct reader *reader, char *word, size_t size)
{
    const char *begin = reader->at;

    reader->at += strcspn(begin, "() \t\n");
    snprintf(word, size, "%.*s", (int)(reader->at - begin), begin);
}

static struct node *read_atom(struct reader *reader)
{
    struct node *node = node_new(NODE_WORD);

    read_word(reader, node->name, sizeof node->name);
    if (isdigit((unsigned char)node->name[0]) || node->name[0] == '-') {
        node->kind = NODE_NUMBER;
        node->number = (int)strtol(node->name, NULL, 10);
    } else if (strcmp(node->name, "never") == 0) {
        node->kind = NODE_NEVER;
    } else if (isdigit((unsigned char)node->name[1])) {
        node->kind = NODE_OBJECT;
        node->letter = node->name[0];
        node->number = (int)strtol(node->name + 1, NULL, 10);
    }
    return node;
}

static void append(struct node *list, struct node *arg)
{
    list->args = realloc(list->args, (size_t)(list->count + 1) * sizeof *list->args);
    if (list->args == NULL)
        abort();
    list->args[list->count++] = arg;
}

static struct node *read_list(struct reader *reader)
{
    struct node *list = node_new(NODE_LIST);

    reader->at++;
    list->number = reader->lists++;
    read_word(reader, list->name, sizeof list->name);
    for (skip_space(reader); *reader->at != ')' && *reader->at != '\0'; skip_space(reader))
        append(list, *reader->at == '(' ? read_list(reader) : read_atom(reader));
    if (*reader->at == ')')
        reader->at++;
    return list;
}

struct node *script_read(const char *text)
{
    struct reader reader = { .at = text };

    skip_space(&reader);
    return *reader.at == '(' ? read_list(&reader) : NULL;
}

void script_free(struct node *node)
{
    if (node == NULL)
        return;
    for (int i = 0; i < node->count; i++)
        script_free(node->args[i]);
    free(node->args);
    free(node);
}
