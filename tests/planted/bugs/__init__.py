"""The tables of bugs, by the part of the library that they are in."""
from . import core, io, loop, sync, task

BUGS = [*loop.BUGS, *task.BUGS, *sync.BUGS, *io.BUGS, *core.BUGS]
