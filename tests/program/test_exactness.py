"""`--format go` equals the runtime's own traceback, for each Go release, each way to build a program and each
place to run it in: function, arguments, file, line, inlining, creator, of every goroutine that is parked."""

import os
import shutil
import subprocess

import pytest
from builds import builds
from conftest import FIXTURES, Program, run_unpark, toolchains
from go_text import differences, goroutines, is_running


def pytest_generate_tests(metafunc):
    if "build" in metafunc.fixturenames:
        which = os.environ.get("UNPARK_TOOLCHAINS", "quick")
        metafunc.parametrize("build", builds(which), ids=repr)


def compare(program, pid=None):
    """Compares every goroutine of PROGRAM but the one that prints the others; how many they were. PID: its
    process id where the test is, when that is another one."""
    result = run_unpark("dump", pid or program.pid, "--format", "go")
    assert result.code == 0 and result.err == "", result
    want, got = goroutines(program.ask("stack")), goroutines(result.out)
    assert len([block for block in want.values() if is_running(block)]) == 1
    assert list(got) == sorted(got)
    assert not (found := differences(want, got, is_running)), found
    return len(want) - 1


def parked_count(minor):
    """How many goroutines wait in the fixture "parked" built by Go 1.MINOR, main not counted."""
    return 67 + (5 if minor >= 23 else 0) + (2 if minor >= 25 else 0)


def test_every_build(build, start, tmp_path):
    program = start(build.binary("parked", tmp_path))
    assert compare(program) == parked_count(build.toolchain.minor)


def test_cgo(toolchain, start):
    for kind in ("dynamic", "static-cgo"):
        assert compare(start(toolchain.build("foreign", kind))) == 4


def test_synctest_bubble(start):
    """In the bubbles of testing/synctest, which came with Go 1.25."""
    for toolchain in toolchains():
        if toolchain.minor >= 25:
            program = start(toolchain.build("bubble"))
            assert compare(program) == 8
            text = run_unpark("dump", program.pid, "--format", "go").out
            data = run_unpark("dump", program.pid, "--json", "--each").json()
            inside = [goroutine["id"] for goroutine in data["goroutines"] if goroutine["bubble"] == 1]
            assert len(inside) == 8
            assert inside == [number for number, block in goroutines(text).items()
                              if ", synctest bubble 1]" in block]


def test_shared_library(toolchain, start, tmp_path):
    """A program in C whose goroutines are those of a Go library."""
    library = toolchain.build("library", "dynamic", flags=["-buildmode=c-shared"])
    host = tmp_path / "host"
    subprocess.run(["cc", "-o", host, FIXTURES / "library" / "host" / "host.c", "-ldl"], check=True)
    assert compare(start(host, library)) == 4


def test_plugin(toolchain, start):
    program = toolchain.build("plugged", "dynamic")
    plugin = toolchain.build("plugged/plugin", "dynamic", flags=["-buildmode=plugin"])
    assert compare(start(program, plugin)) == 3


# ---- where the process is and what became of its executable ----


@pytest.fixture(params=["stripped", "pie"])
def binary(request, newest, tmp_path):
    """A copy of the fixture that a test may do anything to."""
    return shutil.copy(newest.build("parked", request.param), tmp_path / "program")


def test_executable_deleted(binary, newest, start):
    program = start(binary)
    binary.unlink()
    assert compare(program) == parked_count(newest.minor)


def test_executable_replaced(binary, newest, start):
    """By the same program from another release, as an update does."""
    program = start(binary)
    binary.unlink()
    shutil.copy(toolchains()[0].build("parked"), binary)
    assert compare(program) == parked_count(newest.minor)


def unshare(*flags):
    """The words before a command that runs in namespaces of its own; skips where these are not permitted."""
    words = ["unshare", *flags]
    done = subprocess.run([*words, "true"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"{' '.join(words)}: {done.stderr.strip()}")
    return words


def test_mount_namespace(binary, newest, tmp_path):
    """Its executable is not to be seen from here; what is at that path here is another program."""
    place = tmp_path / "place"
    place.mkdir()
    script = 'mount -t tmpfs none "$1" && cp "$0" "$1/program" && exec "$1/program"'
    command = [*unshare("-m"), "sh", "-c", script, binary, place]
    shutil.copy(toolchains()[0].build("parked"), place / "program")
    with Program(command) as program:
        assert os.readlink(f"/proc/{program.pid}/exe") == str(place / "program")
        assert compare(program) == parked_count(newest.minor)


def test_pid_namespace(binary, newest):
    """Where its ids of processes and threads are other numbers than here."""
    command = [*unshare("-p", "-f", "--mount-proc", "--kill-child"), binary]
    with Program(command) as program:
        children = f"/proc/{program.pid}/task/{program.pid}/children"
        pid = int(open(children, encoding="ascii").read())
        assert program.words == ["1"]
        assert compare(program, pid) == parked_count(newest.minor)
        data = run_unpark("dump", pid, "--json", "--each").json()
        threads = {goroutine["thread"] for goroutine in data["goroutines"]} - {None}
        assert threads and threads <= set(map(int, os.listdir(f"/proc/{pid}/task")))
