#!/usr/bin/env python3
"""cold.py COMMAND...: runs it, after BENCH_FILE has been put out of the page cache."""
import os
import sys


def main():
    file = os.open(os.environ["BENCH_FILE"], os.O_RDWR)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
