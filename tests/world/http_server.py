#!/usr/bin/env python3
"""Our HTTP server, asked by curl and by wrk.

    http_server.py PROGRAM THREADS [--signals-get-lost]

Every answer must be right, and wrk must see no error; its figures are printed.  ThreadSanitizer
keeps a signal for the fiber that ran when it came, and loses it if that fiber ends first: there
the server is told a second time.
"""
import contextlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

LIMIT = 60
WRK = ["wrk", "-t2", "-c100", "-d2s"]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def running(program, threads):
    port = free_port()
    with subprocess.Popen([program, str(port), threads], stdout=subprocess.PIPE,
                          text=True) as server:
        try:
            for _ in range(500):
                with socket.socket() as one:
                    if one.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            yield server, f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True).stdout


def curl(*arguments):
    return run("curl", "--silent", "--show-error", "--max-time", "30", *arguments)


def check_single(url):
    assert curl(f"{url}/hello/curl") == "Hello, curl!\n"
    assert curl("--write-out", "%{http_code}", f"{url}/nowhere").endswith("404")
    assert "Content-Length: 10" in curl("--head", f"{url}/")
    assert curl("--data", "said", f"{url}/echo") == "said"
    assert curl("--http1.0", f"{url}/") == "It works.\n"
    print("curl: single requests are answered")


def check_kept(url):
    """A hundred requests of one process go over one connection."""
    out = curl("--write-out", "%{num_connects}\n", f"{url}/hello/[1-100]")
    connects = re.findall(r"^(\d+)$", out, re.MULTILINE)
    assert out.count("Hello, ") == 100 and sum(map(int, connects)) == 1, connects
    print("curl: 100 requests over 1 connection")


def check_parallel(url):
    with tempfile.TemporaryDirectory() as directory:
        out = curl("--parallel", "--parallel-max", "50", "--parallel-immediate",
                   "--no-progress-meter", "--write-out", "%{http_code}\n",
                   "--output", f"{directory}/#1", f"{url}/hello/[1-500]")
        assert out.split() == ["200"] * 500, out
        for number in 1, 500:
            with open(f"{directory}/{number}", encoding="ascii") as file:
                assert file.read() == f"Hello, {number}!\n"
    print("curl: 500 requests, 50 at a time")


def check_load(url):
    out = run(*WRK, "--latency", f"{url}/hello/wrk")
    figures = [line.strip() for line in out.splitlines()
               if re.search(r"requests in|Requests/sec|99%|Socket errors|Non-2xx", line)]
    print("wrk:", "; ".join(figures))
    assert "Socket errors" not in out and "Non-2xx" not in out
    assert int(re.search(r"(\d+) requests in", out)[1]) > 100


def end(server, signals_get_lost):
    server.send_signal(signal.SIGINT)
    if signals_get_lost:
        try:
            return server.communicate(timeout=10)[0]
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGINT)
    return server.communicate(timeout=LIMIT)[0]


def main():
    for program in "curl", "wrk":
        if shutil.which(program) is None:
            print(f"SKIPPED http: no {program}")
            return 77
    with running(sys.argv[1], sys.argv[2]) as (server, url):
        for check in check_single, check_kept, check_parallel, check_load:
            check(url)
        out = end(server, "--signals-get-lost" in sys.argv)
        assert server.returncode == 0, out
        print(out.splitlines()[-1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
