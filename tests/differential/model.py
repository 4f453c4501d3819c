"""model.py - what libasyncio does otherwise than asyncio, as docs/design.md has it, and no more.

asyncio here is the newest CPython of the machine, libasyncio's contract asyncio 3.14 with the
TaskGroup.cancel of 3.15; what 3.13 lacks of that is here, too.
"""
import asyncio
import collections.abc
import heapq
import itertools


class Deadlock(Exception):
    """Nothing is ready and nothing timed: cannot be, there is a watchdog."""


# ---- the loop: virtual time, and decision 1: "equal deadlines: insertion order" ----------------

class OrderedTimer(asyncio.TimerHandle):
    """asyncio leaves the order of equal deadlines to a heap."""

    __slots__ = ("_order",)
    count = itertools.count()

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._order = next(self.count)

    def __lt__(self, other):
        return (self._when, self._order) < (other._when, other._order)


asyncio.events.TimerHandle = OrderedTimer


class VirtualLoop(asyncio.BaseEventLoop):
    """CPython's loop without a selector: with nothing ready, its clock jumps to the next timer."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0
        self._clock_resolution = 1e-9
        self._selector = self

    def time(self):
        return self.now

    def select(self, timeout):
        if timeout is None:
            raise Deadlock
        if timeout > 0:
            self.now = self._scheduled[0]._when
        return []

    def _process_events(self, event_list):
        pass

    def _write_to_self(self):
        pass


# ---- DEP-01: a task that was cancelled before its first step starts ----------------------------

class Starter(collections.abc.Coroutine):
    """A coroutine whose first step is always taken.  A cancellation that would have been thrown
    there is requested again, so that the first suspension meets it; the count stays as it was."""

    __slots__ = ("inner", "begun")

    def __init__(self, inner):
        self.inner = inner
        self.begun = False

    def send(self, value):
        self.begun = True
        return self.inner.send(value)

    def throw(self, *exc):
        if self.begun:
            return self.inner.throw(*exc)
        task = asyncio.current_task()
        task.cancel()
        task.uncancel()
        return self.send(None)

    def close(self):
        self.inner.close()

    def __await__(self):
        return self.inner.__await__()


# ---- groups ------------------------------------------------------------------------------------

class OrderedSet(dict):
    """What asyncio keeps in a set, and cancels in any order, is in the order of arrival here
    (decision 1: what asyncio leaves undefined is defined)."""

    def add(self, item):
        self[item] = None

    def discard(self, item):
        self.pop(item, None)


class Group(asyncio.TaskGroup):
    """Departs in nothing but that order.  cancel() is 3.15's (TGR-24 to TGR-26); that an eager task
    which has ended is seen to in a later iteration, is 3.14's (EAG-11)."""

    def __init__(self):
        super().__init__()
        self._tasks = OrderedSet()
        self._children_cancelled = False

    def create_task(self, coro, **options):
        if not self._entered or self._aborting or (self._exiting and not self._tasks):
            coro.close()
            raise RuntimeError("the group takes no task")
        task = self._loop.create_task(coro, **options)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        if self._aborting and not task.done():
            task.cancel()
        return task

    def cancel(self):
        if self._aborting or (self._exiting and not self._tasks):
            return
        self._abort()
        self._parent_cancel_requested = True
        self._parent_task.cancel()

    def _abort(self):
        self._aborting = True
        if not self._children_cancelled:
            self._children_cancelled = True
            super()._abort()

    def met_cancellation(self):
        """A cancellation comes in while the exit waits.  3.13 knows no cancel() and forgets it when
        the group is aborting already; asked to look again, it remembers, as 3.15 does (TGR-25)."""
        if self._parent_cancel_requested:
            self._aborting = False

    async def __aexit__(self, kind, exc, traceback):
        await Watched(super().__aexit__(kind, exc, traceback), self.met_cancellation)
        return True


class Watched:
    """Awaits a coroutine and calls a function before each cancellation that comes in."""

    def __init__(self, inner, met):
        self.inner, self.met = inner, met

    def __await__(self):
        inner = self.inner.__await__()
        step, value = inner.send, None
        while True:
            try:
                wanted = step(value)
            except StopIteration as end:
                return end.value
            try:
                step, value = inner.send, (yield wanted)
            except asyncio.CancelledError as error:
                self.met()
                step, value = inner.throw, error


# ---- gather (DEP-03): returns when all have ended; the first failure is returned ---------------

async def gather(tasks, everything):
    """The list of results, of return_exceptions=True, or the failure that came first."""
    failures = []

    def note(task):
        if task.cancelled():
            failures.append(asyncio.CancelledError())
        elif task.exception() is not None:
            failures.append(task.exception())

    if not tasks:
        return []
    for task in tasks:
        if task.done():
            note(task)
        else:
            task.add_done_callback(note)
    try:
        results = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for task in tasks:
            task.remove_done_callback(note)
    if failures and not everything:
        raise failures[0]
    return results


# ---- DEP-13: a request that is not delivered yet when a timeout is entered is not its own ------

enter_timeout = asyncio.Timeout.__aenter__


async def enter_with_request(timeout):
    await enter_timeout(timeout)
    timeout._cancelling -= timeout._task._must_cancel
    return timeout


asyncio.Timeout.__aenter__ = enter_with_request


# ---- asyncio_task_join, asyncio_future_join: "come what may", which asyncio does not have ------

class EndOf:
    """Awaits the end of a future, to which no cancellation is passed on.  One that came is pending
    again when the future has ended, unless it was taken back."""

    _asyncio_future_blocking = False

    def __init__(self, future):
        self.future, self.asked = future, False

    def __getattr__(self, name):
        return getattr(self.future, name)  # what a task wants of what it waits for

    def cancel(self, msg=None):
        self.asked = True
        return False

    def __await__(self):
        if not self.future.done():
            self._asyncio_future_blocking = True
            try:
                yield self
            except BaseException:
                pass  # its own failure, or a cancellation
        task = asyncio.current_task()
        if self.asked and task.cancelling() > 0:
            task.cancel()
            task.uncancel()
        return self.future.result()


async def end_of(future):
    return await EndOf(future)


# ---- DEP-07 (iteration counts): wait_for of a call, its time being over ------------------------

async def wait_for_call(coro, timeout):
    """asyncio makes a task to cancel it; here the call is not made."""
    if timeout is not None and timeout <= 0:
        coro.close()
        raise TimeoutError
    return await asyncio.wait_for(coro, timeout)


# ---- as_completed (DEP-14) and priorities; the order of equals, decision 1 ---------------------

class AsCompleted(asyncio.tasks._AsCompletedIterator):
    """Watches in the order of the list, where asyncio has a set.  Who is cancelled while it waits
    for the next has not had it (DEP-14)."""

    async def __anext__(self):
        left = self._todo_left
        try:
            return await super().__anext__()
        except asyncio.CancelledError:
            self._todo_left += left > 0
            raise

    def __init__(self, awaitables, timeout):
        super().__init__([], timeout)
        self._todo = OrderedFutures(awaitables)
        self._todo_left = len(self._todo)
        for future in self._todo:
            future.add_done_callback(self._handle_completion)
        if self._todo and timeout is not None:
            self._timeout_handle = asyncio.get_running_loop().call_later(
                timeout, self._handle_timeout)


class OrderedFutures(dict):
    """As much of a set as the iterator asks for."""

    def __init__(self, items):
        super().__init__(dict.fromkeys(items))

    def remove(self, item):
        del self[item]


class PriorityQueue(asyncio.PriorityQueue):
    """The lowest tens first, and equals in the order of arrival."""

    def _init(self, maxsize):
        super()._init(maxsize)
        self._arrivals = itertools.count()

    def _put(self, item):
        heapq.heappush(self._queue, (item // 10, next(self._arrivals), item))

    def _get(self):
        return heapq.heappop(self._queue)[2]
