"""Servers that are loaded from another processor."""
import re
import resource

from measure import OURS, PROACTOR, Ahead, AtMost, Command, Plus, Row, Section, Within
from peers import go, nginx, python, tokio, uvloop

BARE = "bare epoll"


def servers():
    """Of TCP echo, by whom."""
    return {
        OURS: Command("./echo", ASYNCIO_BACKEND="epoll"),
        PROACTOR: Command("./echo", ASYNCIO_BACKEND="uring"),
        BARE: Command("./bare_epoll"),
        "bare io_uring": Command("./bare_uring", needs="liburing-dev"),
        "bare io_uring, multishot": Command("./bare_uring", "multishot", needs="liburing-dev"),
        "libuv uv_try_write": Command("./uv_echo", "try", needs="libuv1-dev"),
        "libuv uv_write": Command("./uv_echo", "write", needs="libuv1-dev"),
        "libev": Command("./ev_echo", needs="libev-dev"),
        "libevent": Command("./event_echo", "raw", needs="libevent-dev"),
        "libevent bufferevent": Command("./event_echo", "buffer", needs="libevent-dev"),
        "Boost.Asio": Command("./asio_echo", needs="libboost-dev"),
        "Asio coroutines": Command("./asio_echo", "coroutine", needs="libboost-dev"),
        "State Threads": Command("./st_echo", needs="libst-dev"),
        "Go": go("echo"),
        "tokio": tokio("echo"),
        "uvloop protocol": uvloop("protocol"),
        "uvloop streams": uvloop("echo"),
        "asyncio protocol": python("protocol"),
        "asyncio streams": python("echo"),
    }


def goals(epoll, uring, ahead=False):
    found = [Within(epoll, BARE), Within(uring, BARE, PROACTOR)]
    return found + ([Ahead(1)] if ahead else [])


def echo(quick):
    seconds = "0.2" if quick else "0.4"

    def row(connections, size, name, wanted, often=True):
        commands = {who: server.behind("./load", str(connections), str(size), seconds)
                    for who, server in servers().items()}
        return Row(name, "us", commands, "cpu_us", wanted, None, often)

    return Section("TCP echo, the server's CPU us per request", [
        row(1, 64, "1 x 64 B", goals(1.08, 1.10)),
        row(10, 64, "10 x 64 B", goals(1.08, 1.0)),
        row(100, 64, "100 x 64 B", goals(1.08, 0.95, True)),
        row(1000, 64, "1,000 x 64 B", goals(1.08, 0.95)),
        row(100, 1024, "100 x 1 KiB", goals(1.08, 0.95)),
        row(100, 16384, "100 x 16 KiB", goals(1.05, 0.90)),
        row(10000, 64, "10,000 x 64 B", goals(1.05, 0.85), False),
    ])


def churn(quick):
    seconds = "0.2" if quick else "0.5"
    commands = {who: server.behind("./churn", "64", "64", seconds)
                for who, server in servers().items()}
    return Section("Accept, one request, close: 64 at once, the server's CPU us per connection", [
        Row("64 B", "us", commands, "cpu_us",
            [Within(1.03, BARE), Within(1.03, BARE, PROACTOR)]),
    ])


def latency(quick):
    """Of one connection, which is idle in between: the price of waking up."""
    seconds = "0.3" if quick else "0.6"
    chosen = [OURS, PROACTOR, BARE, "libuv uv_try_write", "Go", "tokio", "uvloop protocol"]
    load = ("./load", "1", "64", seconds)
    commands = {who: servers()[who].behind(*load) for who in chosen}
    spinning = "asyncio, busy_poll"
    commands[spinning] = Command("./echo", "spin", ASYNCIO_BACKEND="epoll").behind(*load)
    return Section("One connection: from request to answer, us on the wall", [
        Row("median", "us", commands, "p50_us", [AtMost(30, spinning)]),
        Row("99 of 100", "us", commands, "p99_us"),
        Row("server's CPU us", "us", commands, "cpu_us"),
    ])


def timeouts(quick):
    """What a time limit for each read costs."""
    load = ("./load", "100", "64", "0.2" if quick else "0.4")
    all_servers = servers()
    plain = "asyncio, no limit"
    return Section("A time limit for each read: 100 x 64 B, the server's CPU us per request", [
        Row("with it", "us", {
            OURS: Command("./echo", "timeout", ASYNCIO_BACKEND="epoll").behind(*load),
            plain: all_servers[OURS].behind(*load),
            "tokio": tokio("echo_timeout").behind(*load),
            "tokio, no limit": all_servers["tokio"].behind(*load),
            "CPython asyncio": python("echo_timeout").behind(*load),
            "CPython, no limit": all_servers["asyncio streams"].behind(*load),
        }, "cpu_us", [Plus(0.1, plain)]),
    ])


def datagrams(quick):
    load = ("./datagram_load", "100", "64", "0.2" if quick else "0.4")
    all_servers = {
        OURS: Command("./datagrams", ASYNCIO_BACKEND="epoll"),
        PROACTOR: Command("./datagrams", ASYNCIO_BACKEND="uring"),
        BARE: Command("./bare_datagrams"),
        "libuv uv_udp_try_send": Command("./uv_datagrams", needs="libuv1-dev"),
        "Go": go("datagrams"),
        "tokio": tokio("datagrams"),
        "uvloop protocol": uvloop("datagrams"),
        "asyncio protocol": python("datagrams"),
    }
    commands = {who: server.behind(*load) for who, server in all_servers.items()}
    return Section("UDP echo, 100 clients, the server's CPU us per datagram", [
        Row("64 B", "us", commands, "cpu_us", [Ahead(1)]),
    ])


def web(quick):
    """Whole programs, each in its usual form, with the same answer of a few bytes."""
    load = ("./http_load.py", "100", "1" if quick else "2")
    ours = ("./../examples/http_server", "PORT")
    commands = {
        OURS: Command(*ours, ASYNCIO_BACKEND="epoll").behind(*load),
        PROACTOR: Command(*ours, ASYNCIO_BACKEND="uring").behind(*load),
        "nginx": nginx().behind(*load),
        "Go net/http": go("web", "PORT").behind(*load),
    }
    return Section("HTTP/1.1 by wrk, 100 connections kept alive, us per request", [
        Row("server's CPU", "us", commands, "cpu_us", [Ahead(1)], 3),
        Row("on the wall", "us", commands, "wall_us", (), 3),
    ])


def two_cores(quick):
    """The load has no processor of its own then."""
    load = ("./load", "100", "64", "0.3" if quick else "0.6")
    both = {"BENCH_CORES": "2"}
    commands = {
        OURS: Command("./echo_threads", "2", ASYNCIO_BACKEND="epoll", **both).behind(*load),
        PROACTOR: Command("./echo_threads", "2", ASYNCIO_BACKEND="uring", **both).behind(*load),
        "asyncio, one loop": Command("./echo", ASYNCIO_BACKEND="epoll", **both).behind(*load),
        "Go, GOMAXPROCS=2": go("echo", GOMAXPROCS="2", **both).behind(*load),
        "tokio, two workers": tokio("echo2", **both).behind(*load),
    }
    return Section("Two cores for server and load together, 100 x 64 B, us per request", [
        Row("on the wall", "us", commands, "wall_us"),
        Row("server's CPU", "us", commands, "cpu_us"),
    ])


def most_descriptors():
    """That a process may have; no limit for who may raise it."""
    with open("/proc/self/status", encoding="ascii") as file:
        capabilities = int(re.search(r"CapEff:\s*(\w+)", file.read())[1], 16)
    may_raise = capabilities >> 24 & 1  # CAP_SYS_RESOURCE
    return 1 << 30 if may_raise else resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def connections(quick):
    """From one to 100,000 of them, by several addresses of the loopback, as far as the limit of
    descriptors reaches; a bit below it is the last point then."""
    chosen = [OURS, PROACTOR, BARE, "libuv uv_try_write", "Boost.Asio", "Go", "tokio"]
    rows, most = [], most_descriptors() - 1000
    counts = [n for n in (1, 10, 100, 1000, 10000) if n <= most] + [min(most, 100000)]

    def add(count, curve, size, what, often):
        load = ("./load", str(count), size, "2" if count > 1000 and size != "0" else "0.3")
        commands = {who: servers()[who].behind(*load) for who in chosen}
        name = f"{count:,} {curve}"
        rows.append(Row(name, "us" if "us" in what else "B", commands, what, (),
                        1 if count > 10000 else 3, often, curve, count))

    for count in counts:
        add(count, "busy: CPU us per request", "64", "cpu_us", count <= 1000)
    for count in counts[2:]:
        add(count, "idle: bytes of each", "0", "bytes", count <= 10000)
        add(count, "idle: CPU us per second of all", "0", "idle_us", count <= 10000)
        add(count, "made: CPU us of each", "0", "accept_us", count <= 10000)
    return Section("Connections", rows)


def sections(quick):
    return [echo(quick), churn(quick), latency(quick), timeouts(quick), datagrams(quick),
            web(quick), two_cores(quick), connections(quick)]
