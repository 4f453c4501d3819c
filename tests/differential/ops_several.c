/* ops_several.c - statements that wait for several tasks or futures, or shield one. */
#include "interpreter.h"

/* ---- of bodies ---- */

struct calls {
    asyncio_call list[REFS_MAX];
    int results[REFS_MAX];
    size_t count;
};

/* None where tasks await older ones: that could be a circle, see ops_tasks.c. */
static void make_calls(struct run *run, const struct node *node, struct calls *calls)
{
    calls->count = 0;
    for (int i = 0; i < node->count && i < REFS_MAX && !run->program->down; i++) {
        const struct node *body = body_of(run, node->args[i]);
        struct run *made = body != NULL ? run_new(run->program, body) : NULL;

        if (made != NULL)
            calls->list[calls->count++] = (asyncio_call){ run_body, made };
    }
}

static void note_results(struct run *run, const int *results, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        note(run, i > 0 ? " " : "");
        note_result(run, results[i]);
    }
}

/* (gather p1 p2): the first failure. */
static int op_gather(struct run *run, const struct node *node)
{
    struct calls calls;

    make_calls(run, node, &calls);
    return asyncio_gather_calls(calls.list, calls.count, NULL);
}

/* (gatherall p1 p2): every result, return_exceptions=True. */
static int op_gatherall(struct run *run, const struct node *node)
{
    struct calls calls;

    make_calls(run, node, &calls);
    int r = asyncio_gather_calls(calls.list, calls.count, calls.results);
    if (r == 0)
        note_results(run, calls.results, calls.count);
    return r;
}

/* ---- of tasks and futures ---- */

static void take_refs(struct run *run, const struct node *node, int from, bool passes_on,
                      struct refs *refs)
{
    refs->count = 0;
    for (int i = from; i < node->count && refs->count < REFS_MAX; i++) {
        asyncio_future *future = future_named(run, node->args[i], passes_on);

        if (future == NULL)
            continue;
        refs->held[refs->count] = hold(run, node->args[i]);
        refs->list[refs->count++] = future;
    }
}

static void give_refs_back(struct refs *refs)
{
    for (size_t i = 0; i < refs->count; i++)
        asyncio_task_unref(refs->held[i]);
}

/* (gatherrefs t1 f0) */
static int op_gatherrefs(struct run *run, const struct node *node)
{
    struct refs refs;

    take_refs(run, node, 0, true, &refs);
    int r = asyncio_gather_futures(refs.list, refs.count, NULL);
    give_refs_back(&refs);
    return r;
}

/* (gatherrefsall t1 f0) */
static int op_gatherrefsall(struct run *run, const struct node *node)
{
    struct refs refs;

    take_refs(run, node, 0, true, &refs);
    int r = asyncio_gather_futures(refs.list, refs.count, refs.results);
    if (r == 0)
        note_results(run, refs.results, refs.count);
    give_refs_back(&refs);
    return r;
}

/* (shield t1) */
static int op_shield(struct run *run, const struct node *node)
{
    struct refs refs;
    int r = 0;

    take_refs(run, node, 0, false, &refs);
    if (refs.count > 0)
        r = asyncio_shield(refs.list[0]);
    else
        note(run, "none");
    give_refs_back(&refs);
    return r;
}

/* (wait 4 all t1 f0), also first and exception */
static int op_wait(struct run *run, const struct node *node)
{
    enum asyncio_return_when when = node->args[1]->name[0] == 'a'   ? ASYNCIO_ALL_COMPLETED
                                    : node->args[1]->name[0] == 'f' ? ASYNCIO_FIRST_COMPLETED
                                                                    : ASYNCIO_FIRST_EXCEPTION;
    struct refs refs;

    take_refs(run, node, 2, false, &refs);
    int r = asyncio_wait(refs.list, refs.count, seconds_of(node->args[0]), when);
    for (size_t i = 0; r >= 0 && i < refs.count; i++)
        note(run, asyncio_future_done(refs.list[i]) ? "d" : "p");
    give_refs_back(&refs);
    return r;
}

static int note_each(struct run *run, asyncio_as_completed *iterator, const struct refs *refs)
{
    for (;;) {
        size_t index;
        int r = asyncio_as_completed_next(iterator, &index);

        if (r == -ETIMEDOUT)
            note(run, "late,");
        else if (r <= 0)
            return r;
        else {
            note(run, "%zu:", index);
            note_result(run, asyncio_future_result(refs->list[index]));
            note(run, ",");
        }
    }
}

/* (each 4 t1 f0): as_completed */
static int op_each(struct run *run, const struct node *node)
{
    asyncio_as_completed iterator;
    struct refs refs;

    take_refs(run, node, 1, false, &refs);
    int r = asyncio_as_completed_init(&iterator, refs.list, refs.count, seconds_of(node->args[0]));
    if (r == 0)
        r = note_each(run, &iterator, &refs);
    asyncio_as_completed_destroy(&iterator);
    give_refs_back(&refs);
    return r;
}

/* ---- an iterator that several tasks share ---- */

void iterators_destroy(struct program *program)
{
    for (int i = 0; i < program->iterator_count; i++) {
        asyncio_as_completed_destroy(&program->iterators[i].iterator);
        give_refs_back(&program->iterators[i].refs);
    }
}

/* (open i0 4 t1 f0): as_completed, for (next). */
static int op_open(struct run *run, const struct node *node)
{
    struct program *program = run->program;

    if (program->iterator_count == ITERATORS_MAX)
        return 0;
    struct shared_iterator *made = &program->iterators[program->iterator_count++];
    program->iterator_slots[node->args[0]->number] = made;
    take_refs(run, node, 2, false, &made->refs);
    return asyncio_as_completed_init(&made->iterator, made->refs.list, made->refs.count,
                                     seconds_of(node->args[1]));
}

/* (next i0): says which one, and its result; 0: there is none left. */
static int op_next(struct run *run, const struct node *node)
{
    struct shared_iterator *shared = run->program->iterator_slots[node->args[0]->number];
    size_t index;

    if (shared == NULL) {
        note(run, "none");
        return 0;
    }
    int r = asyncio_as_completed_next(&shared->iterator, &index);
    if (r <= 0)
        return r;
    note(run, "%zu:", index);
    note_result(run, asyncio_future_result(shared->refs.list[index]));
    return r;
}

const struct op ops_several[] = {
    { "gather", op_gather },
    { "gatherall", op_gatherall },
    { "gatherrefs", op_gatherrefs },
    { "gatherrefsall", op_gatherrefsall },
    { "shield", op_shield },
    { "wait", op_wait },
    { "each", op_each },
    { "open", op_open },
    { "next", op_next },
    { NULL, NULL },
};
