"""`--stop`: the stacks of goroutines that run, from the registers of their threads."""

import os
import re
import time

import pytest
from conftest import FIXTURES, run_unpark
from go_text import frames, goroutines, is_running, status


def stop(program):
    """What --stop shows of PROGRAM, which runs on afterwards: the goroutines' blocks."""
    result = run_unpark("dump", program.pid, "--stop", "--max-stop", "0", "--format", "go")
    assert result.code == 0 and result.err == "", result
    for thread in os.listdir(f"/proc/{program.pid}/task"):
        text = open(f"/proc/{program.pid}/task/{thread}/status", encoding="ascii").read()
        assert re.search(r"^State:\s+[RSD]", text, re.M), text
        assert re.search(r"^TracerPid:\s+0$", text, re.M), text
    return goroutines(result.out)


def lines_of(path, *texts):
    """The numbers of the lines of source file PATH that hold each of TEXTS."""
    lines = (FIXTURES / path).read_text().split("\n")
    return [{number for number, line in enumerate(lines, 1) if text in line} for text in texts]


def chain(block):
    """The functions of BLOCK's frames with their lines, outermost last."""
    return [(function, int(place.rsplit(":", 1)[1])) for function, place in frames(block)]


@pytest.mark.parametrize("kind", ["default", "stripped", "pie", "noopt"])
def test_spinning_goroutine(toolchain, kind, start):
    program = start(toolchain.build("running", kind))
    call, = lines_of("running/main.go", "spin(depth - 1)")
    running = 0
    for _ in range(100):
        spinning = [block for block in stop(program).values() if "main.spin(" in block]
        assert len(spinning) == 1 and is_running(spinning[0])
        found = chain(spinning[0])
        assert found[-1][0] == "created by main.main"
        assert [name for name, line in found[-4:-1] if line in call] == 3 * ["main.spin"]
        inner = [name for name, _ in found[:-4]]
        assert inner[-1] == "main.spin" and len(inner) <= 3
        assert set(inner[:-1]) <= {"main.work", "sync/atomic.LoadInt32", "runtime.asyncPreempt"}
        # Now and then Go's scheduler lets it wait for a moment.
        running += status(spinning[0]) == "running"
        if running == 5:
            break
    assert running == 5


def test_no_stack_of_what_runs_without_a_stop(parked, newest, start):
    assert "stack unavailable" not in run_unpark("dump", parked.pid, "--format", "go").out
    program = start(newest.build("running"))
    for _ in range(100):
        blocks = goroutines(run_unpark("dump", program.pid, "--format", "go").out)
        spinning = [block for block in blocks.values() if "created by main.main" in block]
        assert len(spinning) == 1
        if status(spinning[0]) == "running":
            break
    assert "\n\tgoroutine running on other thread; stack unavailable\n" in spinning[0]
    assert "main.spin(" not in spinning[0]


def test_goroutines_in_c_and_in_a_signal_handler(toolchain, start):
    program = start(toolchain.build("foreign", "dynamic"), "spin", env={"GODEBUG": "asyncpreemptoff=1"})
    turn, loop = lines_of("foreign/main.go", "turn(depth - 1)", "atomic.LoadInt32(&turning) > 0")
    spinners = {"main.spinInGo": 3, "main.interrupted": 2}
    checked = 0
    deadline = time.monotonic() + 60
    while checked < 3 and time.monotonic() < deadline:
        blocks = stop(program)
        found = {}
        for number, block in blocks.items():
            names = [name for name, _ in chain(block)]
            outermost = next((name for name in reversed(names) if not name.startswith("created by ")), None)
            found[outermost] = (number, status(block), chain(block))
        _, state, stack = found["main.spinInC"]
        assert state == "syscall" and stack[0][0] == "main._Cfunc_spin_in_c"
        if any(found[name][1] == "runnable" for name in spinners):
            continue  # on a busy machine one may have had to give its thread up just then
        for name, depth in spinners.items():
            _, state, stack = found[name]
            assert state == "running" and stack[-1][0] == "created by main.spin"
            assert [function for function, _ in stack[:-2]] == depth * ["main.turn"]
            assert stack[0][1] in {number + offset for number in loop for offset in (0, 1)}
            assert {line for _, line in stack[1:depth]} <= turn
        checked += 1
    assert checked == 3
    # What it was not asked to stop for is no other than with a stop.
    without = goroutines(run_unpark("dump", program.pid, "--format", "go").out)
    parked = set(blocks) - {found[name][0] for name in spinners}
    assert parked <= {number for number, block in without.items() if "stack unavailable" not in block}
    assert all(without[number] == blocks[number] for number in parked)
