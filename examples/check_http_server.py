#!/usr/bin/env python3
"""Runs the server of http_server.c, asks it this and that, and presses Ctrl-C.

    check_http_server.py PROGRAM
"""
import http.client
import signal
import socket
import subprocess
import sys
import time


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


def ask(connection, method, path, **headers):
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    return response.status, response.read().decode()


def check(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.sock = connect(port)
    first = connection.sock
    assert ask(connection, "GET", "/hello/world") == (200, "Hello, world!\n")
    assert ask(connection, "GET", "/nowhere")[0] == 404
    assert connection.sock is first, "the connection was not kept"
    assert ask(connection, "GET", "/", Padding="x" * 10000)[0] == 431
    connection.close()
    assert ask(connection, "POST", "/")[0] == 405


def main():
    port = free_port()
    with subprocess.Popen([sys.argv[1], str(port)]) as server:
        try:
            check(port)
            server.send_signal(signal.SIGINT)
            assert server.wait(20) == 0, "Ctrl-C does not end it well"
        finally:
            server.kill()


if __name__ == "__main__":
    main()
