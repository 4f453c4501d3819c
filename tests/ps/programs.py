"""Programs that asyncio-ps is shown, and looks at them."""

import subprocess


class Program:
    """Runs until it is left; with its process's number."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self.process.pid

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(30) == 0


def look(*command, **options):
    return subprocess.run([*map(str, command)], capture_output=True, encoding="utf-8",
                          errors="replace", timeout=120, **options)
