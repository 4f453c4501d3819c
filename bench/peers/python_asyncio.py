#!/usr/bin/env python3
"""python_asyncio.py - the benchmarks of bench/ for Python's own asyncio, or for uvloop.

    python_asyncio.py CASE [COUNT]

BENCH_UVLOOP in the environment: the loop is uvloop's.
"""
import asyncio
import os
import socket
import ssl
import sys
import time

MANY = 1000


def report(start, count):
    print(f"ns {(time.process_time_ns() - start) / count:.1f}")


async def switch(steps):
    over = False

    async def spin():
        while not over:
            await asyncio.sleep(0)

    other = asyncio.create_task(spin())
    await asyncio.sleep(0)
    start = time.process_time_ns()
    for _ in range(steps // 2):
        await asyncio.sleep(0)
    report(start, steps)
    over = True
    await other


async def nothing():
    pass


async def suspend_once():
    await asyncio.sleep(0)


async def one(count):
    start = time.process_time_ns()
    for _ in range(count):
        await asyncio.create_task(nothing())
    report(start, count)


async def many(count):
    start = time.process_time_ns()
    for _ in range(count // MANY):
        for task in [asyncio.create_task(suspend_once()) for _ in range(MANY)]:
            await task
    report(start, count // MANY * MANY)


async def pingpong(count):
    there, back = asyncio.Queue(1), asyncio.Queue(1)

    async def return_all():
        for _ in range(count):
            await back.put(await there.get())

    other = asyncio.create_task(return_all())
    start = time.process_time_ns()
    for i in range(count):
        await there.put(i)
        await back.get()
    report(start, count)
    await other


async def stream(count):
    queue = asyncio.Queue(100)

    async def produce():
        for i in range(count):
            await queue.put(i)

    other = asyncio.create_task(produce())
    start = time.process_time_ns()
    for _ in range(count):
        await queue.get()
    report(start, count)
    await other


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


async def sleepers(count):
    memory, start = resident(), time.process_time_ns()
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(count)]
    await asyncio.sleep(0)
    report(start, count)
    print(f"bytes {(resident() - memory) / count:.1f}")
    for task in tasks:
        task.cancel()


async def echo(_, timeout=None):
    clients, over = 0, asyncio.Event()

    async def serve(reader, writer):
        nonlocal clients
        clients += 1
        try:
            while True:
                if timeout is None:
                    data = await reader.read(64 * 1024)
                else:
                    async with asyncio.timeout(timeout):
                        data = await reader.read(64 * 1024)
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        clients -= 1
        if clients == 0:
            over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await over.wait()


class Echo(asyncio.Protocol):
    """echo() by a protocol and its transport."""
    clients, over = 0, None

    def connection_made(self, transport):
        self.transport = transport
        Echo.clients += 1

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, _):
        Echo.clients -= 1
        if Echo.clients == 0:
            Echo.over.set()


async def protocol(_):
    Echo.over = asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await Echo.over.wait()


class Datagrams(asyncio.DatagramProtocol):
    """An empty one ends it."""
    over = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        if data:
            self.transport.sendto(data, addr)
        else:
            Datagrams.over.set()


async def datagrams(_):
    Datagrams.over = asyncio.Event()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
    print("port", transport.get_extra_info("sockname")[1], flush=True)
    await Datagrams.over.wait()


async def echo_timeout(_):
    """echo() with a time limit for each read."""
    await echo(0, timeout=30)


async def reads(count, at_a_time=1):
    loop = asyncio.get_running_loop()
    file = os.open(os.environ["BENCH_FILE"], os.O_RDONLY)
    places = os.fstat(file).st_size // 4096

    async def read(seed):
        state = seed
        for _ in range(count // at_a_time):
            state = (state * 1103515245 + 12345) % (1 << 31)
            await loop.run_in_executor(None, os.pread, file, 4096, state % places * 4096)

    wall, start = time.perf_counter_ns(), time.process_time_ns()
    await asyncio.gather(*(read(seed) for seed in range(at_a_time)))
    print(f"us {(time.perf_counter_ns() - wall) / 1000 / count:.2f}")
    print(f"cpu_us {(time.process_time_ns() - start) / 1000 / count:.2f}")


async def reads32(count):
    await reads(count, 32)


async def bulk(size, by_sendfile=False):
    loop = asyncio.get_running_loop()
    _, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["BENCH_PORT"]))
    start, data, sent = time.process_time_ns(), bytes(64 * 1024), 0
    while sent < size and not by_sendfile:
        writer.write(data)
        await writer.drain()
        sent += len(data)
    if by_sendfile:
        with open(os.environ["BENCH_FILE"], "rb") as file:
            while sent < size:
                sent += await loop.sendfile(writer.transport, file)
    writer.close()
    await writer.wait_closed()
    print(f"cpu_s {(time.process_time_ns() - start) / 1e9 / (size / (1 << 30)):.4f}")


async def sendfile(size):
    await bulk(size, True)


class Web(asyncio.Protocol):
    """Answers each request, as a protocol that is as simple as can be."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n"

    def connection_made(self, transport):
        self.transport, self.data = transport, b""

    def data_received(self, data):
        self.data += data
        while b"\r\n\r\n" in self.data:
            self.data = self.data.partition(b"\r\n\r\n")[2]
            self.transport.write(self.answer)


async def tls_web(port):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(os.environ["BENCH_CERTIFICATE"], os.environ["BENCH_KEY"])
    server = await asyncio.get_running_loop().create_server(Web, "127.0.0.1", port, backlog=1024,
                                                            ssl=context)
    await server.serve_forever()


async def handshakes(count):
    context = ssl.create_default_context(cafile=os.environ["BENCH_CERTIFICATE"])
    for _ in range(count):
        _, writer = await asyncio.open_connection(
            "127.0.0.1", int(os.environ["BENCH_PORT"]), ssl=context, server_hostname="localhost")
        writer.close()
        await writer.wait_closed()
    print("connections", count)


async def resolve(count, host="127.0.0.1"):
    loop, start = asyncio.get_running_loop(), time.process_time_ns()
    wall = time.perf_counter_ns()
    for _ in range(count):
        await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
    print(f"us {(time.perf_counter_ns() - wall) / 1000 / count:.2f}")
    print(f"cpu_us {(time.process_time_ns() - start) / 1000 / count:.2f}")


async def resolve_name(count):
    await resolve(count, "localhost")


async def small(count):
    start, starting = time.perf_counter_ns(), 0
    for _ in range(count):
        before = time.perf_counter_ns()
        process = await asyncio.create_subprocess_exec("/bin/true")
        starting += time.perf_counter_ns() - before
        await process.wait()
    print(f"us {(time.perf_counter_ns() - start) / 1000 / count:.1f}")
    print(f"start_us {starting / 1000 / count:.1f}")


async def large(count):
    memory = bytearray(1 << 30)
    memory[::4096] = b"x" * (len(memory) // 4096)
    await small(count)


def main():
    cases = {case.__name__: case for case in (
        switch, one, many, pingpong, stream, sleepers, echo, echo_timeout, protocol, datagrams,
        small, large, reads, reads32, bulk, sendfile,
        tls_web, handshakes, resolve, resolve_name)}
    case, count = sys.argv[1], int(float(sys.argv[2])) if len(sys.argv) > 2 else 0
    if os.environ.get("BENCH_UVLOOP"):
        import uvloop  # pylint: disable=import-outside-toplevel
        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(cases[case](count))


if __name__ == "__main__":
    main()
