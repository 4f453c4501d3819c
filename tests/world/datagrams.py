#!/usr/bin/env python3
"""Others' datagrams with ours: bare sockets, CPython's asyncio, and socat.

    datagrams.py PROGRAM      datagrams.c, built
"""
import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

LIMIT = 30
SAMPLES = [b"hello", b"", b"x" * 1400, bytes(range(256)) * 100]


@contextlib.contextmanager
def serving(face, where):
    with subprocess.Popen([sys.argv[1], face, where], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield int(server.stdout.readline())
            server.send_signal(signal.SIGINT)
            assert server.wait(LIMIT) == 0, server.returncode
        finally:
            server.kill()


def talk(client):
    """Through a socket that is connected to our end."""
    client.settimeout(LIMIT)
    for data in SAMPLES:
        client.send(data)
        assert client.recv(65536) == data


def check_sockets(face, family, host):
    with serving(face, host) as port:
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.connect((host, port))
            talk(client)


def check_unix(face, directory):
    path = os.path.join(directory, "server")
    with serving(face, path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.bind(os.path.join(directory, "client"))
            client.connect(path)
            talk(client)
        os.unlink(os.path.join(directory, "client"))
    assert os.listdir(directory) == [], "the file of the socket is left"


class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.came = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.came.put_nowait(data)


async def ask(port, number):
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(
        Client, remote_addr=("127.0.0.1", port))
    for i in range(20):
        data = f"{number}/{i}".encode()
        transport.sendto(data)
        assert await client.came.get() == data
    transport.close()


def check_asyncio(face):
    async def ask_all():
        await asyncio.wait_for(asyncio.gather(*(ask(port, n) for n in range(20))), LIMIT)

    with serving(face, "127.0.0.1") as port:
        asyncio.run(ask_all())


def check_socat(face):
    """It sends what it reads in one datagram, and prints what comes back."""
    socat = shutil.which("socat")
    if not socat:
        print("SKIPPED datagrams: no socat")
        sys.exit(77)
    with serving(face, "127.0.0.1") as port:
        done = subprocess.run([socat, "-t1", "-", f"UDP4:127.0.0.1:{port}"], input=b"from socat\n",
                              capture_output=True, timeout=LIMIT, check=True)
    assert done.stdout == b"from socat\n", done.stdout


def main():
    for face in "task", "protocol":
        check_sockets(face, socket.AF_INET, "127.0.0.1")
        check_sockets(face, socket.AF_INET6, "::1")
        with tempfile.TemporaryDirectory() as directory:
            check_unix(face, directory)
        check_asyncio(face)
        check_socat(face)
        print(f"{face}: IPv4, IPv6, Unix, CPython's asyncio, socat")


if __name__ == "__main__":
    main()
