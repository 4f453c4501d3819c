#!/usr/bin/env python3
"""Runs the server of protocols.c, asks it this and that, and presses Ctrl-C.

    check_protocols.py PROGRAM
"""
import signal
import socket
import subprocess
import sys
import time

from check_http_server import connect, free_port


def ask(connection, text):
    connection.sendall(text.encode())
    answer = b""
    while answer.count(b"\n") < text.count("\n"):
        got = connection.recv(4096)
        if not got:
            break
        answer += got
    return answer.decode()


def check(port):
    first, second = connect(port), connect(port)
    assert ask(first, "set colour green\n") == "ok\n"
    assert ask(second, "get colour\n") == "green\n"
    assert ask(second, "get shape\nwhat\n") == "no such word\nset NAME WORD, get NAME, or quit\n"
    for byte in "set shape round":
        second.sendall(byte.encode())
        time.sleep(0.001)
    assert ask(second, "\n") == "ok\n"
    assert ask(first, "get shape\nquit\n") == "round\n"
    assert first.recv(1) == b""
    check_slow_reader(connect(port))
    check_long_line(connect(port))
    return second


def check_slow_reader(connection):
    """Answers that it does not read stop the server from reading its questions."""
    connection.settimeout(0.3)
    asked = 0
    try:
        while asked < 100 * 1000 * 1000:
            asked += connection.send(b"get colour\n" * 10000)
    except socket.timeout:
        pass
    assert asked < 100 * 1000 * 1000, "nothing held it back"
    connection.close()


def check_long_line(connection):
    try:
        connection.sendall(b"x" * 1000)
        assert connection.recv(1) == b""
    except ConnectionError:
        pass


def main():
    port = free_port()
    server = subprocess.Popen([sys.argv[1], str(port)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    try:
        last = check(port)
        server.send_signal(signal.SIGINT)
        assert last.recv(1) == b"", "it was not closed"
        out, err = server.communicate(timeout=20)
    finally:
        server.kill()
    assert server.returncode == 0, err
    assert out == "kept 2 words\n", out
    assert "EMSGSIZE" in err, err
    print("all as it should be")


if __name__ == "__main__":
    main()
