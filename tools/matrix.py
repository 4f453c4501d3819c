#!/usr/bin/env python3
"""Builds the library in many ways, runs the tests in each, and prints a table.

    tools/matrix.py [--list] [--build DIRECTORY] [--jobs N] [--record FILE] [WORD...]

A cell is a compiler with its options, a sanitizer, Valgrind, another C library or another
processor; in each all suites run on every back end that there is.  With words, only cells whose
name has one of them.  A cell that lacks something on this machine says so, and counts as failed.
--record writes the table as a page for docs/.
"""
import argparse
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
# What looks at the sources and not at what was built, and what counts by the machine; refusals of
# io_uring have a cell of their own.
ALWAYS_LEFT_OUT = "^house/|^gate|^refused/"
# Real servers and Python of this machine; and what would take hours where all is emulated.
ABROAD = ALWAYS_LEFT_OUT + "|^world/|^twins|^scale/|^ps/|fuzz|differential|simulation"
# ... Python starts what qemu must, reports of deadlocks want threads counted, and refusals seccomp.
EMULATED = ABROAD + ("|^examples/(http_server|protocols|reports)|^torture/subjects|^ps$"
                     "|^ground/sys_pipe_test|^rules/test_sendfile")

# libcheck, which the tests are written with, has to be built for other C libraries and processors.
CHECK = "https://deb.debian.org/debian/pool/main/c/check/check_0.15.2.orig.tar.gz"
CHECK_SHA256 = "8451b68ac5d6f3157b24f22eceff575bcf566264f6d78f3852f89d4e08cf42e1"


class Cell:
    """One way to build, and which tests are left out there, and why."""

    def __init__(self, name, *options, needs=(), without=ALWAYS_LEFT_OUT, foreign=None):
        self.name, self.options, self.needs, self.without = name, list(options), needs, without
        self.foreign = foreign  # the options of a toolchain that is not this machine's

    def lacks(self):
        return [need for need in self.needs
                if not (os.path.exists(need) if "/" in need else shutil.which(need))]


def compiled(compiler, flags):
    return Cell(f"{compiler} {flags}", f"-DCMAKE_C_COMPILER={compiler}",
                f"-DCMAKE_C_FLAGS_DEBUG={flags} -g", needs=(compiler,))


def sanitized(compiler, what, name):
    return Cell(f"{compiler}, {name}", f"-DCMAKE_C_COMPILER={compiler}",
                f"-DASYNCIO_SANITIZE={what}", "-DCMAKE_C_FLAGS_DEBUG=-O1 -g", needs=(compiler,))


def foreign(name, compiler, *options, flags="", needs=(), without=ABROAD):
    toolchain = [f"-DCMAKE_C_COMPILER={compiler}", f"-DCMAKE_ASM_COMPILER={compiler}",
                 f"-DCMAKE_C_FLAGS={flags}", *options]
    return Cell(name, "-DCMAKE_C_FLAGS_DEBUG=-O1 -g", "-DASYNCIO_TLS=OFF",
                needs=(compiler, *needs), without=without, foreign=toolchain)


def emulated(processor, triplet):
    qemu = f"qemu-{processor}"
    return foreign(f"{processor}, by qemu", f"{triplet}-gcc", "-DCMAKE_SYSTEM_NAME=Linux",
                   f"-DCMAKE_SYSTEM_PROCESSOR={processor}",
                   f"-DCMAKE_CROSSCOMPILING_EMULATOR={qemu};-L;/usr/{triplet}", needs=(qemu,),
                   without=EMULATED)


LIBGCC_32 = "/usr/lib/gcc/x86_64-linux-gnu/12/32/libgcc.a"
KERNEL_HEADERS = "-idirafter /usr/include/x86_64-linux-gnu"
CELLS = [
    compiled("gcc", "-O0"), compiled("gcc", "-O2"), compiled("gcc", "-O3 -flto"),
    compiled("clang", "-O0"), compiled("clang", "-O2"), compiled("clang", "-O3"),
    sanitized("gcc", "address,undefined", "ASan and UBSan"), sanitized("gcc", "thread", "TSan"),
    sanitized("clang", "address,undefined", "ASan and UBSan"),
    sanitized("clang", "thread", "TSan"),
    Cell("gcc, Valgrind", "-DCMAKE_C_FLAGS_DEBUG=-O1 -g", "-DASYNCIO_VALGRIND=ON",
         "-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=x86_64",
         "-DCMAKE_CROSSCOMPILING_EMULATOR=valgrind;-q;--error-exitcode=9;--trace-children=no",
         needs=("valgrind",), without=ABROAD),
    foreign("i386", "gcc-12", flags=f"-m32 {KERNEL_HEADERS}", needs=(LIBGCC_32,)),
    foreign("musl", "musl-gcc", flags=f"-idirafter /usr/include {KERNEL_HEADERS}"),
    emulated("aarch64", "aarch64-linux-gnu"), emulated("riscv64", "riscv64-linux-gnu"),
    emulated("arm", "arm-linux-gnueabihf"),
]


class Log:
    """Where a cell's commands tell what they do."""

    def __init__(self, path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
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


def tested(log):
    """(tests, failed) as CTest counts them, and the names of those that failed."""
    found = re.findall(r"% tests passed, (\d+) tests failed out of (\d+)", log.text())
    names = re.findall(r"^\s*\d+ - (\S+) \((?:Failed|Timeout|SEGFAULT|Subprocess|Child).*\)",
                       log.text(), re.M)
    return (int(found[-1][1]), int(found[-1][0]), names) if found else (0, 0, [])


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


def run_cell(cell, build, jobs):
    """What became of it, in words, and whether all is well."""
    lacking = cell.lacks()
    if lacking:
        return f"lacks {', '.join(lacking)}", False
    directory = build / re.sub(r"[^a-z0-9]+", "-", cell.name.lower()).strip("-")
    log = Log(directory / "log.txt")
    if configure(cell, build, directory, log) is None:
        return f"cannot be configured: {log.path}", False
    if not log.run(["cmake", "--build", directory / "build", "-j", str(jobs)]):
        return f"does not compile: {log.path}", False
    log.run(["ctest", "-j", str(jobs), "-LE", "torture", "-E", cell.without,
             "--output-on-failure"], cwd=directory / "build")
    count, failed, names = tested(log)
    if count == 0 or failed > 0:
        return f"{failed} of {count} failed: {' '.join(names[:6])}", False
    skipped = len(set(re.findall(r"^SKIPPED (\S+)", log.text(), re.M)))
    return f"{count} passed" + (f", {skipped} tests skipped" if skipped else ""), True


def page(lines, arguments):
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True, check=False).stdout.strip()
    command = " ".join(["tools/matrix.py", *arguments.words])
    yield "# The matrix, last run in full\n"
    yield (f"{datetime.date.today()}, commit {commit}, `{command}`; what the cells are is in "
           "tools/matrix.py.\n")
    yield "| cell | outcome | seconds |\n| --- | --- | ---: |"
    for name, outcome, seconds in lines:
        yield f"| {name} | {outcome} | {seconds:.0f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--list", action="store_true")
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
        begin = time.monotonic()
        outcome, well = run_cell(cell, arguments.build, arguments.jobs)
        lines.append((cell.name, outcome, time.monotonic() - begin))
        failed += not well
        print(f"{cell.name:28} {outcome}  ({lines[-1][2]:.0f} s)", flush=True)
    if arguments.record:
        arguments.record.write_text("\n".join(page(lines, arguments)) + "\n")
    print(f"MATRIX {len(chosen)} cells, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
