"""interpreter.py - programs on asyncio, and what executes them; interpreter.h is its like in C.

What the statements mean is in ops_*.py, as in ops_*.c: each is a function op_NAME, and may await.
What libasyncio does otherwise is in model.py, and nowhere else.
"""
import asyncio

import model
import script

RUNS_MAX, STEPS_MAX = 48, 1500
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
