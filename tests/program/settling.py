"""Waiting until nothing moves in a program."""

import time

from conftest import run_unpark

READS_LINES = "bufio.(*Scanner).Scan"


def settled(program, main=None, timeout=120):
    """PROGRAM once nothing in it runs or is about to, the runtime's own goroutines included (the collector's leave old
    words on the stacks of threads); with MAIN, once its main waits in that function for what it is asked next, no
    longer in the write that answered. What it was asked for last is then over."""
    deadline = time.monotonic() + timeout
    while True:
        moving = run_unpark("dump", program.pid, "--all", "--state", "running,runnable", "--exit-code")
        first = run_unpark("dump", program.pid, "--goroutine=1", "--json") if main else moving
        if moving.code == 0 and (main is None or (first.code == 0 and f'"{main}"' in first.out)):
            return program
        assert time.monotonic() < deadline, ("the program does not come to rest", moving, first)
