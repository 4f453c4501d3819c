#!/usr/bin/env python3
"""CPython's asyncio as a client of our servers, and as a server for our client.

    cpython.py PROGRAM        echo.c, built
"""
import asyncio
import random
import signal
import subprocess
import sys

CLIENTS, ROUNDS, LIMIT = 60, 20, 60


# ---- Python asks --------------------------------------------------------------------------------


async def ask(port, number):
    """Sends and receives at the same time, then ends its half."""
    chance = random.Random(number)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    total = 0
    for _ in range(ROUNDS):
        data = chance.randbytes(chance.choice((1, 100, 5000, 200000)))
        writer.write(data)
        echoed, _ = await asyncio.gather(reader.readexactly(len(data)), writer.drain())
        assert echoed == data
        total += len(data)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    return total


async def leave(port):
    """Goes away in the middle of something."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"x" * 1000000)
    await asyncio.sleep(0.01)
    writer.transport.abort()


async def ask_all(port):
    jobs = [ask(port, number) for number in range(CLIENTS)] + [leave(port) for _ in range(20)]
    totals = await asyncio.wait_for(asyncio.gather(*jobs), LIMIT)
    return sum(total or 0 for total in totals)


def check_server(program, kind):
    with subprocess.Popen([program, kind], stdout=subprocess.PIPE, text=True) as server:
        try:
            total = asyncio.run(ask_all(int(server.stdout.readline())))
            server.send_signal(signal.SIGINT)
            out, _ = server.communicate(timeout=LIMIT)
            assert server.returncode == 0 and out == "0 left\n", (server.returncode, out)
        finally:
            server.kill()
    print(f"asked our server of {kind}: {CLIENTS} connections, {total} bytes each way")


# ---- Python serves ------------------------------------------------------------------------------


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def check_client(program):
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = await asyncio.create_subprocess_exec(program, "ask", str(port), str(CLIENTS))
    assert await asyncio.wait_for(client.wait(), LIMIT) == 0
    server.close()
    print(f"served our client: {CLIENTS} connections")


def main():
    print("Python", sys.version.split()[0])
    for kind in "handlers", "protocols":
        check_server(sys.argv[1], kind)
    asyncio.run(check_client(sys.argv[1]))


if __name__ == "__main__":
    main()
