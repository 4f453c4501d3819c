#!/usr/bin/env python3
"""asyncio-ps looks at processes that lie to it: hostile.py ASYNCIO_PS FORGED SMALL_TABLE

GRF-07: what makes no sense is told, with exit code 1; nothing is read beyond what was said, no list
is followed for ever, and no text reaches the terminal as a command.
"""

import platform
import re
import sys
import unittest

import programs

PS, FORGED, SMALL_TABLE = sys.argv[1:4]
ANOTHER = "another version"
DAMAGED = "its memory is damaged"
TOO_MUCH = "more than can be shown"
STACKS = platform.machine() == "x86_64"


def look(how, command="ps"):
    with programs.Program(FORGED, how) as pid:
        return programs.look(PS, "--retries", 1, command, pid)


class Hostile(unittest.TestCase):
    def refused(self, how, message):
        for command in "ps", "pstree":
            result = look(how, command)
            with self.subTest(how=how, command=command):
                self.assertEqual(result.returncode, 1, result.stdout)
                self.assertEqual(result.stdout, "")
                self.assertRegex(result.stderr, rf"\Aasyncio-ps: .*{message}.*\n\Z")

    def shown(self, how, command="ps"):
        """The lines."""
        result = look(how, command)
        self.assertEqual((result.returncode, result.stderr), (0, ""), how)
        self.assertNotRegex(result.stdout, "[^\n -~\u00a0-\U0010ffff]")
        return result.stdout.splitlines()

    def row(self, how, name):
        """What comes behind the task's name in the table."""
        begin = rf"\d+ +0x\w+ +{re.escape(name)} "
        lines = [line for line in self.shown(how) if re.match(begin, line)]
        self.assertEqual(len(lines), 1, lines)
        return re.sub(" +", " ", re.sub(begin, "", lines[0])).strip()


class Tables(Hostile):
    def test_a_table_that_is_another(self):
        for how in "magic", "endless magic", "version", "size", "registers":
            self.refused(how, ANOTHER)

    def test_a_table_that_is_too_small(self):
        with programs.Program(SMALL_TABLE) as pid:
            result = programs.look(PS, "ps", pid)
        self.assertEqual(result.returncode, 1)
        self.assertIn(ANOTHER, result.stderr)

    def test_offsets_that_lead_nowhere(self):
        self.refused("offsets", DAMAGED)


class Lists(Hostile):
    def test_what_is_forged_is_believed_for_its_layout(self):
        self.assertRegex(self.row("plain", "inner"),
                         r"^stands still \| middle <- outer \| middle \| 0x\w+$")
        self.assertEqual(self.row("plain", "outer"), "stands still | | | 0")

    def test_no_tasks(self):
        self.assertEqual(len(self.shown("no tasks")), 1)
        self.assertEqual(self.shown("no tasks", "pstree"), [])

    def test_links_to_nowhere(self):
        for what in "schedulers", "tasks", "handles":
            self.refused(f"{what} nowhere", DAMAGED)

    def test_circles(self):
        for what in "schedulers", "tasks", "handles":
            self.refused(f"circle of {what}", DAMAGED)

    def test_more_than_can_be_shown(self):
        for what in "tasks", "handles":
            self.refused(f"many {what}", TOO_MUCH)


class Texts(Hostile):
    def test_a_name_without_an_end_is_cut(self):
        self.row("endless name", "x" * 32)

    def test_a_name_of_absurd_size_is_cut(self):
        line = self.shown("absurd name size")[1]
        self.assertRegex(line, r" x{40}[^x].*stands still")

    def test_a_name_of_no_size(self):
        self.assertRegex(self.row("no name", "Task-7"), r"^stands still")

    def test_texts_command_no_terminal(self):
        self.assertRegex(self.row("name that commands", "in?[2J????\u00e4\u00a7"), r"^stands still")
        self.assertRegex(self.row("wait that commands", "inner"), r"^stands\?\?still\ufffd \|")

    def test_waits_that_lead_nowhere(self):
        for how in "wait nowhere", "type nowhere", "text nowhere", "text without an end":
            self.refused(how, DAMAGED)

    def test_a_text_ends_where_the_memory_does(self):
        self.assertRegex(self.row("text of the last bytes", "inner"), r"^ends \|")

    def test_a_long_text_is_cut(self):
        self.assertRegex(self.row("long text", "inner"), r"^y{63} \|")

    def test_states(self):
        self.assertRegex(self.row("states", "inner"), r"^has not started \|")
        self.assertRegex(self.row("states", "middle"), r"^stands still, cancelling \|")
        self.assertRegex(self.row("states", "outer"), r"^runs, or is ready to \|")


class Edges(Hostile):
    def test_who_waits_in_a_list(self):
        lines = [line for line in self.shown("list") if " inner " in line]
        self.assertEqual([line.rpartition(" | ")[0].rpartition(" | ")[2] for line in lines],
                         ["outer", "middle"])

    def test_more_ways_than_can_be_printed(self):
        lines = self.shown("many ways", "pstree")
        self.assertLess(len(lines), 500)
        self.assertEqual(sum("(as above)" in line for line in lines), 2 * 49)
        self.assertEqual(len(self.shown("many ways")), 1 + 3 + 2 * 2 * 50)

    def test_more_depth_than_can_be_printed(self):
        lines = self.shown("deep", "pstree")
        self.assertEqual(lines[-1].strip(), "...")
        self.assertEqual(len(lines[-2]) - len(lines[-2].lstrip()), 4 * 1000)
        table = self.shown("deep")
        self.assertEqual(len(table), 1 + 3 + 1100)
        self.assertIn(" <- ... | below | ", table[-1])
        self.assertEqual(table[-1].count("below"), 102)

    def test_a_circle_of_tasks_and_others(self):
        result = look("circle", "pstree")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, r"\Atasks that await each other: "
                         r"(inner <- middle <- inner|middle <- inner <- middle)\n\Z")
        chains = [line.split(" | ")[1] for line in self.shown("circle")[1:]]
        self.assertIn("inner <- outside", chains)


@unittest.skipUnless(STACKS, "stacks are forged on x86-64 alone")
class Stacks(Hostile):
    def test_a_frame_as_it_should_be(self):
        self.assertRegex(self.row("frame", "inner"), r"^asyncio_forged_wait <- body \|")

    def test_frames_that_cannot_be(self):
        for how in ("frame too large", "frame too small", "place outside of the frame",
                    "register outside of the frame", "no such register", "no such stack register",
                    "negative stack register", "stack nowhere", "no stack", "no registers"):
            with self.subTest(how=how):
                self.assertRegex(self.row(how, "inner"), r"^stands still \| middle")

    def test_a_stack_that_ends(self):
        self.assertRegex(self.row("stack ends", "inner"), r"^asyncio_forged_wait \|")

    def test_memory_without_a_name(self):
        self.assertRegex(self.row("nameless", "inner"), r"^asyncio_forged_wait <- 0x\w+ \|")
        lines = self.shown("nameless", "pstree")
        self.assertTrue(any(re.match(r" +0x\w+$", line) for line in lines), lines)

    def test_the_body_is_the_innermost(self):
        self.assertRegex(self.row("body first", "inner"), r"^body \|")

    def test_more_frames_than_the_library_has(self):
        self.assertRegex(self.row("long way in", "inner"), r"^between <- between <- body \|")

    def test_more_frames_than_can_be_shown(self):
        self.assertRegex(self.row("many frames", "inner"),
                         r"^asyncio_forged_wait( <- between){63} \|")


if __name__ == "__main__":
    if not STACKS:
        print(f"SKIPPED Stacks: on {platform.machine()} a stack is no list of entries")
    unittest.main(argv=sys.argv[:1])
