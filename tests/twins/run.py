#!/usr/bin/env python3
"""Runs each program's C form and its Python twin and compares what they say.

    run.py DIRECTORY [NAME...]     the C executables lie in DIRECTORY, called 01_hello and so on
    run.py --record [NAME...]      writes the twins' output to tests/programs/*.expected

The Python is the newest on this machine that has asyncio.Queue.shutdown (3.13).  Without one the C
program's output is compared with what was recorded.  What needs no other process runs in virtual
time on both sides.
"""
import fcntl
import glob
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import tty

PROGRAMS = pathlib.Path(__file__).resolve().parent.parent / "programs"
LIMIT = 20  # seconds that a program may take
PORT = 8888
PORT_LOCK = "/tmp/libasyncio-tests-8888.lock"  # the torture run wants that port, too
LAST_FEW = 6  # lines that may differ where a signal cuts a program off
LINES_BEFORE_SIGNAL = 8
VIRTUAL = str(pathlib.Path(__file__).resolve().parent / "virtual.py")


def python_version(python):
    """The version of a Python, or None if its asyncio is too old for the twins."""
    probe = "import sys, asyncio; asyncio.Queue.shutdown; print(*sys.version_info[:3])"
    try:
        done = subprocess.run([python, "-c", probe], capture_output=True, text=True, timeout=LIMIT)
    except OSError:
        return None
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else None


def find_python():
    found = {sys.executable}
    for name in ("python3", "python3.13", "python3.14", "python3.15"):
        found.add(shutil.which(name))
    found.update(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python3")))
    versions = {python_version(python): python for python in found if python}
    versions.pop(None, None)
    return versions[max(versions)] if versions else None


def start(command, stdout=subprocess.PIPE, **more):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **more}
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
        text=True, env=environment)


def finish(process):
    """What it printed, and how it ended."""
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return f"{out}did not end within {LIMIT} s\n{err}"
    return out


def run_plainly(command):
    if "python" in command[0]:
        command = [command[0], VIRTUAL, *command[1:]]
    process = start(command, ASYNCIO_BACKEND="sim")
    out = finish(process)
    return f"{out}exit status {process.returncode}\n"


def read_terminal(terminal):
    try:
        return os.read(terminal, 4096).decode()
    except OSError:  # how a terminal says that nobody has it open any more
        return ""


def run_until_interrupt(command):
    """On a terminal, so that each line comes when it is printed; SIGINT after so many."""
    terminal, slave = os.openpty()
    tty.setraw(slave)
    process = start(command, stdout=slave)
    os.close(slave)
    out = ""
    while out.count("\n") < LINES_BEFORE_SIGNAL and (more := read_terminal(terminal)):
        out += more
    process.send_signal(signal.SIGINT)
    while more := read_terminal(terminal):
        out += more
    os.close(terminal)
    finish(process)
    return f"{out}exit status {process.returncode}\n"


def connect():
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            return socket.create_connection(("127.0.0.1", PORT), timeout=LIMIT)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def receive(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            break
        data += more
    return data


def talk_to_echo():
    """The client's view of an echo server: two connections at a time, small, large, half closed."""
    said = []
    with connect() as first, connect() as second:
        for connection, data in (first, b"hello"), (second, b"x" * 20000), (first, b"again"):
            connection.sendall(data)
            said.append(f"{len(data)} bytes come back: {receive(connection, len(data)) == data}")
        first.shutdown(socket.SHUT_WR)
        said.append(f"after the end: {first.recv(100)!r}")
    return said


def run_echo(command):
    with open(PORT_LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start(command)
        try:
            said = talk_to_echo()
        except OSError as error:
            said = [f"failed: {error}"]
        process.send_signal(signal.SIGINT)  # both then end with an error, each in its own words
        said.append(finish(process))
    return "\n".join(said)


def equal(one, other):
    return one == other


def equal_but_for_the_end(one, other):
    """Where a signal cut in: the same lines up to the last few, and the same about the end."""
    def split(text):
        lines = text.splitlines()
        return [l for l in lines if l.startswith("got")], [l for l in lines if l[:3] != "got"]

    (got, end), (other_got, other_end) = split(one), split(other)
    common = min(len(got), len(other_got)) - LAST_FEW
    return (end == other_end and common > 0 and got[:common] == other_got[:common]
            and abs(len(got) - len(other_got)) <= LAST_FEW)


HOW = {  # how to run a program, and how to compare; else plainly, and equal
    "04_echo": (run_echo, equal),
    "06_queue": (run_until_interrupt, equal_but_for_the_end),
}


def twin_output(name, python):
    if python:
        run, _ = HOW.get(name, (run_plainly, equal))
        return run([python, str(PROGRAMS / f"{name}.py")])
    return (PROGRAMS / f"{name}.expected").read_text()


def compare(name, directory, python):
    run, same = HOW.get(name, (run_plainly, equal))
    c = run([os.path.join(directory, name)])
    twin = twin_output(name, python)
    if same(c, twin):
        print(f"{name}: same")
        return True
    print(f"{name}: DIFFERENT\n--- C\n{c}--- Python\n{twin}---")
    return False


def main(arguments):
    python = find_python()
    record = "--record" in arguments
    arguments = [a for a in arguments if a != "--record"]
    directory = None if record else arguments.pop(0)
    names = sorted(path.stem for path in PROGRAMS.glob("*.py"))
    names = [n for n in names if not arguments or any(a in n for a in arguments)]
    print(f"twins: {python or 'recorded output'}", flush=True)
    if record:
        for name in names:
            (PROGRAMS / f"{name}.expected").write_text(twin_output(name, python))
        return 0
    results = [compare(name, directory, python) for name in names]
    print(f"TWINS {sum(results)} same, {len(results) - sum(results)} different")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
