"""Waiting until nothing moves in a program."""

import time


def settled(unpark, program, timeout=60):
    """PROGRAM once none of its goroutines runs or is about to; what it was asked for last is then over."""
    deadline = time.monotonic() + timeout
    while unpark("dump", program.pid, "--state", "running,runnable", "--exit-code").code == 1:
        assert time.monotonic() < deadline, "the program does not come to rest"
    return program
