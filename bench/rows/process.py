"""What happens inside of one process; and child processes."""
from measure import OURS, Ahead, AtMost, Command, Row, Section, Within
from peers import go, python, tokio, uvloop


def ours(*words):
    return Command(*words, ASYNCIO_BACKEND="epoll")


def threads(*words):
    return Command(*words, needs="libst-dev")


def in_process(quick):
    scale = 0.2 if quick else 1

    def tasks(program, case, count, in_python=None, in_others=None):
        n, fewer, fewest = (str(int(count * scale * share)) for share in (1, 0.2, 0.02))
        contestants = {OURS: ours(f"./{program}", case, n),
                       "State Threads": threads(f"./st_{program}", case, n),
                       "Go": go(in_others or case, fewer),
                       "tokio": tokio(in_others or case, fewer)}
        if in_python:
            contestants["uvloop"] = uvloop(in_python, fewest)
            contestants["CPython asyncio"] = python(in_python, fewest)
        return contestants

    def row(name, program, case, count, *goals, in_python=None, **more):
        return Row(name, "ns", tasks(program, case, count, in_python), "ns", goals, **more)

    schedulers = Ahead(2, "State Threads", "Go", "tokio", "uvloop", "CPython asyncio")
    return Section("Tasks, CPU ns per operation", [
        row("switch, 2 tasks", "switch", "2", 1e7, AtMost(6), schedulers, in_python="switch"),
        row("switch, round robin of 10,000", "switch", "10000", 5e6, AtMost(18)),
        row("switch, round robin of 1,000,000", "switch", "1000000", 5e6, AtMost(96), rounds=3,
            quick=False),
        row("spawn, run, join: one at a time", "spawn", "one", 2e6, AtMost(25), in_python="one"),
        row("spawn, run, join: 1,000 alive", "spawn", "many", 2e6, AtMost(45), in_python="many"),
        row("queue, there and back", "queue", "pingpong", 2e6, AtMost(50), in_python="pingpong"),
        row("queue with room for 100, an item", "queue", "stream", 5e6, AtMost(10),
            in_python="stream"),
    ])


def timers(quick):
    million = "200000" if quick else "1000000"

    def contestants(case, count):
        return {OURS: ours("./timers", case, count),
                "libev": Command("./ev_timers", case, count, needs="libev-dev"),
                "libuv": Command("./uv_timers", case, count, needs="libuv1-dev"),
                "Go": go(case, count)}

    fill, cancel = contestants("fill", million), contestants("cancel", million)
    near = contestants("near", "1000000" if quick else "5000000")
    twice = [Ahead(2, "libev")]
    return Section("Timers, CPU ns for each", [
        Row("1e6: add", "ns", fill, "add", twice, 5),
        Row("1e6: fire", "ns", fill, "fire", twice, 5),
        Row("1e6: cancel, random order", "ns", cancel, "cancel", twice, 5),
        Row("added and cancelled, 1,000 live", "ns", near, "near", twice),
        Row("... by call_later, which reads the clock", "ns",
            {OURS: ours("./timers", "later", "1e6")}, "later"),
    ])


def memory(quick):
    """Of tasks that do nothing but sleep, from one to a million."""
    _ = quick
    goal, rows = [AtMost(4200)], []
    for exponent in range(7):
        count = f"{10 ** exponent}"
        commands = {OURS: ours("./million", count),
                    "State Threads": threads("./st_million", count),
                    "Go": go("sleepers", count), "tokio": tokio("sleepers", count),
                    "CPython asyncio": python("sleepers", count)}
        if exponent == 6:
            del commands["CPython asyncio"]
        often = exponent < 6
        for unit, curve, what in (("B", "bytes of each", "bytes"), ("ns", "ns to make one", "ns")):
            rows.append(Row(f"{10 ** exponent:,}: {curve}", unit, commands, what,
                            goal if exponent >= 5 and unit == "B" else (), 3, often, curve,
                            10 ** exponent))
    return Section("Sleeping tasks", rows)


def resolver(quick):
    scale = 5 if quick else 1

    def row(case, in_others, count, name, goals):
        few = str(count // scale)
        commands = {OURS: ours("./resolve", case, few),
                    "bare getaddrinfo": Command("./bare_resolve", case, few),
                    "libuv": Command("./uv_resolve", case, few, needs="libuv1-dev"),
                    "Go": go(in_others, few), "CPython asyncio": python(in_others, few)}
        return [Row(name, "us", commands, "us", goals), Row("... CPU us", "us", commands, "cpu_us")]

    return Section("A name looked up, us on the wall", [
        *row("numeric", "resolve", 20000, '"127.0.0.1"', [Ahead(1)]),
        *row("name", "resolve_name", 5000, '"localhost", in /etc/hosts',
             [Ahead(1, "libuv", "CPython asyncio")]),
    ])


def processes(quick):
    bare = "bare posix_spawn"

    def row(case, count, name, what):
        count = str(count // 5 if quick else count)
        return Row(name, "us", {OURS: ours("./process", case, count),
                                bare: Command("./posix_spawn", case, count),
                                "Go": go(case, count), "tokio": tokio(case, count),
                                "CPython asyncio": python(case, count)}, what,
                   [Within(1.1, bare)])

    return Section("A child process, us on the wall", [
        row("small", 500, "started and ended", "us"),
        row("small", 500, "... of that, the loop stands still", "start_us"),
        row("large", 200, "started and ended, by a parent with 1 GiB", "us"),
        row("large", 200, "... of that, the loop stands still, 1 GiB", "start_us"),
    ])


def tails(quick):
    """How long a callback that is ready waits for its turn while something big happens."""
    tenth = 10 if quick else 1

    def row(case, count, name, what):
        return Row(name, "us", {OURS: ours("./tail", case, str(count // tenth))}, what, (), 3)

    return Section("A callback waits for its turn, us on the wall", [
        row("timers", 1000000, "1,000,000 timers due at once: median", "p50_us"),
        row("timers", 1000000, "... the longest", "max_us"),
        row("cancel", 100000, "100,000 tasks cancelled: the longest", "max_us"),
        row("ready", 100000, "100,000 tasks ready, again and again: the longest", "max_us"),
    ])


def sections(quick):
    return [in_process(quick), timers(quick), memory(quick), processes(quick), resolver(quick),
            tails(quick)]
