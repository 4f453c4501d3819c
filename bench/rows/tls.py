"""TLS: handshakes on either side, records, and a server of many connections."""
import atexit
import os
import shutil
import subprocess
import tempfile

from measure import OURS, PROACTOR, Ahead, Command, Row, Section, Within
from peers import go, nginx, python, uvloop


def make_certificate():
    """One for localhost, signed by itself, of the usual curve; its files are in the environment of
    all who are measured."""
    directory = tempfile.mkdtemp(prefix="asyncio-bench-")
    atexit.register(shutil.rmtree, directory)
    files = [os.path.join(directory, name) for name in ("cert.pem", "key.pem")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-addext",
         "keyUsage=critical,digitalSignature,keyCertSign", "-keyout", files[1], "-out", files[0]],
        check=True, capture_output=True)
    os.environ["BENCH_CERTIFICATE"], os.environ["BENCH_KEY"] = files


def web_servers():
    tls = {"BENCH_TLS": "1"}
    return {
        OURS: Command("./tls_web", "PORT", ASYNCIO_BACKEND="epoll"),
        PROACTOR: Command("./tls_web", "PORT", ASYNCIO_BACKEND="uring"),
        "nginx": nginx(**tls),
        "Go net/http": go("web", "PORT", **tls),
        "uvloop protocol": uvloop("tls_web", "PORT"),
        "asyncio protocol": python("tls_web", "PORT"),
    }


def handshakes(quick):
    seconds = "1" if quick else "2"
    count = "300" if quick else "1000"
    servers = {who: server.behind("./handshake_load.py", seconds)
               for who, server in web_servers().items()}
    servers["openssl s_server"] = Command(
        "openssl", "s_server", "-quiet", "-accept", "PORT", "-cert", "CERTIFICATE", "-key", "KEY"
    ).behind("./handshake_load.py", seconds)
    clients = {
        OURS: Command("./tls_client", count, ASYNCIO_BACKEND="epoll"),
        PROACTOR: Command("./tls_client", count, ASYNCIO_BACKEND="uring"),
        "openssl s_time": Command("openssl", "s_time", "-connect", "127.0.0.1:PORT", "-new",
                                  "-tls1_3", "-CAfile", "CERTIFICATE", "-time", "SECONDS"),
        "Go net/http": go("handshakes", count),
        "uvloop protocol": uvloop("handshakes", count),
        "asyncio protocol": python("handshakes", count),
    }
    clients = {who: client.behind("./handshake_load.py", seconds, "--")
               for who, client in clients.items()}
    return Section("A TLS 1.3 handshake, CPU us", [
        Row("by a server", "us", servers, "cpu_us", [Ahead(1)]),
        Row("by a client", "us", clients, "cpu_us", [Within(1.1, "openssl s_time")]),
    ])


def web(quick):
    load = ("./http_load.py", "--tls", "100", "1" if quick else "2")
    commands = {who: server.behind(*load) for who, server in web_servers().items()}
    return Section("HTTPS by wrk, 100 connections kept alive, us per request", [
        Row("server's CPU", "us", commands, "cpu_us", [Ahead(1)], 3),
        Row("on the wall", "us", commands, "wall_us", (), 3),
    ])


def records(quick):
    """Both ends in one process; bare: two SSL that read and write a pair of sockets."""
    def row(name, case, count, size):
        count = str(count // 5 if quick else count)

        commands = {OURS: Command("./tls", case, count, size, ASYNCIO_BACKEND="epoll"),
                    PROACTOR: Command("./tls", case, count, size, ASYNCIO_BACKEND="uring"),
                    "bare OpenSSL": Command("./tls", f"bare_{case}", count, size)}
        return Row(name, "ns", commands, "ns", [Within(1.1, "bare OpenSSL")])

    return Section("TLS records, CPU ns of both ends", [
        row("there and back, 64 B", "echo", 50000, "64"),
        row("there and back, 16 KiB", "echo", 20000, "16384"),
        row("one way, 64 KiB", "bulk", 20000, "65536"),
    ])


def sections(quick):
    return [handshakes(quick), web(quick), records(quick)]
