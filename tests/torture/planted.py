#!/usr/bin/env python3
"""Plants one bug after the other in a copy of the library and looks whether the tests notice.

    planted.py [--list] [--keep] [--build DIRECTORY] [WORD...]

A bug is an exact piece of a source that is replaced by another; see BUGS.  Each has to be caught by
a test, or by the torture run of one: `where` has the words that choose the CTest entries tried, so
that a bug costs seconds.  A bug whose piece is not found exactly once is an error: the table is
then out of date.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 900


class Bug(typing.NamedTuple):
    name: str
    file: str
    old: str
    new: str
    where: str  # a regular expression of CTest names


BUGS: list[Bug] = []


def run(command, directory, limit=LIMIT):
    """The exit status and the output; a command that takes too long has failed."""
    try:
        done = subprocess.run(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=limit)
    except subprocess.TimeoutExpired as late:
        return 1, str(late)
    return done.returncode, done.stdout


def copy_sources(to):
    ignore = shutil.ignore_patterns("build", ".git", "__pycache__")
    shutil.copytree(ROOT, to, ignore=ignore, dirs_exist_ok=True)


def configure(source, build):
    status, output = run(
        ["cmake", "-S", str(source), "-B", str(build), "-DASYNCIO_FAULT_INJECTION=ON",
         "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-O1 -g"], source)
    if status != 0:
        sys.exit(output)


def compile_all(build):
    return run(["cmake", "--build", str(build), "-j2"], build)


def caught_by(build, bug):
    """The CTest entry that failed first; None: the bug went unnoticed."""
    status, output = run(
        ["ctest", "--stop-on-failure", "-j2", "-R", bug.where, "-E", "house/"], build)
    if status == 0:
        return None
    for line in output.splitlines():
        if "***" in line:
            return line.split(": ", 1)[-1].split()[0]
    return "?"


def plant(source, build, bug):
    """Returns the verdict on one bug: what caught it, or what is wrong."""
    path = source / bug.file
    text = path.read_text()
    if text.count(bug.old) != 1:
        return False, f"OUT OF DATE: the piece is there {text.count(bug.old)} times"
    path.write_text(text.replace(bug.old, bug.new))
    try:
        status, output = compile_all(build)
        if status != 0:
            return False, "DOES NOT COMPILE: " + next(
                (line for line in output.splitlines() if "error" in line), "?")
        caught = caught_by(build, bug)
        return caught is not None, caught or "NOT NOTICED"
    finally:
        path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--build", help="where to copy and build; kept")
    arguments = parser.parse_args()
    bugs = [b for b in BUGS if not arguments.words or any(w in b.name for w in arguments.words)]
    if arguments.list:
        print("\n".join(f"{b.name:40} {b.file}" for b in bugs))
        return 0

    place = arguments.build or tempfile.mkdtemp(prefix="asyncio-planted-")
    source, build = pathlib.Path(place) / "source", pathlib.Path(place) / "build"
    missed = 0
    try:
        copy_sources(source)
        configure(source, build)
        status, output = compile_all(build)
        if status != 0:
            sys.exit(output)
        for bug in bugs:
            ok, verdict = plant(source, build, bug)
            missed += not ok
            print(f"{bug.name:44} {'caught by ' if ok else ''}{verdict}", flush=True)
    finally:
        if not arguments.build:
            shutil.rmtree(place, ignore_errors=True)
    print(f"PLANTED {len(bugs)} bugs, {len(bugs) - missed} caught, {missed} not")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
