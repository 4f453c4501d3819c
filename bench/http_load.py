#!/usr/bin/env python3
"""Starts an HTTP server and loads it with wrk, with so many connections that are kept alive.

    http_load.py [--tls] CONNECTIONS SECONDS SERVER [ARGUMENT...]

Of the server's words see serving.py.  Prints how many requests were answered in a second, and what
one cost the server.
"""
import re
import subprocess
import sys

from serving import cpu_ns, serving, stay_on


def wrk(scheme, connections, seconds, port):
    """How many requests there were, and how many in a second; each must be answered by 2xx."""
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                           f"{scheme}://127.0.0.1:{port}/"], capture_output=True, text=True,
                          check=True, preexec_fn=lambda: stay_on(1))
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit(done.stdout)
    return [float(re.search(pattern, done.stdout)[1])
            for pattern in (r"(\d+) requests in", r"Requests/sec:\s*([\d.]+)")]


def main():
    arguments = sys.argv[1:]
    scheme = "https" if arguments[0] == "--tls" else "http"
    connections, seconds, *words = arguments[scheme == "https":]
    with serving(words) as (pid, port):
        spent = cpu_ns(pid)
        requests, per_second = wrk(scheme, connections, seconds, port)
        spent = cpu_ns(pid) - spent
    print(f"per_second {per_second:.1f}")
    print(f"wall_us {1e6 / per_second:.3f}\ncpu_us {spent / requests / 1000:.3f}")


if __name__ == "__main__":
    main()
