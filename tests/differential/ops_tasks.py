"""ops_tasks.py - tasks and futures; as ops_tasks.c."""
import model
from interpreter import Err, body_of, op, outcome, run_body


def future_named(run, name, passes_on):
    if name[0] == "f":
        return run.program.objects[name]
    task, other = run.program.slots[int(name[1:])]
    if task is None or other is run:
        return None
    younger = other.number > run.number
    return None if passes_on and younger == run.program.down else task


def start(run, node, eager):
    program = run.program
    body = body_of(run, node[1])
    made = program.run_new(body) if body is not None else None
    if made is None:
        return 0
    task = program.make_task(program.loop, run_body(made), eager)
    program.slots[int(node[0][1:])] = task, made
    run.note += f"T{made.number}"
    return 0


@op
async def op_spawn(run, node):
    return start(run, node, None)


@op
async def op_eager(run, node):
    return start(run, node, True)


@op
async def op_await(run, node):
    future = future_named(run, node[0], True)
    if future is None:
        run.note += "none"
        return 0
    return await future


@op
async def op_endof(run, node):
    future = future_named(run, node[0], True)
    if future is None:
        run.note += "none"
        return 0
    return await model.end_of(future)


@op
async def op_cancel(run, node):
    if node[0][0] == "f":
        return run.program.objects[node[0]].cancel()
    task, other = run.program.slots[int(node[0][1:])]
    if task is None:
        run.note += "none"
        return 0
    run.note += f"T{other.number}@{other.where}"
    return task.cancel()


@op
async def op_cancelme(run, node):
    return run.task.cancel() if run.task is not None else 0


@op
async def op_uncancel(run, node):
    return run.task.uncancel() if run.task is not None else 0


@op
async def op_forgive(run, node):
    task, other = run.program.slots[int(node[0][1:])]
    if task is None:
        run.note += "none"
        return 0
    run.note += f"T{other.number}@{other.where}"
    return task.uncancel()


@op
async def op_result(run, node):
    if node[0][0] == "f":
        future = run.program.objects[node[0]]
    else:
        future, _ = run.program.slots[int(node[0][1:])]
    run.note += outcome(future) if future is not None else "none"
    return future is not None and future.cancelled()


@op
async def op_fset(run, node):
    run.program.objects[node[0]].set_result(node[1])
    return 0


@op
async def op_ffail(run, node):
    run.program.objects[node[0]].set_exception(Err(node[1]))
    return 0
