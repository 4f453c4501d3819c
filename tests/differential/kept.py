"""kept.py - the files in kept/, and how a difference is shown.

A file has a comment, the program, "---", and the trace that CPython's asyncio left.
"""
import pathlib

import script

KEPT = pathlib.Path(__file__).resolve().parent / "kept"


def print_difference(mine, other):
    """Side by side, events that differ marked."""
    mine, other = mine.split(";")[:-1], other.split(";")[:-1]
    print(f"   {'this library':48} CPython")
    for i in range(max(len(mine), len(other))):
        left = mine[i] if i < len(mine) else ""
        right = other[i] if i < len(other) else ""
        print(f" {' ' if left == right else '*'} {left:48} {right}")


def write_kept(path, comment, text, trace):
    path.write_text("\n".join([comment, script.pretty(script.read(text)), "---",
                               *trace.split(";")[:-1], ""]))


def read_kept(path):
    """The comment, the program as one line, the trace."""
    head, _, trace = path.read_text().partition("---\n")
    lines = head.splitlines()
    comment = [line for line in lines if line.startswith(";")]
    text = " ".join(line.strip() for line in lines if not line.startswith(";"))
    return "\n".join(comment), text, "".join(line + ";" for line in trace.splitlines())
