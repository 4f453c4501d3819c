"""ops_control.py - blocks, errors, sleep, variables of the context; as ops_control.c."""
import asyncio
import contextvars

import script
from interpreter import TICK, Err, body_of, execute, execute_all, op


@op
async def op_val(run, node):
    return node[0]


@op
async def op_raise(run, node):
    raise Err(node[0])


@op
async def op_do(run, node):
    return await execute_all(run, node, 0)


@op
async def op_repeat(run, node):
    result = 0
    for _ in range(node[0]):
        result = await execute_all(run, node, 1)
    return result


@op
async def op_catch(run, node):
    try:
        return await execute(run, node[0])
    except Exception:
        pass
    return await execute_all(run, node, 1)


@op
async def op_catchall(run, node):
    try:
        return await execute(run, node[0])
    except BaseException:
        pass
    return await execute_all(run, node, 1)


@op
async def op_finally(run, node):
    try:
        return await execute(run, node[0])
    finally:
        await execute_all(run, node, 1)


@op
async def op_sleep(run, node):
    await asyncio.sleep(1e9 if node[0] == script.NEVER else node[0] * TICK)
    return 0


@op
async def op_call(run, node):
    body = body_of(run, node[0])
    return await execute_all(run, body, 0) if body is not None else 0


VARIABLES = {name: contextvars.ContextVar(name, default=0) for name in ("v0", "v1")}


@op
async def op_let(run, node):
    VARIABLES[node[0]].set(node[1])
    return 0


@op
async def op_letin(run, node):
    token = VARIABLES[node[0]].set(node[1])
    try:
        return await execute_all(run, node, 2)
    finally:
        VARIABLES[node[0]].reset(token)


@op
async def op_tell(run, node):
    return VARIABLES[node[0]].get()
