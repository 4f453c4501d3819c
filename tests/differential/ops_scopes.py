"""ops_scopes.py - timeouts and groups; as ops_scopes.c."""
import asyncio

import model
from interpreter import body_of, execute_all, name_of, op, run_body, seconds
from ops_tasks import future_named

GROUPS_MAX = 48


async def run_under(run, node, timeout):
    try:
        async with timeout:
            run.timeouts.append(timeout)
            try:
                return await execute_all(run, node, 1)
            finally:
                run.timeouts.pop()
    finally:
        run.note += "expired" if timeout.expired() else "in time"


@op
async def op_timeout(run, node):
    return await run_under(run, node, asyncio.timeout(seconds(node[0])))


@op
async def op_timeoutat(run, node):
    when = seconds(node[0])
    return await run_under(run, node, asyncio.timeout_at(when and when + 1000.0))


@op
async def op_reschedule(run, node):
    if not run.timeouts:
        run.note += "none"
        return 0
    delay = seconds(node[0])
    run.timeouts[-1].reschedule(None if delay is None else run.program.loop.now + delay)
    return 0


@op
async def op_waitfor(run, node):
    return await model.wait_for_call(execute_all(run, node, 1), seconds(node[0]))


@op
async def op_waitforref(run, node):
    future = future_named(run, node[1], True)
    if future is None:
        run.note += "none"
        return 0
    return await asyncio.wait_for(future, seconds(node[0]))


@op
async def op_group(run, node):
    program = run.program
    result, failures = 0, []
    if program.group_count == GROUPS_MAX:
        return 0
    program.group_count += 1
    try:
        async with model.Group() as group:
            program.groups[node[0]] = group
            result = await execute_all(run, node, 1)
        return result
    except BaseExceptionGroup as error:
        failures = error.exceptions
        raise failures[0]
    finally:
        run.note += "[" + " ".join(map(name_of, failures)) + "]"


@op
async def op_join(run, node):
    program = run.program
    group = program.groups.get(node[0]) if not program.down else None
    body = body_of(run, node[2])
    made = program.run_new(body) if group is not None and body is not None else None
    if made is None:
        return 0
    try:
        task = group.create_task(run_body(made))
    except RuntimeError:
        program.run_drop(made)
        raise
    program.slots[int(node[1][1:])] = task, made
    run.note += f"T{made.number}"
    return 0


@op
async def op_launch(run, node):
    program = run.program
    group = program.groups.get(node[0]) if not program.down else None
    body = body_of(run, node[1])
    made = program.run_new(body) if group is not None and body is not None else None
    if made is None:
        return 0
    try:
        group.create_task(run_body(made))
    except RuntimeError:
        program.run_drop(made)
        raise
    run.note += f"T{made.number}"
    return 0


@op
async def op_gcancel(run, node):
    group = run.program.groups.get(node[0])
    if group is not None:
        group.cancel()
    return 0
