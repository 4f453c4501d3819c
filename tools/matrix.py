#!/usr/bin/env python3
"""Builds the library in many ways, runs the tests in each, and prints a table.

    tools/matrix.py [--list] [--again] [--build DIRECTORY] [--jobs N] [--record FILE] [WORD...]

A cell is a compiler with its options, a sanitizer, Valgrind, another C library or another
processor; in each all suites run on every back end that there is.  With words, only cells whose
name has one of them.  A cell that lacks something on this machine says so, and counts as failed.
--again runs in each cell only what failed there the last time.  --record puts the rows into the
page for docs/; those of cells that were not run stay as they are, each with its commit and date.
"""
import argparse
import collections
import datetime
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
# What is left out where, and why.
LEFT_OUT = {
    "^house/|^gate": "looks at the sources, or counts instructions of one build",
    "^refused/": "io_uring refused is a cell of its own",
    "^world/|^twins|^ps": "starts this machine's servers, its Python, or looks at its processes",
    "^scale/": "so many tasks and processes take an emulator hours, and i386 and musl do "
               "without",
    "fuzz|differential|simulation": "thousands of programs, which are the same on any processor, "
                                    "take an emulator hours, and i386 and musl do without",
    "^examples/(http_server|protocols|reports)|^torture/subjects":
        "Python starts the program itself, not the emulator",
    "^ground/sys_pipe_test|^rules/test_sendfile": "qemu lacks pwritev2 and preadv2 with flags",
    "@(poll|uring|sim)$|^examples|^torture|^loop|^model|^tls|^bench":
        "Valgrind runs the suites on epoll, and the ground: while io_uring_enter() waits it lets "
        "no other thread of the program go on",
}
ALWAYS, SERVERS, SCALE, PROGRAMS, STARTED, FLAGS, SLOW = (
    [list(LEFT_OUT)[0], list(LEFT_OUT)[1]], *([pattern] for pattern in list(LEFT_OUT)[2:]))
ABROAD = ALWAYS + SERVERS + SCALE + PROGRAMS
EMULATED = ABROAD + STARTED + FLAGS
# Memory's growth says nothing of what a sanitizer keeps, and torture has a target of its own.
LABELS_LEFT_OUT = "torture|soak"
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}

# libcheck, which the tests are written with, has to be built for other C libraries and processors.
CHECK = "https://deb.debian.org/debian/pool/main/c/check/check_0.15.2.orig.tar.gz"
CHECK_SHA256 = "8451b68ac5d6f3157b24f22eceff575bcf566264f6d78f3852f89d4e08cf42e1"


class Cell:
    """One way to build, and which tests are left out there, and why."""

    def __init__(self, name, *options, needs=(), without=tuple(ALWAYS), foreign=None, only=None,
                 place=None):
        self.name, self.options, self.needs = name, list(options), needs
        self.without, self.only = list(without), only
        self.foreign = foreign  # the options of a toolchain that is not this machine's
        self.place = place or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")

    def lacks(self):
        return [need for need in self.needs
                if not (os.path.exists(need) if "/" in need else shutil.which(need))]


def compiled(compiler, flags):
    return Cell(f"{compiler} {flags}", f"-DCMAKE_C_COMPILER={compiler}",
                f"-DCMAKE_C_FLAGS_DEBUG={flags} -g", needs=(compiler,))


def thin():
    """The parts of the library that are the same in hundreds of programs are optimized once."""
    cell = compiled("clang", "-O3 -flto=thin")
    cell.options.append("-DCMAKE_EXE_LINKER_FLAGS_DEBUG=-Wl,-plugin-opt,cache-dir=thin")
    return cell


def sanitized(compiler, what, name):
    return Cell(f"{compiler}, {name}", f"-DCMAKE_C_COMPILER={compiler}",
                f"-DASYNCIO_SANITIZE={what}", "-DCMAKE_C_FLAGS_DEBUG=-O1 -g", needs=(compiler,))


def foreign(name, compiler, *options, flags="", level="-O1", needs=(), without=ABROAD):
    toolchain = [f"-DCMAKE_C_COMPILER={compiler}", f"-DCMAKE_ASM_COMPILER={compiler}",
                 f"-DCMAKE_C_FLAGS={flags}",
                 f"-DCMAKE_ASM_FLAGS={flags}", *options]
    return Cell(name, f"-DCMAKE_C_FLAGS_DEBUG={level} -g", "-DASYNCIO_TLS=OFF",
                needs=(compiler, *needs), without=without, foreign=toolchain)


def emulated(processor, triplet, level="-O1"):
    qemu = f"qemu-{processor}"
    return foreign(f"{processor}, by qemu", f"{triplet}-gcc", "-DCMAKE_SYSTEM_NAME=Linux",
                   f"-DCMAKE_SYSTEM_PROCESSOR={processor}",
                   f"-DCMAKE_CROSSCOMPILING_EMULATOR={qemu};-L;/usr/{triplet}", level=level,
                   needs=(qemu,), without=EMULATED)


LIBGCC_32 = "/usr/lib/gcc/x86_64-linux-gnu/12/32/libgcc.a"
KERNEL_HEADERS = "-idirafter /usr/include/x86_64-linux-gnu"
CELLS = [
    compiled("gcc", "-O0"), compiled("gcc", "-O2"), compiled("gcc", "-O3 -flto"),
    compiled("clang", "-O0"), compiled("clang", "-O2"), thin(),
    sanitized("gcc", "address,undefined", "ASan and UBSan"), sanitized("gcc", "thread", "TSan"),
    sanitized("clang", "address,undefined", "ASan and UBSan"),
    sanitized("clang", "thread", "TSan"),
    # Its libcheck is built for it, too; OpenSSL would have to be.
    Cell("clang, MSan", "-DCMAKE_C_FLAGS_DEBUG=-O1 -g", "-DASYNCIO_TLS=OFF",
         "-DASYNCIO_SANITIZE=memory", needs=("clang",),
         foreign=["-DCMAKE_C_COMPILER=clang", "-DCMAKE_C_FLAGS=-fsanitize=memory"]),
    Cell("gcc, Valgrind", "-DCMAKE_C_FLAGS_DEBUG=-O1 -g", "-DASYNCIO_VALGRIND=ON",
         "-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=x86_64",
         "-DCMAKE_CROSSCOMPILING_EMULATOR=valgrind;-q;--error-exitcode=9;--trace-children=no",
         needs=("valgrind",), without=ABROAD + SLOW),
    foreign("i386", "gcc-12", flags=f"-m32 {KERNEL_HEADERS}", needs=(LIBGCC_32,)),
    # Its specifications forget the index of the tables by which stacks are followed.
    foreign("musl", "musl-gcc", f"-DCMAKE_C_STANDARD_LIBRARIES={ROOT}/tools/musl_unwind.c",
            "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--eh-frame-hdr",
            "-DCMAKE_SHARED_LINKER_FLAGS=-Wl,--eh-frame-hdr",
            flags=f"-idirafter /usr/include {KERNEL_HEADERS}"),
    emulated("aarch64", "aarch64-linux-gnu"), emulated("riscv64", "riscv64-linux-gnu"),
    # gcc 12.2 for ARM drops half of the constant in `x < 0 ? x : ASYNCIO_ESTATE`, but only at -O1.
    emulated("arm", "arm-linux-gnueabihf", "-O2"),
    # Last, and alone: for some minutes the whole machine has no io_uring.
    Cell("io_uring refused", "-DCMAKE_C_COMPILER=gcc", "-DCMAKE_C_FLAGS_DEBUG=-O2 -g", without=(),
         only="^refused/", place="gcc-o2"),
]


class Log:
    """Where a cell's commands tell what they do."""

    def __init__(self, path, goes_on):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not goes_on or not path.exists():
            path.write_text("")

    def run(self, words, cwd=ROOT, environment=None, limit=7200):
        """True: it succeeded."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(map(str, words))}\n")
            file.flush()
            try:
                return subprocess.run(
                    words, cwd=cwd, stdin=subprocess.DEVNULL, stdout=file, check=False,
                    stderr=subprocess.STDOUT, timeout=limit,
                    env={**os.environ, **(environment or {})}).returncode == 0
            except subprocess.TimeoutExpired:
                file.write("too late\n")
                return False

    def text(self):
        return self.path.read_text(errors="replace")


# ---- libcheck for others -------------------------------------------------------------------------


def check_sources(build):
    place = build / "check-0.15.2"
    if not place.exists():
        with urllib.request.urlopen(CHECK) as answer:
            data = answer.read()
        if hashlib.sha256(data).hexdigest() != CHECK_SHA256:
            sys.exit(f"{CHECK} is not what it was")
        archive = build / "check.tar.gz"
        build.mkdir(parents=True, exist_ok=True)
        archive.write_bytes(data)
        shutil.unpack_archive(archive, build)
    return place


def build_check(cell, build, directory, log):
    """Installs it below `directory`; False: it could not be built."""
    made, installed = directory / "check-build", directory / "check"
    if (installed / "lib" / "pkgconfig" / "check.pc").exists():
        return True
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF", "-DCHECK_ENABLE_TESTS=OFF",
               f"-DCMAKE_INSTALL_PREFIX={installed}", "-DCMAKE_INSTALL_LIBDIR=lib",
               "-DHAVE_SUBUNIT=0"]
    return (log.run(["cmake", "-S", check_sources(build), "-B", made, *cell.foreign, *options]) and
            log.run(["cmake", "--build", made, "-j2"]) and log.run(["cmake", "--install", made]))


# ---- a cell --------------------------------------------------------------------------------------


FIRST_COUNT = re.compile(r"% tests passed, \d+ tests failed out of (\d+)")  # that of all


def tested(text):
    """(tests, names of those that failed) as CTest tells them, of its last run in this text."""
    found = list(re.finditer(r"% tests passed, (\d+) tests failed out of (\d+)", text))
    if not found:
        return 0, []
    names = re.findall(r"^\s*\d+ - (\S+) \((?:Failed|Timeout|SEGFAULT|Subprocess|Child|Not Run)",
                       text[found[-1].end():], re.M)
    return int(found[-1][2]), names


def configure(cell, build, directory, log):
    options, environment = [], {}
    if cell.foreign:
        if not build_check(cell, build, directory, log):
            return None
        options = cell.foreign
        environment["PKG_CONFIG_LIBDIR"] = str(directory / "check" / "lib" / "pkgconfig")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    done = log.run(["cmake", "-S", ROOT, "-B", directory / "build", *generator,
                    "-DCMAKE_BUILD_TYPE=Debug", "-DASYNCIO_FAULT_INJECTION=ON",
                    "-DASYNCIO_WERROR=ON", *options, *cell.options], environment=environment)
    return environment if done else None


def choose(cell, names):
    """CTest's options: these tests, or all of the cell."""
    if names:
        return ["-R", "^(" + "|".join(map(re.escape, names)) + ")$"]
    return (["-R", cell.only] if cell.only else []) + (
        ["-E", "|".join(cell.without)] if cell.without else [])


def note_skips(directory, again):
    """What the tests said that they skip, "name: reason": of all, and of those run again."""
    path = directory / "skips.txt"
    said = (directory / "build" / "Testing" / "Temporary" / "LastTest.log").read_text(
        encoding="utf-8", errors="replace")
    skips = set(path.read_text(encoding="utf-8").splitlines()) if again and path.exists() else set()
    skips |= set(re.findall(r"^SKIPPED (\S+: .+)$", said, re.M))
    path.write_text("".join(f"{line}\n" for line in sorted(skips)), encoding="utf-8")
    return skips


def run_tests(cell, directory, log, jobs, failed):
    """(tests, failed, how many passed at a second go).  `failed`: none, or those of last time."""
    options = ["-j", "1" if cell.only else str(jobs), "-LE", LABELS_LEFT_OUT, "--output-on-failure"]
    whole = FIRST_COUNT.search(log.text()) if failed else None
    log.run(["ctest", *options, *choose(cell, failed)], cwd=directory / "build",
            environment=SANITIZERS)
    count, names = tested(log.text())
    if not failed:
        return count, names, 0
    return int(whole[1]) - (len(failed) - count), names, count - len(names)  # some may be no more


def left_out(cell, directory):
    """How many tests are registered and not of this cell."""
    def count(*options):
        listed = subprocess.run(["ctest", "-N", "-LE", LABELS_LEFT_OUT, *options], check=False,
                                cwd=directory / "build", capture_output=True, text=True).stdout
        return int(re.findall(r"Total Tests: (\d+)", listed)[-1])
    return count() - count(*choose(cell, []))


def run_cell(cell, build, jobs, again):
    """What became of it, whether all is well, how many tests are left out, what was skipped."""
    lacking = cell.lacks()
    if lacking:
        return f"lacks {', '.join(lacking)}", False, 0, []
    directory = build / cell.place
    log = Log(directory / f"{'refused' if cell.only else 'log'}.txt", again)
    failed = tested(log.text())[1] if again else []
    if configure(cell, build, directory, log) is None:
        return f"cannot be configured: {log.path}", False, 0, []
    if not log.run(["cmake", "--build", directory / "build", "-j", str(jobs)]):
        return f"does not compile: {log.path}", False, 0, []
    count, names, second = run_tests(cell, directory, log, jobs, failed)
    skips = note_skips(directory, bool(failed))
    omitted = left_out(cell, directory)
    if count == 0 or names:
        return f"{len(names)} of {count} failed: {' '.join(names[:6])}", False, omitted, skips
    outcome = f"{count} passed" + (f", {len(skips)} tests in them skipped" if skips else "")
    if second:
        outcome += f"; only {second} of them on this commit, mended, and the others before it"
    return outcome, True, omitted, skips


# ---- the page ------------------------------------------------------------------------------------


def commit():
    said = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False).stdout.strip()
    return said or "?"


def skip_rows(skips):
    """What a cell skipped, a row for each reason, most first."""
    reasons = collections.Counter(line.partition(": ")[2].replace("|", "/") for line in skips)
    return [f"{count} | {reason}" for reason, count in reasons.most_common()]


def page(lines, known, known_skips):
    """`known`: the rows that the page has, by cell."""
    today = datetime.date.today()
    rows, skipped = dict(known), dict(known_skips)
    for name, outcome, omitted, skips, built, seconds in lines:
        rows[name] = f"| {name} | {outcome} | {omitted} | {seconds:.0f} | {built} | {today} |"
        skipped[name] = skip_rows(skips)
    yield "# The matrix\n"
    yield ("Each row is what `tools/matrix.py --record docs/proof/matrix.md CELL` said when the "
           "cell was run last, on which commit; `make matrix` runs them all.  tools/matrix.py says "
           "what the cells are.  Every cell runs its suites on epoll, poll, io_uring and the "
           "simulated network where nothing else is said.\n")
    yield "| cell | outcome | left out | seconds | commit | date |"
    yield "| --- | --- | ---: | ---: | --- | --- |"
    for cell in CELLS:
        yield rows.get(cell.name, f"| {cell.name} | not run yet | | | | |")
    yield "\nTests that ran and skipped themselves, and why (a name counts once):\n"
    yield "| in | tests | why |\n| --- | ---: | --- |"
    for cell in CELLS:
        yield from (f"| {cell.name} | {row} |" for row in skipped.get(cell.name, []))
    yield "\nWhat is left out, and why (torture and soak have targets and pages of their own):\n"
    yield "| tests | why | in |\n| --- | --- | --- |"
    for pattern, why in LEFT_OUT.items():
        cells = [cell.name for cell in CELLS if pattern in cell.without]
        where = "all but io_uring refused" if len(cells) == len(CELLS) - 1 else ", ".join(cells)
        escaped = pattern.replace("|", "\\|")
        yield f"| `{escaped}` | {why} | {where} |"


def record(path, lines):
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    known = {match[1]: match[0] for match in
             re.finditer(r"^\| (.+?) \| .* \| \d{4}-\d\d-\d\d \|$", text, re.M)}
    skips = collections.defaultdict(list)
    for name, row in re.findall(r"^\| ([^|]+) \| (\d+ \| [^|]+) \|$", text, re.M):
        skips[name].append(row)
    path.write_text("\n".join(page(lines, known, skips)) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "matrix")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--record", type=pathlib.Path)
    arguments = parser.parse_args()
    chosen = [cell for cell in CELLS
              if not arguments.words or any(word in cell.name for word in arguments.words)]
    if arguments.list:
        print("\n".join(cell.name for cell in chosen))
        return 0
    lines, failed = [], 0
    for cell in chosen:
        begin, built = time.monotonic(), commit()
        outcome, well, omitted, skips = run_cell(cell, arguments.build.resolve(), arguments.jobs,
                                                 arguments.again)
        lines.append((cell.name, outcome, omitted, skips, built, time.monotonic() - begin))
        failed += not well
        print(f"{cell.name:28} {outcome}  ({lines[-1][-1]:.0f} s)", flush=True)
        if arguments.record:
            record(arguments.record, [lines[-1]])
    print(f"MATRIX {len(chosen)} cells, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
