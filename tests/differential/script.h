/* script.h - the small language of the differential test, as a tree.
 *
 *     (program FLAG... (body STATEMENT...) (body STATEMENT...) ...)
 *
 * A statement is a list that begins with its name: (sleep 3), (spawn t1 p2), (timeout 4 (get q0)).
 * What follows are numbers, "never" (no limit), names of objects, which are a letter and a number,
 * and statements.  Each list has a number, counted in the order of the text, by which a trace names
 * it.  python_side.py reads the same.
 */
#ifndef DIFFERENTIAL_SCRIPT_H
#define DIFFERENTIAL_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

struct op;

enum node_kind { NODE_NUMBER, NODE_NEVER, NODE_WORD, NODE_OBJECT, NODE_LIST };

struct node {
    enum node_kind kind;
    int number;          /* a number; an object's; the place of a list in the text */
    char letter;         /* of an object */
    char name[16];       /* a word; a list's first */
    const struct op *op; /* a statement's */
    struct node **args;  /* a list's, without its name */
    int count;
};

/* Reads the list that `text` begins with; NULL: it is none. */
struct node *script_read(const char *text);
void script_free(struct node *node);

#endif
