"""ops_queues.py - queues; as ops_queues.c."""
from interpreter import op
from ops_objects import named


@op
async def op_put(run, node):
    await named(run, node).put(node[1])
    return 0


@op
async def op_putnow(run, node):
    named(run, node).put_nowait(node[1])
    return 0


@op
async def op_get(run, node):
    return await named(run, node).get()


@op
async def op_getnow(run, node):
    return named(run, node).get_nowait()


@op
async def op_taskdone(run, node):
    named(run, node).task_done()
    return 0


@op
async def op_qjoin(run, node):
    await named(run, node).join()
    return 0


@op
async def op_shutdown(run, node):
    named(run, node).shutdown(bool(node[1]))
    return 0
