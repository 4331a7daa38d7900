"""Core files: the same process as a core says the same as live; what is missing or wrong is said."""

import array
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess

import pytest
from conftest import Program, run_unpark, toolchains
from go_text import differences, frames, full_stacks, goroutines, is_running, is_stack


def gcore(program, folder):
    """A core of PROGRAM by gdb, which goes on running; skips without gdb."""
    if shutil.which("gcore") is None:
        pytest.skip("gcore is not installed (Debian: gdb)")
    done = subprocess.run(["gcore", "-o", folder / "core", str(program.pid)], capture_output=True, text=True)
    path = folder / f"core.{program.pid}"
    assert path.exists(), done.stderr
    return path


def one_line(result):
    """The first line of stderr, an error line of the program."""
    lines = result.err.splitlines()
    assert lines and lines[0].startswith("unpark: ") and result.out == "", result
    return lines[0]


def groups(target, *words):
    """The groups of a look without what depends on the moment: ages and times left."""
    found = run_unpark("dump", target, "--json", "--sort", "id", *words)
    assert found.code == 0, found
    data = found.json()
    for group in data["groups"]:
        del group["age"]
        for wait in group["waits"]:
            for key in ("due_ns", "deadline_ns", "has_deadline", "descriptor", "description", "number",
                        "text"):
                wait["example"].pop(key, None)
    return data["groups"], data["summary"]


def gdb_builds():
    """Releases and kinds: gdb takes seconds for a core, so that a quick run has few."""
    chosen = toolchains()
    older = chosen[:-1] if os.environ.get("UNPARK_TOOLCHAINS", "quick") == "all" else chosen[:1]
    return [(toolchain, "stripped") for toolchain in older] + [(chosen[-1], kind) for kind in ("pie", "dynamic")]


@pytest.mark.parametrize("build", gdb_builds(), ids=lambda build: f"{build[0]}-{build[1]}")
def test_core_of_gdb_equals_live(build, start, tmp_path):
    program = start(build[0].build("parked", build[1]))
    _, before = groups(program.pid)
    core = gcore(program, tmp_path)
    live = run_unpark("dump", program.pid, "--format", "go")
    dead = run_unpark("dump", core, "--format", "go")
    assert dead.code == 0 and dead.err == "", dead
    assert len(goroutines(live.out)) >= 68
    assert not differences(goroutines(live.out), goroutines(dead.out))
    ours, summary = groups(core)
    theirs, expected = groups(program.pid)
    assert ours == theirs
    for key in ("goroutines", "system", "states"):
        assert summary[key] == expected[key], key
    assert before["threads"] <= summary["threads"] <= expected["threads"]


class Crash:
    """A fixture that was killed: .core, .traceback (what it printed then), .answer (to QUESTION, before)."""

    def __init__(self, command, folder, pattern="core*", question="stack"):
        with open(folder / "traceback", "wb") as stderr:
            with Program(command, env={"GOTRACEBACK": "crash"}, cwd=folder, stderr=stderr,
                         preexec_fn=self._allow_cores) as program:
                self.answer = question and program.ask(question)
                os.kill(program.pid, signal.SIGQUIT)
                code = program.process.wait(120)
        self.traceback = (folder / "traceback").read_text(errors="surrogateescape")
        cores = list(folder.glob(pattern))
        if code != -signal.SIGABRT or not cores:
            pytest.skip(f"no core was written (exit {code})")
        self.core = cores[0]

    @staticmethod
    def _allow_cores():
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def crash(binary, folder, question="stack"):
    """The Crash of BINARY with the core that the kernel writes."""
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        pattern = file.read().strip()
    if pattern != "core":
        pytest.skip(f"the kernel writes cores to {pattern}")
    return Crash([binary], folder, question=question)


def compare(crashed, *words):
    """Checks what is read of a core against what the program said: in Go's format, arguments included, and
    with every frame, the runtime's own too. How many goroutines were parked."""
    text = run_unpark("dump", crashed.core, "--format", "go", *words)
    assert text.code == 0 and text.err == "", text
    want = goroutines(crashed.answer)
    assert not (found := differences(want, goroutines(text.out), is_running)), found
    data = run_unpark("dump", crashed.core, "--json", "--each", "--all", *words)
    assert data.code == 0, data
    ours = full_stacks(data.json())
    compared = 0
    for number, block in goroutines(crashed.traceback, repeats=True).items():
        if not is_running(block) and number in ours:
            assert is_stack(block, ours[number]), (block, ours[number])
            compared += 1
    assert compared >= len(want) - 1
    return compared


def test_core_of_the_kernel(toolchain, tmp_path):
    crashed = crash(toolchain.build("parked", "stripped"), tmp_path)
    assert compare(crashed) >= 68
    assert run_unpark("dump", crashed.core, "--json").json()["target"]["executable"]


def test_running_goroutines_of_a_core(toolchain, tmp_path):
    """A core has registers, so that nothing has to be stopped for them; here a signal handler is on top."""
    core = crash(toolchain.build("running"), tmp_path, question=None).core
    blocks = goroutines(run_unpark("dump", core, "--format", "go").out)
    spinning = [block for block in blocks.values() if "main.spin(" in block]
    assert len(spinning) == 1
    assert [function for function, _ in frames(spinning[0])][-4:] == 3 * ["main.spin"] + ["created by main.main"]


# ---- arm64, of a program that an emulator runs ----


def emulator():
    """The program that runs programs for arm64; skips without it."""
    for name in ("qemu-aarch64", "qemu-aarch64-static"):
        if path := shutil.which(name):
            return path
    return pytest.skip("qemu-aarch64 is not installed (Debian: qemu-user)")


ARM64 = {"GOARCH": "arm64"}


# What is stuck in the fixture for ever, and what may be. Words on the signal stacks of a dying program, which are
# scanned conservatively, hide a channel in one core of twenty: what is stuck must be proved in one core of three.
CRASHES = 3
STUCK = {"main.nilReceive": "nil channel", "main.nilSend": "nil channel", "main.selectNone": "empty select",
         "main.send": "channel", "main.methodValue": "channel"}
PERHAPS = {"main.selectTwo": "channel", "main.afterFunc": "channel", "main.afterFunc.func1": "channel",
           "main.main.func3": "channel", "main.main.gowrap2": "channel"}


def proved(target):
    """What is proved stuck: the outermost function of the program's own with the class of the wait."""
    found = run_unpark("leaks", target, "--json", "--only", "proved")
    assert found.code == 1 and found.err == "", found
    data = found.json()
    assert data["summary"]["consistent"] is True and data["summary"]["stopped_ns"] == 0
    return {[frame["function"] for frame in finding["stack"] if frame["kind"] == "user"][-1]: finding["class"]
            for finding in data["findings"]}


def test_arm64(toolchain, tmp_path):
    binary = toolchain.build("parked", "stripped", env=ARM64)
    seen = {}
    for number in range(CRASHES):
        folder = tmp_path / str(number)
        folder.mkdir()
        crashed = Crash([emulator(), binary], folder, "qemu_*.core")
        if number == 0:
            assert compare(crashed) >= 68
            assert compare(crashed, "--exe", binary) >= 68
        found = proved(crashed.core)
        assert found.items() <= (STUCK | PERHAPS).items()
        seen |= found
        if STUCK.items() <= seen.items():
            return
    assert STUCK.items() <= seen.items()


def test_emulator_itself(newest):
    """Its process holds the tables of a program whose code it does not run."""
    with Program([emulator(), newest.build("parked", env=ARM64)]) as program:
        for command in ("dump", "leaks"):
            result = run_unpark(command, program.pid)
            assert result.code == 3 and "another processor" in one_line(result), result


# ---- the executable ----


class Orphan:
    """A core whose executable is elsewhere now: .core, .binary, .answer (what the program said)."""

    def __init__(self, newest, folder):
        binary = folder / "program"
        shutil.copy(newest.build("parked", "stripped"), binary)
        crashed = crash(binary, folder)
        (folder / "elsewhere").mkdir()
        self.core, self.answer = crashed.core, crashed.answer
        self.binary = binary.rename(folder / "elsewhere" / "copy")


@pytest.fixture(scope="module")
def orphan(newest, tmp_path_factory):
    """An Orphan, shared: nobody changes it."""
    return Orphan(newest, tmp_path_factory.mktemp("orphan"))


def test_missing_executable(orphan):
    for command in ("dump", "leaks"):
        without = run_unpark(command, orphan.core)
        assert without.code == 3 and "--exe" in without.err and "/program" in one_line(without), without
    given = run_unpark("dump", orphan.core, "--exe", orphan.binary, "--format", "go")
    assert given.code == 0 and given.err == "", given
    assert not differences(goroutines(orphan.answer), goroutines(given.out), is_running)
    beside = orphan.core.parent / "elsewhere" / "core"
    beside.symlink_to(orphan.core)
    (beside.parent / "program").symlink_to("copy")
    assert run_unpark("dump", beside, "--format", "go").bytes == given.bytes


def test_executable_of_another_build(orphan, newest):
    for other in (newest.build("parked", "default"), newest.build("running"), pathlib.Path("/bin/cat")):
        result = run_unpark("dump", orphan.core, "--exe", other)
        assert result.code == 2
        assert str(other) in one_line(result) and "build id" in result.err
    for other in ("/does/not/exist", "/etc/passwd", orphan.core.parent):
        result = run_unpark("dump", orphan.core, "--exe", other)
        assert result.code == 2 and str(other) in one_line(result)


# ---- files that are broken ----


def copy_of(orphan, folder, length=None):
    """A copy of the core that a test may change, of LENGTH bytes."""
    path = folder / "broken"
    if length is None:
        shutil.copy(orphan.core, path)
    else:
        with open(orphan.core, "rb") as file:
            path.write_bytes(file.read(length))
    return path


def test_truncated_core(orphan, tmp_path):
    """However short it is: what is shown is right, what is missing is said."""
    want = goroutines(orphan.answer)
    size = orphan.core.stat().st_size
    shown = set()
    path = copy_of(orphan, tmp_path)
    for length in (size - 1, size - 4096, size * 9 // 10, size // 2, size // 8, 1 << 20, 70000, 9000, 4096, 1000,
                   64, 63, 1, 0):
        os.truncate(path, length)
        result = run_unpark("dump", "--core", path, "--exe", orphan.binary, "--format", "go", timeout=60)
        assert result.code == (2 if length < 64 else result.code) in (0, 2, 3, 5), (length, result)
        assert len(result.err.splitlines()) <= 3
        assert "is cut off" in result.err if length >= 64 else "is no core file" in result.err
        if result.code in (0, 5):
            shown.add(length)
            got = goroutines(result.out)
            assert got.keys() == want.keys()
            wrong = {number for number in got if got[number] != want[number] and not is_running(want[number])}
            assert not wrong or result.code == 5
        else:
            assert result.out == ""
    assert size - 4096 in shown and 70000 not in shown


def test_no_proof_from_a_truncated_core(orphan, tmp_path):
    """Where the heap is not all there, nothing is proved."""
    path = copy_of(orphan, tmp_path, orphan.core.stat().st_size * 9 // 10)
    result = run_unpark("leaks", path, "--exe", orphan.binary, "--json")
    assert result.code == 5 and "is cut off" in result.err, result
    answer = result.json()
    assert answer["summary"]["proved"] == 0 and answer["summary"]["unknown"] > 0
    assert "ends before the memory" in answer["summary"]["obstacle"]
    assert {finding["reason"] for finding in answer["findings"]} == {"the core is cut off"}


SCHED_G = 72  # where sched.g is in a g, of all releases: there it names itself


def memory_of(core):
    """The writable memory in CORE: pairs of address and offset in the file, and the words there."""
    data = core.read_bytes()
    first, size, count = struct.unpack_from("<Q14xHH", data, 32)
    for at in range(first, first + size * count, size):
        kind, flags, offset, address, _, length = struct.unpack_from("<IIQQQQ", data, at)
        if kind == 1 and flags & 2:
            yield address, offset, array.array("Q", data[offset:offset + length // 8 * 8])


def newest_g(core):
    """The offset in CORE of the g that is the last of the longest list of g's."""
    memory = list(memory_of(core))
    offsets = {word: offset + i * 8 - SCHED_G for address, offset, words in memory for i, word in enumerate(words)
               if word == address + i * 8 - SCHED_G}
    longest, last = 0, None
    for _, _, words in memory:
        run = 0
        for word in words:
            run = run + 1 if word in offsets else 0
            if run > longest:
                longest, last = run, word
    assert longest > 20
    return offsets[last]


def test_a_goroutine_that_is_just_made_hides_no_other(orphan, tmp_path):
    """It is listed before it names itself."""
    path = copy_of(orphan, tmp_path)
    with open(path, "r+b") as file:
        file.seek(newest_g(path) + SCHED_G)
        file.write(bytes(8))
    result = run_unpark("dump", path, "--exe", orphan.binary, "--format", "go")
    assert result.code in (0, 5), result
    assert goroutines(result.out).keys() == goroutines(orphan.answer).keys()


HEADERS = {
    "32-bit": (4, b"\1", 3, "32-bit"),
    "big-endian": (5, b"\2", 3, "big-endian"),
    "s390": (18, struct.pack("<H", 22), 3, "machine 22"),
    "executable": (16, b"\2", 2, "no core"),
    "not ELF": (0, b"\x7fELG", 2, "no core file"),
    "no headers": (56, bytes(2), 3, "no memory"),
    "headers far away": (32, struct.pack("<Q", 2**63 - 1), 3, "cut off"),
    "headers at the edge": (32, struct.pack("<Q", 2**64 - 8), 3, "cut off"),
    "small headers": (54, b"\1\0", 3, "program headers of 1 bytes"),
}


@pytest.mark.parametrize("what", HEADERS)
def test_absurd_header(what, orphan, tmp_path):
    offset, data, code, text = HEADERS[what]
    path = copy_of(orphan, tmp_path, 1 << 20)
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)
    for command in ("dump", "leaks"):
        result = run_unpark(command, "--core", path, "--exe", orphan.binary)
        assert result.code == code and text in one_line(result), result
