#!/usr/bin/env python3
"""python_side.py FILE - runs the programs of a file, one in each line, on asyncio.

Writes the trace of each as a line, as `differential` does: interpreter.h describes it, and the
ops_*.c have the statements' meaning; their names and order are kept here.  What libasyncio does
otherwise is in model.py, and nowhere else.
"""
import asyncio
import contextvars
import gc
import itertools
import sys

import model
import script

RUNS_MAX, STEPS_MAX, CALLBACKS_MAX, GROUPS_MAX, REFS_MAX = 48, 1500, 64, 48, 8
ITERATORS_MAX = 16
TASKS, TICK, WATCHDOG = 8, 0.125, 512 * 0.125
LOOK_AGAIN = 64 * TICK
CANCELLED = asyncio.CancelledError


class Err(Exception):
    """(raise 2): args[0] is 2."""


NAMES = [
    (CANCELLED, "cancelled"), (TimeoutError, "timeout"), (asyncio.InvalidStateError, "state"),
    (asyncio.QueueShutDown, "shut"), ((asyncio.QueueEmpty, asyncio.QueueFull), "again"),
    (asyncio.BrokenBarrierError, "broken"), (ValueError, "invalid"), (RuntimeError, "state"),
]


def name_of(error):
    if isinstance(error, Err):
        return f"E{error.args[0]}"
    for kind, name in NAMES:
        if isinstance(error, kind):
            return name
    return repr(error)


def outcome(future):
    """What a future that is done, or not, has to say."""
    try:
        return str(int(future.result()))
    except BaseException as error:
        return name_of(error)


class Run:
    __slots__ = ("program", "body", "number", "where", "task", "timeouts", "note", "ended")

    def __init__(self, program, body, number, where):
        self.program, self.body, self.number, self.where = program, body, number, where
        self.task, self.note, self.ended = None, "", False
        self.timeouts = []

    def event(self, what, number, result):
        program = self.program
        who = f"T{self.number}" if self.number >= 0 else "cb"
        note = " " + self.note if self.note else ""
        self.note = ""
        count = self.task.cancelling() if self.task is not None else 0
        requests = f" /{count}" if count else ""
        time = (program.loop.now - 1000.0) * 8
        program.trace.append(f"{time:g} {who} {what}#{number}={result}{note}{requests};")


class Program:
    def __init__(self, text):
        self.tree = script.read(text)
        self.bodies = [part for part in self.tree if isinstance(part, script.Node)]
        self.eager, self.down = "eager" in self.tree, "down" in self.tree
        self.runs, self.live, self.steps, self.counter = [], 0, 0, 0
        self.slots = [(None, None)] * TASKS
        self.groups, self.group_count = {}, 0
        self.iterators, self.iterator_count = {}, 0
        self.handles, self.watchers, self.callback_count = {}, {}, 0
        self.trace = []
        for body in self.bodies:
            for statement in body:
                resolve(statement)

    def make_objects(self, loop):
        lock = asyncio.Lock()
        self.loop = loop
        self.objects = {
            "l0": lock, "l1": asyncio.Lock(), "l2": asyncio.Lock(),
            "c0": asyncio.Condition(), "c1": asyncio.Condition(lock), "c2": asyncio.Condition(),
            "s0": asyncio.Semaphore(1), "s1": asyncio.Semaphore(2),
            "s2": asyncio.BoundedSemaphore(1), "s3": asyncio.BoundedSemaphore(2),
            "b0": asyncio.Barrier(2), "b1": asyncio.Barrier(3), "b2": asyncio.Barrier(1),
            "q0": asyncio.Queue(), "q1": asyncio.Queue(1), "q2": asyncio.Queue(2),
            "q3": asyncio.LifoQueue(2), "q4": model.PriorityQueue(), "q5": model.PriorityQueue(2),
        }
        for i in range(4):
            self.objects[f"f{i}"] = loop.create_future()
            self.objects[f"e{i}"] = asyncio.Event()

    def run_new(self, body):
        if len(self.runs) == RUNS_MAX:
            return None
        run = Run(self, body, len(self.runs), "new")
        self.runs.append(run)
        self.live += 1
        return run

    def run_drop(self, run):
        self.live -= 1
        run.ended = True

    def bark(self):
        Run(self, None, -1, "").event("watchdog", 0, self.live)
        for run in self.runs:
            if run.task is not None and not run.ended:
                run.task.cancel()
        for name in ("f0", "f1", "f2", "f3"):
            self.objects[name].cancel()
        for name in ("l0", "l1", "l2", "c0", "c1", "c2"):
            if self.objects[name].locked():
                self.objects[name].release()
        self.watchdog = self.loop.call_later(WATCHDOG, self.bark)

    async def supervise(self):
        first = self.run_new(self.bodies[0])
        self.slots[TASKS - 1] = self.make_task(self.loop, run_body(first), False), first
        self.watchdog = self.loop.call_later(WATCHDOG, self.bark)
        self.loop.set_task_factory(self.make_task)
        quiet_looks = 0
        while quiet_looks < 2:
            await asyncio.sleep(LOOK_AGAIN)
            quiet_looks = 0 if self.live > 0 else quiet_looks + 1
        self.watchdog.cancel()

    def run(self):
        loop = model.VirtualLoop()
        asyncio.events._set_running_loop(loop)
        self.make_objects(loop)
        asyncio.events._set_running_loop(None)
        loop.set_exception_handler(lambda loop, context: None)
        loop.run_until_complete(self.supervise())
        loop.close()

    def make_task(self, loop, coro, eager_start=None, **options):
        eager = self.eager if eager_start is None else eager_start
        return asyncio.Task(model.Starter(coro), loop=loop, eager_start=eager, **options)


def resolve(node):
    if isinstance(node, script.Node):
        node.op = OPS[node.name]
        for arg in node:
            resolve(arg)


async def execute(run, node):
    program = run.program
    if program.steps >= STEPS_MAX:
        return 0
    program.steps += 1
    outer, run.where = run.where, node.name
    try:
        result = int(await node.op(run, node))
    except BaseException as error:
        run.where = outer
        run.event(node.name, node.number, name_of(error))
        raise
    run.where = outer
    run.event(node.name, node.number, result)
    return result


async def execute_all(run, nodes, first):
    result = 0
    for node in nodes[first:]:
        if isinstance(node, script.Node):
            result = await execute(run, node)
    return result


async def run_body(run):
    run.task = asyncio.current_task()
    run.where = "run"
    run.event("begins", run.body.number, 0)
    try:
        result = await execute_all(run, run.body, 0)
        run.event("ends", run.body.number, result)
        return result
    except BaseException as error:
        run.event("ends", run.body.number, name_of(error))
        raise
    finally:
        run.where = "end"
        run.ended = True
        run.program.live -= 1


def act(run, node):
    """Executes a statement that does not suspend, in a callback."""
    try:
        execute(run, node).send(None)
    except StopIteration:
        pass
    except Exception:
        pass


def seconds(number):
    return None if number == script.NEVER else number * TICK


def body_of(run, name):
    number = int(name[1:])
    return run.program.bodies[number] if number < len(run.program.bodies) else None


OPS = {}


def op(function):
    OPS[function.__name__.removeprefix("op_")] = function
    return function


# ---- ops_control.c -----------------------------------------------------------------------------

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


# ---- ops_tasks.c -------------------------------------------------------------------------------

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


# ---- ops_scopes.c ------------------------------------------------------------------------------

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


# ---- ops_several.c -----------------------------------------------------------------------------

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


# ---- ops_callbacks.c ---------------------------------------------------------------------------

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


# ---- ops_objects.c -----------------------------------------------------------------------------

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


# ---- ops_queues.c ------------------------------------------------------------------------------

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


def main():
    gc.disable()  # tasks and tracebacks are cycles; nothing here asks when they go
    with open(sys.argv[1], encoding="ascii") as file:
        for count, line in enumerate(file):
            program = Program(line)
            program.run()
            print("".join(program.trace), flush=True)
            if count % 50 == 49:
                gc.collect()


if __name__ == "__main__":
    main()
