"""record.py - which check noticed which bug: the table of docs/proof/planted.md.

A row is of one bug and one of those who are meant to notice it, and says at which commit and on
which day it was tried.  What is recorded is kept until it is tried again, so that a run which is
stopped has lost nothing.
"""
import datetime
import fcntl
import subprocess
import typing

from planting import ROOT

PAGE = ROOT / "docs" / "proof" / "planted.md"
HEAD = "| bug | in | tried by | noticed by | commit | day |"
RULE = "| --- | --- | --- | --- | --- | --- |"
COUNT = "Recorded: "
NOT_NOTICED = "NOT NOTICED"


class Row(typing.NamedTuple):
    bug: str
    file: str
    by: str
    noticed: str
    commit: str
    day: str

    def line(self):
        return "| " + " | ".join(self) + " |"


def rows_of(text):
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == len(Row._fields) and line not in (HEAD, RULE):
            row = Row(*cells)
            rows[row.bug, row.by] = row
    return rows


def read(page=PAGE):
    return rows_of(page.read_text()) if page.exists() else {}


def commit():
    """Of what is tried; with a + if the sources are not those of the commit."""
    def git(*words):
        return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True,
                              check=False).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no", "src", "include", "tests")
    return (git("rev-parse", "--short=7", "HEAD") or "?") + ("+" if changed else "")


def row_of(bug, by, verdict, at):
    noticed = verdict.by.replace("|", "/") if verdict.noticed else NOT_NOTICED
    return Row(bug.name, bug.file, by, noticed, at, str(datetime.date.today()))


def counted(rows, bugs):
    noticed = sum(row.noticed != NOT_NOTICED for row in rows)
    whole = len({row.bug for row in rows})
    return (f"{COUNT}{whole} of {len(bugs)} bugs, {noticed} of "
            f"{sum(len(bug.by.split()) for bug in bugs)} checks noticed theirs, "
            f"{len(rows) - noticed} did not.")


def with_rows(text, rows, bugs):
    """The page up to its count, and the count and the table anew; in the order of the tables of
    bugs, without those that are there no more."""
    order = [rows.get((bug.name, by)) for bug in bugs for by in bug.by.split()]
    kept = [row for row in order if row]
    prose = text.partition(COUNT)[0].rstrip("\n")
    table = [counted(kept, bugs), "", HEAD, RULE, *(row.line() for row in kept)]
    return "\n".join([prose, "", *table]) + "\n"


def add(page, row, bugs):
    """Another run may write its rows at the same time."""
    with open(page, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        rows = {**rows_of(text), (row.bug, row.by): row}
        new = with_rows(text, rows, bugs)
        file.truncate(0)
        file.write(new)
