#!/usr/bin/env python3
"""asyncio-ps while its calls fail: faults.py PS_FAULTS WAITS

GRF-07: whatever fails, it says so with exit code 1, or shows all tasks, without their stacks at
most.  See faults.c for what fails.
"""

import errno
import itertools
import os
import re
import sys
import unittest

import programs

PS, WAITS = sys.argv[1:3]
NOT_REACHED = "faults: not reached\n"


def look(fault, pid, command):
    return programs.look(PS, "--retries", 0, command, pid, env=dict(os.environ, PS_FAULT=fault))


def rows(text):
    """The table without stacks: what is best effort."""
    return [re.sub(r"(0x\w+ +\S+ ).*?( \| )", r"\1\2", line) for line in text.splitlines()]


def heads(text):
    """The tree without stacks."""
    return [line for line in text.splitlines() if "(thread " in line]


class Faults(unittest.TestCase):
    def judge(self, result, whole, command, pid):
        """Whether it has told of a failure."""
        self.assertIn(result.returncode, (0, 1), result.stderr)
        if result.returncode == 1:
            self.assertRegex(result.stderr, rf"\Aasyncio-ps: [^\n]*process {pid}[^\n]*\n\Z")
            self.assertEqual(result.stdout, "")
            return True
        self.assertEqual(result.stderr, "")
        part = rows if command == "ps" else heads
        self.assertEqual(part(result.stdout), part(whole))
        return False

    def each(self, kind, command, least):
        """Fails call after call, until there are no more."""
        with programs.Program(WAITS) as pid:
            whole = programs.look(PS, command, pid).stdout
            told = 0
            for number in itertools.count(1):
                result = look(f"{kind}:{number}", pid, command)
                if result.stderr == NOT_REACHED:
                    self.assertEqual(result.stdout, whole)
                    break
                with self.subTest(kind=kind, number=number):
                    told += self.judge(result, whole, command, pid)
        self.assertGreater(number, least)
        self.assertGreater(told, 0)
        return number

    def test_every_call_of_an_allocator_or_of_elfutils(self):
        self.each("fail", "ps", 50)
        self.each("fail", "pstree", 50)

    def test_every_read(self):
        self.each("read", "ps", 50)

    def test_every_short_read(self):
        self.each("short", "pstree", 50)

    def test_permission_that_goes(self):
        with programs.Program(WAITS) as pid:
            for number in 1, 2, 50:
                result = look(f"denied:{number}", pid, "ps")
                self.assertEqual(result.returncode, 1)
                self.assertIn("not allowed", result.stderr)

    def test_files_in_proc_that_cannot_be_read(self):
        with programs.Program(WAITS) as pid:
            for number, message in ((errno.EACCES, "not allowed"), (errno.EPERM, "not allowed"),
                                    (errno.ENOENT, "No such process"),
                                    (errno.EMFILE, "Too many open files")):
                result = look(f"proc:{number}", pid, "ps")
                self.assertEqual(result.returncode, 1)
                self.assertIn(message, result.stderr)

    def test_a_process_that_dies(self):
        for number in 1, 2, 3, 30, 60:
            program = programs.Program(WAITS)
            with self.subTest(number=number):
                result = look(f"kill:{number}", program.process.pid, "ps")
                self.assertEqual(result.returncode, 1)
                self.assertRegex(result.stderr, "No such process")
            self.assertEqual(program.process.wait(30), -9)
            program.process.stdin.close()
            program.process.stdout.close()

    def test_memory_that_is_wrong(self):
        told = shown = 0
        with programs.Program(WAITS, "together") as pid:
            for seed in range(150):
                result = look(f"wrong:{seed}", pid, ("ps", "pstree")[seed % 2])
                with self.subTest(seed=seed):
                    self.assertIn(result.returncode, (0, 1), result.stderr)
                    self.assertNotRegex(result.stdout, "[^\n -~\u00a0-\U0010ffff]")
                    if result.returncode == 1 and not result.stdout.startswith("tasks that await"):
                        self.assertRegex(result.stderr, r"\Aasyncio-ps: [^\n]*\n\Z")
                        told += 1
                    else:
                        self.assertEqual(result.stderr, "")
                        shown += 1
        self.assertGreater(told, 10)
        self.assertGreater(shown, 10)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
