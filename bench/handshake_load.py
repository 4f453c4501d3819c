#!/usr/bin/env python3
"""TLS handshakes between a server and a client, each with a processor of its own.

    handshake_load.py SECONDS SERVER [ARGUMENT...]             the client is `openssl s_time`
    handshake_load.py SECONDS -- CLIENT [ARGUMENT...]          the server is nginx

TLS 1.3, each connection new and without a session of an earlier one, and closed when the handshake
is through.  Of the words see serving.py.  A client that is measured prints "connections N", but
`openssl s_time`, which has words of its own.  Prints what one handshake cost the one whose command
it was.
"""
import os
import re
import resource
import subprocess
import sys

from serving import cpu_ns, serving, stay_on

HERE = os.path.dirname(os.path.abspath(__file__))
S_TIME = ["openssl", "s_time", "-connect", "127.0.0.1:PORT", "-new", "-tls1_3", "-time", "SECONDS"]


def run_client(words, port, seconds):
    """How many handshakes it made, and the CPU nanoseconds that it used."""
    for name, value in (("PORT", port), ("SECONDS", seconds),
                        ("CERTIFICATE", os.environ["BENCH_CERTIFICATE"])):
        words = [word.replace(name, value) for word in words]
    os.environ["BENCH_PORT"] = port
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: stay_on(1))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"connections (\d+)|(\d+) connections in [\d.]+ real", done.stdout)
    if done.returncode != 0 or found is None:
        sys.exit(done.stdout + done.stderr)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return int(found[1] or found[2]), spent * 1e9


def main():
    seconds, *words = sys.argv[1:]
    client = words[1:] if words[0] == "--" else None
    if client:
        os.environ["BENCH_TEMPLATE"] = os.path.join(HERE, "peers", "nginx.conf")
        os.environ["BENCH_TLS"] = "1"
        words = ["nginx", "-p", "DIRECTORY", "-e", "stderr", "-c", "server.conf"]
    with serving(words) as (pid, port):
        server = cpu_ns(pid)
        count, spent = run_client(client or S_TIME, port, seconds)
        server = cpu_ns(pid) - server
    print(f"cpu_us {(spent if client else server) / count / 1000:.2f}")


if __name__ == "__main__":
    main()
