"""Files in the page cache, and much data through one connection."""
import atexit
import os
import tempfile

from measure import OURS, PROACTOR, Ahead, AtMost, Command, Row, Section, Within
from peers import go, python, tokio, uvloop

SIZE = 64 * 1024 * 1024


def make_file():
    """One of 64 MiB, read once; its name is in the environment of all who are measured."""
    handle, path = tempfile.mkstemp(prefix="asyncio-bench-")
    with os.fdopen(handle, "wb") as file:
        for _ in range(SIZE // (1 << 20)):
            file.write(os.urandom(1 << 20))
    atexit.register(os.remove, path)
    with open(path, "rb") as file:
        while file.read(1 << 20):
            pass
    os.environ["BENCH_FILE"] = path


def readers(case, in_others, ours, theirs):
    """Who reads so many blocks; the slow ones fewer."""
    return {OURS: Command("./files", case, ours, ASYNCIO_BACKEND="epoll"),
            PROACTOR: Command("./files", case, ours, ASYNCIO_BACKEND="uring"),
            "bare pread": Command("./bare_files", case, ours),
            "libuv": Command("./uv_files", case, theirs, needs="libuv1-dev"),
            "Go": go(in_others, ours, GOMAXPROCS="2"), "tokio": tokio(in_others, theirs),
            "CPython asyncio": python(in_others, theirs)}


def reads(quick):
    scale = 0.2 if quick else 1
    counts = str(int(200000 * scale)), str(int(10000 * scale))
    many, one = readers("many", "reads32", *counts), readers("one", "reads", *counts)
    return Section("4 KiB at random from the page cache, us for each", [
        Row("32 at a time", "us", many, "us", [AtMost(1.3), Ahead(1.5, "libuv")]),
        Row("... CPU us", "us", many, "cpu_us"),
        Row("one at a time", "us", one, "us", [AtMost(1.5), Ahead(20, "libuv", "tokio")]),
        Row("... CPU us", "us", one, "cpu_us"),
    ])


def cold_reads(quick):
    """Few enough that most are of a page that is not there yet."""
    count = str(1000 if quick else 4000)

    def cold(case, in_others):
        return {who: command.behind("./cold.py")
                for who, command in readers(case, in_others, count, count).items()}

    many, one = cold("many", "reads32"), cold("one", "reads")
    return Section("4 KiB at random from a disk, us for each", [
        Row("32 at a time", "us", many, "us"),
        Row("... CPU us", "us", many, "cpu_us", [Ahead(1)]),
        Row("one at a time", "us", one, "us"),
        Row("... CPU us", "us", one, "cpu_us", [Ahead(1)]),
    ])


def bulk(quick):
    size = str(1 << 28 if quick else 1 << 30)

    def contestants(case, **others):
        found = {OURS: Command("./bulk", case, size, ASYNCIO_BACKEND="epoll"),
                 PROACTOR: Command("./bulk", case, size, ASYNCIO_BACKEND="uring"),
                 "bare": Command("./bare_bulk", case, size), **others}
        return {who: command.behind("./sink") for who, command in found.items()}

    return Section("1 GiB to a peer on the same machine, CPU seconds", [
        Row("by writes of 64 KiB", "s", contestants(
            "write", **{"libuv": Command("./uv_files", "write", size, needs="libuv1-dev"),
                        "Go": go("bulk", size), "tokio": tokio("bulk", size),
                        "uvloop": uvloop("bulk", size),
                        "CPython asyncio": python("bulk", size)}), "cpu_s",
            [Within(1.05, "bare")]),
        Row("by sendfile", "s", contestants(
            "sendfile", **{"Go": go("sendfile", size),
                           "CPython asyncio": python("sendfile", size)}), "cpu_s",
            [Within(1.05, "bare")]),
    ])


def sections(quick):
    return [reads(quick), cold_reads(quick), bulk(quick)]
