#!/usr/bin/env python3
"""Starts a real server on a free port, runs commands that use it, and cleans up.

    serve.py KIND COMMAND... [and COMMAND...]      KIND: http, redis, postgres

A command finds the server by the environment: HTTP_URL, REDIS_PORT, PG_CONNINFO; {HTTP_URL} and so
on in its arguments are replaced.  The first that fails is the last; its exit status is ours.  77:
this machine has no such server.
"""
import contextlib
import glob
import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

START_SECONDS = 30
TRIES = 5  # somebody else may take the port that was free


def skip(reason):
    print(f"SKIPPED {sys.argv[1]}: {reason}")
    sys.exit(77)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def listens(family, address):
    with socket.socket(family) as one:
        return one.connect_ex(address) == 0


# ---- http: Python's own server ------------------------------------------------------------------


class Pages(http.server.BaseHTTPRequestHandler):
    """/hello, /big (1 MiB), /slow (never comes), anything else: 404."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/slow":
            self.connection.recv(1)  # until the client goes away
            self.close_connection = True
            return
        body = {"/hello": b"hello\n", "/big": b"x" * (1 << 20)}.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        """Clients that are cancelled go away whenever they like."""


@contextlib.contextmanager
def serve_http():
    server = Server(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"HTTP_URL": f"http://127.0.0.1:{server.server_port}"}


# ---- others: a process in a directory of its own ---------------------------------------------


@contextlib.contextmanager
def running(command, directory, is_up, **more):
    """The process, or None if it ended before it listened."""
    with open(os.path.join(directory, "log"), "ab") as log:
        process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, **more)
    try:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and not is_up():
            if time.monotonic() > deadline:
                sys.exit(f"{command[0]} does not listen")
            time.sleep(0.02)
        yield process if process.poll() is None else None
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # postgres: the fast shutdown
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def serve_redis():
    program = shutil.which("redis-server") or skip("no redis-server")
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(TRIES):
            port = free_port()
            command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                       "--appendonly", "no", "--dir", directory]
            with running(command, directory,
                         lambda p=port: listens(socket.AF_INET, ("127.0.0.1", p))) as process:
                if process is None:
                    continue
                yield {"REDIS_PORT": str(port)}
                return
    sys.exit("redis-server does not start")


def postgres_user():
    """Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    import pwd
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return skip("no user to run postgres as")


@contextlib.contextmanager
def serve_postgres():
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin")) or skip("no postgres")
    user = postgres_user()
    with tempfile.TemporaryDirectory() as directory:
        if user:
            os.chown(directory, user["user"], user["group"])
        data = os.path.join(directory, "data")
        subprocess.run(
            [f"{programs[-1]}/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync",
             "--no-locale", "-E", "UTF8"],
            cwd=directory, check=True, stdout=subprocess.DEVNULL, **user)
        command = [f"{programs[-1]}/postgres", "-D", data, "-k", directory, "-c", "fsync=off",
                   "-c", "listen_addresses=", "-c", "max_connections=50"]
        is_ready = [f"{programs[-1]}/pg_isready", "-q", "-h", directory]
        with running(command, directory, lambda: subprocess.run(is_ready).returncode == 0,
                     **user) as process:
            if process is None:
                sys.exit("postgres does not start")
            yield {"PG_CONNINFO": f"host={directory} user=postgres dbname=postgres"}


SERVERS = {"http": serve_http, "redis": serve_redis, "postgres": serve_postgres}


def run(command, environment):
    for name, value in environment.items():
        command = [word.replace("{" + name + "}", value) for word in command]
    return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


def main():
    kind, *words = sys.argv[1:]
    commands = [[]]
    for word in words:
        if word == "and":
            commands.append([])
        else:
            commands[-1].append(word)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with SERVERS[kind]() as environment:
        statuses = (run(command, environment) for command in commands)
        return next((status for status in statuses if status != 0), 0)


if __name__ == "__main__":
    sys.exit(main())
