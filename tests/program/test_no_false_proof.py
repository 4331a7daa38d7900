"""No false proof: goroutines that something alive can still wake are never called stuck, whatever holds what they wait
for; and the same goroutines are proved stuck when nothing holds it, without which the first would prove nothing."""

import os
import re
import shutil
import subprocess

import pytest
from conftest import run_unpark
from settling import settled

# How many goroutines of the control run may be missed: small objects without pointers, as a Mutex is, share their memory
# with others, which may keep them reachable.
MISSED_MAX = 2
HANDOFF_LOOKS = 15
PROVED = re.compile(r"^goroutine (\d+) .*\(leaked\)", re.MULTILINE)
GONE = 3


def prove(pid):
    """The ids of the goroutines of PID that are proved stuck. Nothing may be in doubt: doubt proves nothing."""
    found = run_unpark("leaks", pid, "--freeze", "always", "--max-stop", "0", "--format", "go")
    assert found.code in (0, 1) and found.err == "", found
    return set(map(int, PROVED.findall(found.out)))


def named(program):
    """The goroutines that the fixture names: id to name."""
    pairs = [word.rsplit("=", 1) for word in program.words]
    return {int(number): name for name, number in pairs}


def check_held(program):
    """Stuck are only those that are meant to be."""
    names = named(program)
    proved = prove(program.pid)
    wrong = sorted(names.get(number, f"goroutine {number}") for number in proved
                   if not names.get(number, "").startswith("stuck"))
    assert wrong == []
    assert {name for name in names.values() if name.startswith("stuck")} == {names[number] for number in proved}
    return len(names)


def check_dropped(program):
    """Stuck are all that have a name."""
    settled(program)
    names = named(program)
    proved = prove(program.pid)
    missed = sorted(name for number, name in names.items() if number not in proved)
    assert len(missed) <= MISSED_MAX, missed
    assert proved <= set(names), sorted(proved - set(names))


@pytest.mark.parametrize("kind", ["stripped", "noopt"])
def test_holders(toolchain, kind, start):
    assert check_held(start(toolchain.build("holders", kind))) > 100


def test_dropped(toolchain, start):
    check_dropped(start(toolchain.build("holders", "stripped"), "dropped"))


def test_holders_in_c(toolchain, start):
    binary = toolchain.build("cgoholders", "dynamic", flags=["-ldflags=-linkmode=external -s -w"])
    check_held(start(binary))
    check_dropped(start(binary, "dropped"))


def test_holders_beside_c(newest, start):
    check_held(start(newest.build("holders", "dynamic")))


@pytest.mark.parametrize("processors", ["1", "4"])
def test_handoff(toolchain, processors, start):
    """Nobody is stuck for longer than it takes to be woken, though often nobody else knows what is handed over. With
    one processor a waker is often interrupted between taking a goroutine out of its queue and waking it."""
    program = start(toolchain.build("handoff", "stripped"), env={"GOMAXPROCS": processors})
    certain = doubts = 0
    for _ in range(HANDOFF_LOOKS):
        found = run_unpark("leaks", program.pid, "--freeze", "always", "--max-stop", "0", "--json")
        assert found.code in (0, 1, 5), found
        data = found.json()
        wrong = [finding for finding in data["findings"] if finding["verdict"] == "proved"]
        assert wrong == []
        assert program.alive()
        certain += data["summary"]["consistent"]
        doubts += data["summary"]["consistent"] and data["summary"]["unknown"] > 0
    assert certain > HANDOFF_LOOKS // 2
    # Who is in no queue any more in a stop is being woken, which is no doubt; few queues cannot be found at such moments.
    assert doubts <= certain // 3


def test_truncated_core(newest, start, tmp_path):
    """What a core lacks may lead to what somebody waits for: less is proved of it, never more."""
    if shutil.which("gcore") is None:
        pytest.skip("gcore is not installed (Debian: gdb)")
    binary = newest.build("holders", "stripped")
    program = start(binary)
    names = named(program)
    subprocess.run(["gcore", "-o", tmp_path / "core", str(program.pid)], capture_output=True, check=True)
    core = tmp_path / f"core.{program.pid}"
    size = core.stat().st_size
    for share in (100, 99, 95, 90, 75, 50, 25, 10):
        os.truncate(core, size * share // 100)
        found = run_unpark("leaks", core, "--exe", binary, "--format", "go")
        wrong = [names.get(number, f"goroutine {number}") for number in map(int, PROVED.findall(found.out))
                 if not names.get(number, "").startswith("stuck")]
        assert wrong == [], share
        if share == 100:
            assert len(PROVED.findall(found.out)) == 3, found
