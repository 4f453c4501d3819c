"""Peers that are not built by CMake: Go's, tokio's, and Python with uvloop.

Each is built on demand, beside the others; what lacks its tools is missing, and its cell says so.
"""
import glob
import os
import re
import shutil
import subprocess
import sys

from measure import ROOT, Command

HERE = os.path.join(ROOT, "bench", "peers")


def newest_python():
    """The newest there is: of those that pyenv has made, else the one that runs this."""
    made = glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python3"))
    version = lambda path: [int(n) for n in path.split("/")[-3].split(".") if n.isdigit()]
    usable = [path for path in made if version(path) >= [3, 11]]
    return max(usable, key=version) if usable else sys.executable


def attempt(what, words, **more):
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    except OSError as error:
        print(f"  {what}: {error}", file=sys.stderr)
        return False
    if done.returncode != 0:
        print(f"  {what}: {done.stderr.strip()[-400:]}", file=sys.stderr)
    return done.returncode == 0


def build_go(to):
    if shutil.which("go"):
        attempt("Go", ["go", "build", "-o", os.path.join(to, "gobench"), "."],
                cwd=os.path.join(HERE, "go"))


def build_tokio(to):
    target = os.path.join(to, "tokio")
    if shutil.which("cargo") and attempt(
            "tokio", ["cargo", "build", "--release", "--quiet", "--locked", "--target-dir", target],
            cwd=os.path.join(HERE, "tokio")):
        shutil.copy(os.path.join(target, "release", "tokiobench"), to)


def build_python(to):
    """A link named python, to whichever is used, and uvloop beside it if it can be had."""
    place = os.path.join(to, "python-with-uvloop")
    python = os.path.join(place, "bin", "python3")
    if not os.path.exists(python):
        attempt("Python", [newest_python(), "-m", "venv", place])
    has = lambda: subprocess.run([python, "-c", "import uvloop"], capture_output=True,
                                 check=False).returncode == 0
    if os.path.exists(python) and not has():
        attempt("uvloop", [python, "-m", "pip", "install", "--quiet", "uvloop"])
    for name, usable in (("python", os.path.exists(python)),
                         ("uvloop", os.path.exists(python) and has())):
        link = os.path.join(to, name)
        if os.path.lexists(link):
            os.remove(link)
        if usable:
            with open(link, "w", encoding="ascii") as file:
                file.write(f'#!/bin/sh\nexec "{python}" "$@"\n')
            os.chmod(link, 0o755)


def build_all(build):
    to = os.path.join(build, "bench")
    for build_one in build_go, build_tokio, build_python:
        build_one(to)


# ---- their commands ------------------------------------------------------------------------------


def go(*words, **environment):
    return Command("./gobench", *words, needs="Go (golang-go)", **environment)


def tokio(*words, **environment):
    return Command("./tokiobench", *words, needs="Rust 1.71", **environment)


def python(*words):
    return Command("./python", "./peers/python_asyncio.py", *words, needs="python3-venv")


def nginx(**environment):
    return Command("nginx", "-p", "DIRECTORY", "-e", "stderr", "-c", "server.conf",
                   needs="nginx-light",
                   BENCH_TEMPLATE=os.path.join(HERE, "nginx.conf"), **environment)


def uvloop(*words):
    return Command("./uvloop", "./peers/python_asyncio.py", *words, needs="uvloop",
                   BENCH_UVLOOP="1")


def versions(build):
    """Of everything, for the record."""
    found = {}
    packages = {"libuv": "libuv1-dev", "libev": "libev-dev", "libevent": "libevent-dev",
                "State Threads": "libst-dev", "Boost.Asio": "libboost-dev",
                "liburing": "liburing-dev"}
    for name, package in packages.items():
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package],
                              capture_output=True, text=True, check=False)
        found[name] = done.stdout if done.returncode == 0 else "not installed"
    directory = os.path.join(build, "bench")
    for name, words in (
            ("Go", ["go", "version"]), ("nginx", ["nginx", "-v"]),
            ("OpenSSL", ["openssl", "version"]), ("rustc", ["rustc", "--version"]),
            ("Python", [os.path.join(directory, "python"), "--version"]),
            ("uvloop", [os.path.join(directory, "uvloop"), "-c",
                        "import uvloop; print(uvloop.__version__)"])):
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            words = (done.stdout or done.stderr).split()
            found[name] = next((word for word in words if re.search(r"\d\.\d", word)), "unknown")
        except OSError:
            found[name] = "not installed"
    with open(os.path.join(HERE, "tokio", "Cargo.lock"), encoding="utf-8") as file:
        text = file.read()
    found["tokio"] = text.split('name = "tokio"\nversion = "')[1].split('"')[0]
    return found
