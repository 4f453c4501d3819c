#!/usr/bin/env python3
"""python_side.py FILE - runs the programs of a file, one in each line, on asyncio.

Writes the trace of each as a line, as `differential` does: interpreter.h describes it.
"""
import gc
import sys

import ops_callbacks  # noqa: F401  each makes its statements known
import ops_control  # noqa: F401
import ops_objects  # noqa: F401
import ops_queues  # noqa: F401
import ops_scopes  # noqa: F401
import ops_several  # noqa: F401
import ops_tasks  # noqa: F401
from interpreter import Program


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
