"""Servers that are loaded from another processor."""
from measure import OURS, PROACTOR, Ahead, AtMost, Command, Plus, Row, Section, Within
from peers import go, python, tokio, uvloop

BARE = "bare epoll"


def servers():
    """Of TCP echo, by whom."""
    return {
        OURS: Command("./echo", ASYNCIO_BACKEND="epoll"),
        PROACTOR: Command("./echo", ASYNCIO_BACKEND="uring"),
        BARE: Command("./bare_epoll"),
        "bare io_uring": Command("./bare_uring", needs="liburing-dev"),
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


def sections(quick):
    return [echo(quick), churn(quick), latency(quick), timeouts(quick)]
