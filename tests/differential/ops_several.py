"""ops_several.py - what waits for several; as ops_several.c."""
import asyncio
import itertools

import model
from interpreter import body_of, name_of, op, outcome, run_body, seconds
from ops_tasks import future_named

REFS_MAX, ITERATORS_MAX = 8, 16


def make_calls(run, node):
    made = []
    for name in () if run.program.down else node[:REFS_MAX]:
        body = body_of(run, name)
        inner = run.program.run_new(body) if body is not None else None
        if inner is not None:
            made.append(run_body(inner))
    return [run.program.loop.create_task(coro) for coro in made]


def note_results(run, results):
    run.note += " ".join(name_of(result) if isinstance(result, BaseException) else str(result)
                         for result in results)


@op
async def op_gather(run, node):
    await model.gather(make_calls(run, node), False)
    return 0


@op
async def op_gatherall(run, node):
    note_results(run, await model.gather(make_calls(run, node), True))
    return 0


def take_refs(run, node, first, passes_on):
    futures = (future_named(run, name, passes_on) for name in node[first:])
    return list(itertools.islice((future for future in futures if future is not None), REFS_MAX))


@op
async def op_gatherrefs(run, node):
    await model.gather(take_refs(run, node, 0, True), False)
    return 0


@op
async def op_gatherrefsall(run, node):
    note_results(run, await model.gather(take_refs(run, node, 0, True), True))
    return 0


@op
async def op_shield(run, node):
    refs = take_refs(run, node, 0, False)
    if refs:
        return await asyncio.shield(refs[0])
    run.note += "none"
    return 0


WHEN = {"all": asyncio.ALL_COMPLETED, "first": asyncio.FIRST_COMPLETED,
        "exception": asyncio.FIRST_EXCEPTION}


@op
async def op_wait(run, node):
    refs = take_refs(run, node, 2, False)
    done, _ = await asyncio.wait(refs, timeout=seconds(node[0]), return_when=WHEN[node[1]])
    run.note += "".join("d" if future.done() else "p" for future in refs)
    return len(done)


@op
async def op_each(run, node):
    refs = take_refs(run, node, 1, False)
    iterator = model.AsCompleted(refs, seconds(node[0]))
    try:
        while True:
            try:
                future = await anext(iterator)
            except TimeoutError:
                run.note += "late,"
            except StopAsyncIteration:
                return 0
            else:
                run.note += f"{refs.index(future)}:{outcome(future)},"
    finally:
        iterator._handle_timeout()
        if iterator._timeout_handle is not None:
            iterator._timeout_handle.cancel()


@op
async def op_open(run, node):
    program = run.program
    if program.iterator_count == ITERATORS_MAX:
        return 0
    program.iterator_count += 1
    refs = take_refs(run, node, 2, False)
    program.iterators[node[0]] = model.AsCompleted(refs, seconds(node[1])), refs
    return 0


@op
async def op_next(run, node):
    if node[0] not in run.program.iterators:
        run.note += "none"
        return 0
    iterator, refs = run.program.iterators[node[0]]
    try:
        future = await anext(iterator)
    except StopAsyncIteration:
        return 0
    run.note += f"{refs.index(future)}:{outcome(future)}"
    return 1
