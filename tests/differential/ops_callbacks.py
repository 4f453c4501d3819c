"""ops_callbacks.py - callbacks, of the loop and of futures; as ops_callbacks.c."""
from interpreter import Run, act, op, outcome, seconds
from ops_tasks import future_named

CALLBACKS_MAX = 64


def callback_new(run):
    program = run.program
    if program.callback_count == CALLBACKS_MAX:
        return None
    program.callback_count += 1
    return Run(program, None, -1, "callback")


@op
async def op_soon(run, node):
    callback = callback_new(run)
    if callback is not None:
        run.program.handles[node[0]] = run.program.loop.call_soon(act, callback, node[1])
    return 0


@op
async def op_later(run, node):
    callback = callback_new(run)
    if callback is not None:
        run.program.handles[node[0]] = run.program.loop.call_later(
            seconds(node[1]), act, callback, node[2])
    return 0


@op
async def op_drop(run, node):
    handle = run.program.handles.get(node[0])
    if handle is not None:
        handle.cancel()
    else:
        run.note += "none"
    return 0


@op
async def op_ondone(run, node):
    future = future_named(run, node[1], False)
    callback = callback_new(run) if future is not None else None
    if callback is not None:
        def when_done(future):
            callback.note += f"of {outcome(future)}:"
            act(callback, node[2])
        future.add_done_callback(when_done)
        run.program.watchers[node[0]] = future, when_done
    return 0


@op
async def op_undone(run, node):
    if node[0] not in run.program.watchers:
        return 0
    future, when_done = run.program.watchers[node[0]]
    return future.remove_done_callback(when_done)
