"""pythons.py - the newest Python of this machine that has the asyncio of 3.13 or later."""
import glob
import os
import shutil
import subprocess
import sys

LIMIT = 20


def python_version(python):
    """The version of a Python, or None if its asyncio is too old."""
    probe = "import sys, asyncio; asyncio.Queue.shutdown; print(*sys.version_info[:3])"
    try:
        done = subprocess.run([python, "-c", probe], capture_output=True, text=True, timeout=LIMIT)
    except OSError:
        return None
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else None


def find_python():
    """Its path, or None."""
    found = {sys.executable}
    for name in ("python3", "python3.13", "python3.14", "python3.15"):
        found.add(shutil.which(name))
    found.update(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python3")))
    versions = {python_version(python): python for python in found if python}
    versions.pop(None, None)
    return versions[max(versions)] if versions else None
