#!/usr/bin/env python3
"""Starts an HTTP server and loads it with wrk, with so many connections that are kept alive.

    http_load.py CONNECTIONS SECONDS SERVER [ARGUMENT...]

PORT among the words is replaced by a free port, DIRECTORY by one that is removed afterwards.  If
BENCH_TEMPLATE names a file, its copy is there as server.conf, with the port in it.  The server
runs on the first processor and wrk on the second.
Prints how many requests were answered in a second, and what one cost the server.
"""
import glob
import os
import re
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


def wrk(connections, seconds, port):
    """How many requests there were, and how many in a second; each must be answered by 2xx."""
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                           f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True,
                          preexec_fn=lambda: stay_on(1))
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit(done.stdout)
    return [float(re.search(pattern, done.stdout)[1])
            for pattern in (r"(\d+) requests in", r"Requests/sec:\s*([\d.]+)")]


def main():
    connections, seconds, *words = sys.argv[1:]
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        if "BENCH_TEMPLATE" in os.environ:
            with open(os.environ["BENCH_TEMPLATE"], encoding="utf-8") as file:
                text = file.read().replace("PORT", port)
            with open(os.path.join(directory, "server.conf"), "w", encoding="utf-8") as file:
                file.write(text)
        words = [{"PORT": port, "DIRECTORY": directory}.get(word, word) for word in words]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL,
                              preexec_fn=lambda: stay_on(0)) as server:
            try:
                await_server(port)
                spent = cpu_ns(server.pid)
                requests, per_second = wrk(connections, seconds, port)
                spent = cpu_ns(server.pid) - spent
            finally:
                server.send_signal(signal.SIGINT)
                server.wait()
    print(f"per_second {per_second:.1f}")
    print(f"wall_us {1e6 / per_second:.3f}\ncpu_us {spent / requests / 1000:.3f}")


if __name__ == "__main__":
    main()
