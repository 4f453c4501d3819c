"""virtual.py PROGRAM - runs a program of asyncio whose clock jumps when nothing is ready.

As the back end "sim" does for the C twin: what happens when then depends on no other load of the
machine, and takes no time.
"""
import asyncio
import runpy
import sys


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        super().__init__()
        self.now = 0.0
        really_select = self._selector.select

        def select(timeout=None):
            if timeout is None:
                return really_select(None)
            events = really_select(0)
            if not events:
                self.now += timeout
            return events

        self._selector.select = select

    def time(self):
        return self.now


asyncio.events.new_event_loop = VirtualLoop
runpy.run_path(sys.argv[1], run_name="__main__")
