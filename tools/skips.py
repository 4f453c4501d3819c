#!/usr/bin/env python3
"""What the last run of CTest skipped, and why: skips.py build/dev/Testing/Temporary/LastTest.log

The programs print "SKIPPED name: reason" for each test that they skip.
"""

import collections
import re
import sys


def skipped(log):
    """Yields (reason, where) for each skip in the text of a CTest log."""
    entry = ""
    for line in log.splitlines():
        if match := re.match(r"\d+/\d+ Test: (.+)", line):
            entry = match[1]
        elif match := re.match(r"SKIPPED (\S+): (.*)", line):
            yield match[2], f"{entry} {match[1]}"


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
        by_reason = collections.defaultdict(list)
        for reason, where in skipped(file.read()):
            by_reason[reason].append(where)
    count = sum(map(len, by_reason.values()))
    print(f"\n{count} skipped" + (":" if count else ""))
    for reason, places in sorted(by_reason.items()):
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        print(f"  {len(places):3}  {reason}: {', '.join(places[:3])}{more}")


if __name__ == "__main__":
    main()
