#!/usr/bin/env python3
"""Runs the server of http_server.c, asks it this and that, and presses Ctrl-C.

    check_http_server.py PROGRAM
"""
import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import time

HELLO = b"GET /hello/you HTTP/1.1\r\nHost: x\r\n\r\n"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def connect(port):
    """Once the server listens."""
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            time.sleep(0.05)
    sys.exit("the server does not listen")


def ask(connection, method, path, body=None, **headers):
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    return response.status, response.read().decode()


def read_all(connection):
    data = b""
    while more := connection.recv(65536):
        data += more
    return data


def say(port, data):
    """All that comes back for bytes after which the server must close."""
    with connect(port) as connection:
        connection.sendall(data)
        return read_all(connection)


# ---- what is asked ------------------------------------------------------------------------------


def check_kept(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.sock = first = connect(port)
    assert ask(connection, "GET", "/hello/world") == (200, "Hello, world!\n")
    assert ask(connection, "GET", "/nowhere") == (404, "There is no such page.\n")
    assert ask(connection, "HEAD", "/") == (200, "")
    assert ask(connection, "POST", "/echo", "text") == (200, "text")
    assert ask(connection, "POST", "/echo", "x" * 65536) == (200, "x" * 65536)
    assert ask(connection, "GET", "/") == (200, "It works.\n")
    assert connection.sock is first, "the connection was not kept"
    connection.close()


def check_pipelined(port):
    with connect(port) as connection:
        connection.sendall(HELLO * 500 + HELLO.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        assert read_all(connection).count(b"Hello, you!\n") == 501


def check_slow(port):
    """One byte at a time."""
    with connect(port) as connection:
        for byte in HELLO:
            connection.send(bytes([byte]))
        assert connection.recv(1000).endswith(b"Hello, you!\n")


def check_old(port):
    assert say(port, b"GET / HTTP/1.0\r\n\r\n").endswith(b"It works.\n")
    kept = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert say(port, kept * 2 + b"GET / HTTP/1.0\r\n\r\n").count(b"It works.\n") == 3


def check_refused(port):
    for status, request in (
        (400, b"hello\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"GET / HTTP/2.0\r\n\r\n"),
        (400, b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nGET"),
        (400, b"GET /" + b"x" * 300 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
        (405, b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n"),
        (413, b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n" + b"x" * 65537),
        (413, b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nHost: x\r\nPadding: " + b"x" * 10000 + b"\r\n\r\n"),
        (501, b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ):
        with connect(port) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 %d " % status), (request[:60], answer[:60])
        assert b"Connection: close" in answer


# ---- the end ------------------------------------------------------------------------------------


def check_end(server, port):
    """Idle connections are closed at once; a request that has begun is answered."""
    with connect(port) as idle, connect(port) as busy, connect(port) as silent:
        idle.sendall(HELLO)
        assert idle.recv(1000).endswith(b"Hello, you!\n")
        busy.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        time.sleep(0.3)
        began = time.monotonic()
        server.send_signal(signal.SIGINT)
        assert idle.recv(1) == b"" and silent.recv(1) == b""
        assert time.monotonic() < began + 2, "idle connections are not closed at once"
        busy.sendall(b"cd")
        assert busy.recv(1000).endswith(b"abcd")
    assert server.wait(20) == 0, "Ctrl-C does not end it well"
    assert time.monotonic() < began + 4, "it takes its time though nobody is left"


@contextlib.contextmanager
def running(*command):
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            yield server
        finally:
            server.kill()


def main():
    for threads in "1", "2":
        port = free_port()
        with running(sys.argv[1], str(port), threads) as server:
            for check in check_kept, check_pipelined, check_slow, check_old, check_refused:
                check(port)
            check_end(server, port)


if __name__ == "__main__":
    main()
