"""For the scripts that start a server and load it: the server runs on the first processor, its load
on the second, and what the server's threads have used is read from /proc.

PORT among the server's words is replaced by a free port, DIRECTORY by one that is removed
afterwards, CERTIFICATE and KEY by the files that bench/run has made.  If BENCH_TEMPLATE names a
file, its copy is there as server.conf, with the same words filled in, and WITH_TLS, which is "ssl"
if BENCH_TLS is set.
"""
import contextlib
import glob
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 10


def free_port():
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return str(some.getsockname()[1])


def stay_on(processor):
    if os.cpu_count() > 1:
        os.sched_setaffinity(0, {processor})


def cpu_ns(pid):
    """Of all its threads."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path, encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def await_server(port):
    for _ in range(PATIENCE * 100):
        try:
            socket.create_connection(("127.0.0.1", int(port))).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    sys.exit("the server does not listen")


def fill_in(template, directory, values):
    with open(template, encoding="utf-8") as file:
        text = file.read()
    for word, value in values.items():
        text = text.replace(word, value)
    with open(os.path.join(directory, "server.conf"), "w", encoding="utf-8") as file:
        file.write(text)


@contextlib.contextmanager
def serving(words):
    """While it listens: its process, and the port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        values = {"PORT": port, "DIRECTORY": directory,
                  "CERTIFICATE": os.environ.get("BENCH_CERTIFICATE", ""),
                  "KEY": os.environ.get("BENCH_KEY", ""),
                  "WITH_TLS": "ssl" if "BENCH_TLS" in os.environ else ""}
        if "BENCH_TEMPLATE" in os.environ:
            fill_in(os.environ["BENCH_TEMPLATE"], directory, values)
        words = [values.get(word, word) for word in words]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              preexec_fn=lambda: stay_on(0)) as server:
            try:
                await_server(port)
                yield server.pid, port
            finally:
                server.send_signal(signal.SIGINT)
                try:
                    server.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    server.kill()
