"""ops_objects.py - locks, conditions, semaphores, events, barriers; as ops_objects.c."""
from interpreter import execute_all, op


def named(run, node):
    return run.program.objects[node[0]]


@op
async def op_acquire(run, node):
    await named(run, node).acquire()
    return 0


@op
async def op_release(run, node):
    named(run, node).release()
    return 0


@op
async def op_with(run, node):
    async with named(run, node):
        run.event("has", node.number, 0)
        return await execute_all(run, node, 1)


@op
async def op_cwait(run, node):
    await named(run, node).wait()
    return 0


@op
async def op_waituntil(run, node):
    return await named(run, node).wait_for(lambda: run.program.counter >= node[1])


@op
async def op_count(run, node):
    run.program.counter += 1
    return run.program.counter


@op
async def op_notify(run, node):
    named(run, node).notify(node[1])
    return 0


@op
async def op_notifyall(run, node):
    named(run, node).notify_all()
    return 0


@op
async def op_set(run, node):
    named(run, node).set()
    return 0


@op
async def op_clear(run, node):
    named(run, node).clear()
    return 0


@op
async def op_ewait(run, node):
    await named(run, node).wait()
    return 0


@op
async def op_arrive(run, node):
    return await named(run, node).wait()


@op
async def op_breset(run, node):
    await named(run, node).reset()
    return 0


@op
async def op_babort(run, node):
    await named(run, node).abort()
    return 0


@op
async def op_look(run, node):
    name = node[0]
    if name[0] == "t":
        task, _ = run.program.slots[int(name[1:])]
        return task is not None and task.done()
    thing = named(run, node)
    if name[0] in "lcs":
        return thing.locked()
    if name[0] == "e":
        return thing.is_set()
    if name[0] == "f":
        return thing.done()
    if name[0] == "q":
        run.note += f"{int(thing.empty())}{int(thing.full())}"
        return thing.qsize()
    run.note += str(thing.n_waiting)
    return thing.broken
