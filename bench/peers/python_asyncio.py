#!/usr/bin/env python3
"""python_asyncio.py - switch.c, spawn.c, queue.c, million.c, echo.c and process.c for Python's own
asyncio.

    python_asyncio.py CASE [COUNT]
"""
import asyncio
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


async def echo(_):
    clients, over = 0, asyncio.Event()

    async def serve(reader, writer):
        nonlocal clients
        clients += 1
        try:
            while data := await reader.read(16 * 1024):
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


if __name__ == "__main__":
    cases = {case.__name__: case for case in (switch, one, many, pingpong, stream, sleepers, echo,
                                              small, large)}
    asyncio.run(cases[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) > 2 else 0))
