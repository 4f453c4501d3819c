#!/usr/bin/env python3
"""asyncio-ps looks at running programs: check.py ASYNCIO_PS WAITS

GRF-06: a table of the tasks, and a tree of who awaits whom; a cycle is shown as one.
GRF-07: by reading memory alone; what cannot be read is told, with exit code 1.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import programs

PS, WAITS = sys.argv[1:3]


def program(*arguments):
    return programs.Program(WAITS, *arguments)


def look(*arguments):
    return programs.look(PS, *arguments)


class Table(unittest.TestCase):
    def test_lists_each_task_with_stack_and_awaiters(self):
        with program() as pid:
            result = look("ps", pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = {match[1]: line for line in result.stdout.splitlines()
                 if (match := re.search(r" (Task-1|inner|outer|waiter|locked) ", line))}
        self.assertEqual(len(result.stdout.splitlines()), 6, result.stdout)
        frames = subprocess.run([WAITS, "frames"], stdout=subprocess.PIPE, text=True, timeout=30,
                                check=True).stdout.strip()
        # Where the compiler makes jumps of last calls, one may have taken the place of this one.
        sleep = {"kept": "asyncio_sleep <- ", "jumps": "(asyncio_sleep <- )?"}[frames]
        self.assertRegex(lines["inner"],
                         rf" {sleep}sleep_long \| outer <- waiter \| outer \| 0x")
        self.assertRegex(lines["outer"], r"await_inner \| waiter \| waiter \| 0x")
        self.assertRegex(lines["waiter"], r"await_outer \|  \|  \| 0")
        self.assertIn("asyncio_lock_acquire <- want_lock", lines["locked"])
        self.assertIn("asyncio_to_thread <- stand <- chain", lines["Task-1"])
        threads = {line.split()[0] for line in lines.values()}
        self.assertEqual(threads, {str(pid)})  # the main thread runs the loop

    def test_has_a_line_for_each_awaiter(self):
        with program("together") as pid:
            result = look("ps", pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        edges = {(match[1], match[2]) for line in result.stdout.splitlines()
                 if (match := re.search(r"0x\w+ +(\S+) .*\| (\S*) \| (?:0x\w+|0)$", line))}
        children = {(name, "Task-1") for name in ("sleeper", "gatherer", "watcher", "shielder")}
        watched = {("sleeper", "watcher"), ("sleeper", "shielder")}
        gathered = {edge for edge in edges if edge[1] == "gatherer"}
        self.assertEqual(edges, {("Task-1", "")} | children | watched | gathered)
        self.assertEqual(len(gathered), 2)
        self.assertTrue(all(re.fullmatch(r"Task-\d+", name) for name, _ in gathered))

    def test_survives_tasks_that_come_and_go(self):
        with program("busy") as pid:
            results = [look("--retries", 100, "ps", pid) for _ in range(20)]
        for result in results:
            self.assertIn(result.returncode, (0, 1), result.stderr)
            self.assertIn("task name" if result.returncode == 0 else "--retries",
                          result.stdout + result.stderr)
        self.assertTrue(any(result.returncode == 0 for result in results))


    def test_tells_nothing_of_a_program_without_tasks(self):
        with program("none") as pid:
            table, tree = look("ps", pid), look("pstree", pid)
        self.assertEqual((table.returncode, tree.returncode), (0, 0), table.stderr + tree.stderr)
        self.assertEqual(len(table.stdout.splitlines()), 1)
        self.assertEqual(tree.stdout, "")

    def test_shows_the_innermost_of_very_deep_calls(self):
        with program("deep") as pid:
            result = look("ps", pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        line = next(line for line in result.stdout.splitlines() if "descend" in line)
        self.assertRegex(line, r" deep +asyncio_lock_acquire( <- descend){63} \|")


class Tree(unittest.TestCase):
    def test_shows_who_awaits_whom(self):
        with program() as pid:
            result = look("pstree", pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        heads = [line for line in result.stdout.splitlines() if "(thread " in line]
        names = [re.match(r"( *)(\S+) \(thread", line).groups() for line in heads]
        chain = names[names.index(("", "waiter")):][:3]
        self.assertEqual(chain, [("", "waiter"), ("    ", "outer"), ("        ", "inner")])
        self.assertIn("waits for a lock", result.stdout)
        self.assertRegex(result.stdout, r"want_lock waits\.c:\d+")

    def test_shows_a_task_below_each_that_awaits_it(self):
        with program("together") as pid:
            result = look("pstree", pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        heads = [match.groups() for line in result.stdout.splitlines()
                 if (match := re.match(r"( *)(\S+) \(thread", line))]
        self.assertEqual([len(indent) // 4 for indent, name in heads if name == "sleeper"],
                         [1, 2, 2])
        self.assertEqual(heads[0], ("", "Task-1"))
        self.assertEqual(len(heads), 9)

    def test_names_a_cycle(self):
        with program("cycle") as pid:
            tree, table = look("pstree", pid), look("ps", pid)
        self.assertEqual(tree.returncode, 1)
        self.assertRegex(tree.stdout, "one <- other <- one|other <- one <- other")
        self.assertEqual(table.returncode, 0)


class Refusals(unittest.TestCase):
    def test_a_process_without_the_library(self):
        with subprocess.Popen(["sleep", "60"]) as other:
            result = look("ps", other.pid)
            other.kill()
        self.assertEqual(result.returncode, 1)
        self.assertIn("does not use libasyncio", result.stderr)

    def test_no_such_process(self):
        child = subprocess.Popen(["true"])
        child.wait()
        result = look("ps", child.pid)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"process {child.pid}: No such process", result.stderr)

    def test_usage(self):
        for arguments in ([], ["ps"], ["ps", "x"], ["ps", "1x"], ["ps", "0"], ["ps", ""],
                          ["ps", "2147483648"], ["ps", "9" * 30], ["tree", "1"], ["ps", "1", "2"],
                          ["--retries", "-1", "ps", "1"], ["--retries", "1001", "ps", "1"],
                          ["--retries", "x", "ps", "1"], ["--retries"], ["--other", "ps", "1"]):
            result = look(*arguments)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertIn("usage: ", result.stderr)

    def test_output_that_cannot_be_written(self):
        for tasks in "few", "many": # less than a buffer of the C library's, and more
            with program(tasks) as pid, open("/dev/full", "w") as full:
                result = subprocess.run([PS, "ps", str(pid)], stdout=full, stderr=subprocess.PIPE,
                                        text=True, timeout=30)
            self.assertEqual(result.returncode, 1)
            self.assertEqual(result.stderr, "asyncio-ps: cannot write to its output\n")

    def test_a_program_whose_file_is_gone(self):
        with tempfile.TemporaryDirectory() as directory:
            with programs.Program(shutil.copy(WAITS, directory)) as pid:
                os.remove(os.path.join(directory, os.path.basename(WAITS)))
                result = look("ps", pid)
        self.assertEqual(result.returncode, 1)
        self.assertIn("the file with it is gone", result.stderr)

    @unittest.skipIf(os.getuid() != 0, "only root can become somebody who may not look")
    def test_no_permission(self):
        # The build may lie where nobody else may go.
        with program() as pid, tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            result = subprocess.run([shutil.copy(PS, directory), "ps", str(pid)], user=65534,
                                    cwd="/", capture_output=True, text=True, timeout=30)
        self.assertEqual(result.returncode, 1)
        self.assertIn("not allowed", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
