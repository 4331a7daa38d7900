"""Looking does no harm: a server under load goes on whatever is done to it, and however the program that looks
is ended; nothing is asked of the kernel that could change the target or leave something behind."""

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import time

import pytest
from conftest import FIXTURES, UNPARK, Program, run_unpark
from settling import settled
from test_exactness import unshare

ALL = os.environ.get("UNPARK_TOOLCHAINS", "quick") == "all"
SANITIZED = bool(os.environ.get("UNPARK_SANITIZED"))


# The leak checker of a sanitized build makes calls of ptrace of its own.
NO_LEAK_CHECK = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def threads_of(pid):
    """The status text of each thread of process PID."""
    texts = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii", errors="replace") as file:
                texts.append(file.read())
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended
    return texts


def assert_free(pid):
    """No thread of process PID is stopped or traced. One that ends may be a zombie for a moment, as the first thread is
    while another replaces the program."""
    for text in threads_of(pid):
        assert re.search(r"^State:\s+[RSDIZX]", text, re.M), text
        assert re.search(r"^TracerPid:\s+0$", text, re.M), text


def constants_of(pid):
    """A sum over all that the program PID has mapped and cannot write."""
    digest = hashlib.sha256()
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, \
            open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            area, permissions, _, _, inode = line.split()[:5]
            if inode != "0" and permissions[0] == "r" and permissions[1] == "-":
                start, end = (int(word, 16) for word in area.split("-"))
                memory.seek(start)
                digest.update(memory.read(end - start))
    return digest.hexdigest()


def sessions(ids):
    """The processes that belong to one of the sessions IDS."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) in ids and fields[0] not in "ZX":
                found.append(int(name))
    return found


class Patient:
    """A server under load in which one goroutine always runs, so that a stop has something to do. .pid; check()
    asserts that it is well and served some requests more."""

    def __init__(self, toolchain):
        self.server = Program([toolchain.build("server", "stripped"), "spin"])
        self.pid = self.server.pid
        self.load = None
        try:
            self.load = Program([toolchain.build("load"), self.server.words[0]])
            self.check()
            self.constants = constants_of(self.pid)
        except BaseException:
            self.end()
            raise

    def check(self, requests=5):
        """No request has failed, no answer was wrong, REQUESTS more are answered."""
        answer = self.load.ask(str(requests))
        assert "failed 0\nwrong 0\n" in answer, answer
        assert_free(self.pid)
        return int(re.match(r"answered (\d+)", answer)[1])

    def check_memory(self):
        """Nothing in it has changed."""
        assert self.server.ask("sum") == "same\n"
        assert constants_of(self.pid) == self.constants

    def end(self):
        if self.load:
            self.load.end()
        self.server.end()


@pytest.fixture(scope="module")
def patient(newest):
    """A Patient, shared by the tests of this module, which must leave it as it was."""
    made = Patient(newest)
    yield made
    made.end()


# Without it may be said of a target that is stopped under load that this took longer than it may.
PATIENCE = ["--max-stop", "0"]
LOOKS = {
    "dump": ["dump"],
    "stop": ["dump", "--stop", *PATIENCE],
    "leaks": ["leaks", *PATIENCE],
    "freeze": ["leaks", "--freeze", "always", *PATIENCE],
}


def test_a_thousand_dumps(patient):
    count = 1000 if ALL else 100
    ids, stopped, before = set(), 0, patient.check()
    for number in range(count):
        words = LOOKS["stop"] if number % 2 else LOOKS["dump"]
        process = subprocess.Popen([UNPARK, *words, str(patient.pid)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (0, 5) and out, err
        ids.add(process.pid)
        stopped += b"stopped for 0s" not in out
        assert_free(patient.pid)
        if number % 100 == 99:
            patient.check()
    assert patient.check() > before and stopped > count / 4
    patient.check_memory()
    assert not sessions(ids)


def traced(pid):
    """True while somebody traces process PID."""
    with open(f"/proc/{pid}/status", "rb") as file:
        return b"\nTracerPid:\t0\n" not in file.read(400)


class Killer:
    """Ends the program with WORDS at instants of its life."""

    def __init__(self, patient, words):
        self.patient, self.words = patient, words
        self.random = random.Random(str(words))
        self.spans, self.stops = [], []
        for _ in range(5):
            begun = time.monotonic()
            result = run_unpark(*words, "--json", patient.pid)
            self.spans.append(time.monotonic() - begun)
            assert result.code in (0, 1, 5), result
            self.stops.append(result.json()["summary"]["stopped_ns"] / 1e9)
        self.span, self.stop = sorted(self.spans)[2], sorted(self.stops)[2]
        self.ids, self.stopped, self.lived = set(), 0, 0

    def is_enough(self, count):
        """Whether enough of COUNT were ended within their lives, and some within the stop."""
        return self.lived > count / 4 and self.stopped > 0

    def kill(self, in_stop):
        """Starts the program and kills it: at some time of its life, or IN_STOP, at some time of the stop."""
        process = subprocess.Popen([UNPARK, *self.words, str(self.patient.pid)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        if in_stop:
            deadline = time.monotonic() + 3 * self.span
            while not traced(self.patient.pid) and time.monotonic() < deadline:
                pass
            time.sleep(self.random.uniform(0, self.stop))
        else:
            time.sleep(self.random.uniform(0, self.span))
        self.stopped += traced(self.patient.pid)
        process.kill()
        self.lived += process.wait(60) == -signal.SIGKILL
        self.ids.add(process.pid)


@pytest.mark.parametrize("look, few, many", [("stop", 40, 200), ("freeze", 40, 1000)])
def test_killed_at_any_instant(patient, look, few, many):
    """Half of the instants are spread evenly, half lie in the stop, which is short."""
    killer = Killer(patient, LOOKS[look])
    count = many if ALL else few
    number = 0
    # On a machine whose load changes more may come too late or too early: then as many again.
    while number < count or (number < 2 * count and not killer.is_enough(count)):
        killer.kill(number % 2)
        number += 1
        assert_free(patient.pid)
        patient.check(1)
    patient.check()
    patient.check_memory()
    print(f"{number} kills, {killer.lived} before the end, {killer.stopped} in the stop: "
          f"{killer.span * 1e3:.0f} ms, stopped {killer.stop * 1e3:.2f} ms")
    assert not sessions(killer.ids)
    assert killer.is_enough(count)


# ---- what is asked of the kernel ----


def calls_of(folder, *words):
    """The result of the program with WORDS, and the system calls that it made, as strace writes them."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    path = folder / "calls"
    result = run_unpark(*words, env=NO_LEAK_CHECK,
                        prefix=["strace", "-f", "-qq", "-o", path])
    lines = [re.sub(r"^\d+ +", "", line) for line in path.read_text(errors="replace").splitlines()]
    return result, [line for line in lines if not line.startswith(("+++", "---"))]


@pytest.fixture(scope="module")
def resting(newest):
    """A healthy program: the server without load."""
    with Program([newest.build("server", "stripped")]) as program:
        yield settled(program)


@pytest.mark.parametrize("words", [["dump"], ["dump", "--each", "--all", "--json"], ["dump", "--format", "go"],
                                   ["leaks"], ["leaks", "--json"], ["doctor"]], ids=" ".join)
def test_no_ptrace(words, resting, tmp_path):
    """Of a healthy program nothing needs a stop; looking never does."""
    result, calls = calls_of(tmp_path, *words, resting.pid)
    assert result.code == 0, result
    assert len(calls) > 100 and not [line for line in calls if line.startswith("ptrace(")]


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_that_changes_or_stays(look, patient, tmp_path):
    """No call that writes to a process, signals one, makes one, or makes a file."""
    result, calls = calls_of(tmp_path, *LOOKS[look], patient.pid)
    assert result.code in (0, 5), result
    for line in calls:
        call, _, rest = line.partition("(")
        if call == "ptrace":
            assert re.match(r"PTRACE_(SEIZE|INTERRUPT|GETREGSET|DETACH)\b", rest), line
        elif call in ("clone", "clone3"):
            assert "CLONE_THREAD" in rest, line
        elif call in ("open", "openat", "openat2"):
            assert not re.search(r"O_(WRONLY|RDWR|CREAT|TMPFILE|TRUNC)", rest) or "/dev/" in rest, line
        elif call in ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"):
            # the tracer may be told by a signal that its time is over; nobody else may get one
            assert str(patient.pid) not in rest.split(",")[0], line
        else:
            assert call not in {"process_vm_writev", "fork", "vfork", "execveat", "mkdir", "mkdirat", "unlink",
                                "unlinkat", "rename", "renameat", "renameat2", "link", "symlink", "mknod",
                                "memfd_create", "shmget", "shm_open", "setsid", "mount", "process_madvise",
                                "setns", "unshare", "chmod", "fchmod", "truncate", "ftruncate"}, line
    patient.check()


# ---- where the program may not do everything ----


@pytest.fixture(scope="module")
def confine(tmp_path_factory):
    """The program that runs another one with a system call refused."""
    path = tmp_path_factory.mktemp("confine") / "confine"
    subprocess.run(["cc", "-o", path, FIXTURES / "confine" / "confine.c"], check=True)
    return path


def test_ptrace_kills(confine, patient):
    """Where a call of ptrace is deadly: the default needs none, and death in a stop does no harm."""
    for words in (["dump"], ["dump", "--each", "--json"]):
        result = run_unpark(*words, patient.pid, env=NO_LEAK_CHECK,
                            prefix=[confine, "kill", "ptrace"])
        assert result.code == 0, result
    result = run_unpark(*LOOKS["freeze"], patient.pid, env=NO_LEAK_CHECK,
                            prefix=[confine, "kill", "ptrace"])
    assert result.code == -signal.SIGSYS
    patient.check()


def test_ptrace_refused(confine, newest, patient, start):
    """As in a container without the capability."""
    result = run_unpark(*LOOKS["freeze"], "--json", patient.pid, env=NO_LEAK_CHECK,
                        prefix=[confine, "refuse", "ptrace"])
    assert result.code == 5, result
    summary = result.json()["summary"]
    assert summary["proved"] == 0 and summary["stopped_ns"] == 0, summary
    assert "cannot be stopped: " in summary["obstacle"] and "refuses it (" in summary["obstacle"], summary
    assert summary["obstacle"] in result.err and len(result.err.splitlines()) == 1, result
    # One that the runtime preempts does not run at that moment, and nothing is to be stopped.
    program = start(newest.build("running"), env={"GODEBUG": "asyncpreemptoff=1"})
    result = run_unpark("dump", "--stop", program.pid, env=NO_LEAK_CHECK,
                        prefix=[confine, "refuse", "ptrace"])
    assert result.code in (4, 5) and len(result.err.splitlines()) == 1, result
    patient.check()


@pytest.mark.parametrize("look", LOOKS)
def test_process_vm_readv_refused(look, confine, patient):
    """There is another way to read."""
    result = run_unpark(*LOOKS[look], patient.pid,
                        prefix=[confine, "refuse", "process_vm_readv"])
    assert result.code == 0 and result.err == "", result
    patient.check()


def test_confined_target(confine, newest):
    with Program([confine, "refuse", "ptrace", newest.build("server", "stripped")]) as program:
        for look in LOOKS.values():
            assert run_unpark(*look, program.pid).code == 0
            assert_free(program.pid)
        assert program.ask("sum") == "same\n"


@pytest.mark.skipif(SANITIZED, reason="a sanitizer reserves terabytes of addresses")
def test_little_memory(patient):
    """What does not fit is said, at any limit; the target goes on."""
    codes = {look: [] for look in LOOKS}
    for megabytes in (6, 8, 12, 16, 24, 48, 96, 192, 4096):
        for look, words in LOOKS.items():
            result = run_unpark(*words, patient.pid, prefix=["prlimit", f"--as={megabytes << 20}"])
            if result.code == 127:
                continue  # not even the dynamic linker fits
            assert result.code in (0, 5, 6), (megabytes, look, result)
            assert len(result.err.splitlines()) == (result.code != 0), (megabytes, look, result)
            codes[look].append(result.code)
            assert_free(patient.pid)
    assert all(found[-1] == 0 for found in codes.values()), codes
    assert 6 in codes["freeze"], codes
    patient.check()


# ---- targets that do not hold still ----


@pytest.mark.parametrize("look", LOOKS)
def test_threads_come_and_go(look, newest, start):
    program = start(newest.build("restless", "stripped"), "threads")
    for _ in range(20 if ALL else 5):
        result = run_unpark(*LOOKS[look], "--json", program.pid)
        assert result.code in (0, 1, 5), result
        assert result.json()["summary"]["goroutines"] >= 20
        assert_free(program.pid)
    before = threads_of(program.pid)
    deadline = time.monotonic() + 30
    while {text.split("\nPid:")[1].split()[0] for text in before} == \
            {text.split("\nPid:")[1].split()[0] for text in threads_of(program.pid)}:
        assert time.monotonic() < deadline, "its threads come and go no more"


@pytest.mark.parametrize("look", LOOKS)
def test_exec_while_looking(look, newest):
    """The program is replaced every few milliseconds: each look tells of one of them, or that it is gone."""
    lines = 0
    with Program([newest.build("restless", "stripped"), "exec"]) as program:
        for _ in range(40 if ALL else 10):
            result = run_unpark(*LOOKS[look], program.pid)
            assert result.code in (0, 1, 3, 5, 6), result
            assert len(result.err.splitlines()) <= 3 and result.out + result.err, result
            assert program.alive()
            while not program.read_line().startswith("ready"):
                pass
            lines += 1
        assert_free(program.pid)
    assert lines >= 10


@pytest.mark.parametrize("look", LOOKS)
def test_exit_while_looking(look, newest):
    generator = random.Random(look)
    binary = newest.build("restless", "stripped")
    for _ in range(40 if ALL else 10):
        with Program([binary, "exit", f"{generator.uniform(0, 40):.3f}ms"]) as program:
            result = run_unpark(*LOOKS[look], program.pid)
            assert result.code in (0, 1, 3, 5), result
            assert program.process.wait(30) == 0


# ---- targets that are stopped or held ----


def test_stopped_target_stays_stopped(newest):
    with Program([newest.build("server", "stripped")]) as program:
        os.kill(program.pid, signal.SIGSTOP)
        os.waitpid(program.pid, os.WUNTRACED)
        for words in LOOKS.values():
            result = run_unpark(*words, program.pid)
            assert result.code == 0 and result.err == "", result
            # A thread that is let go steps back into the stop when it gets a processor, before any code of its own.
            deadline = time.monotonic() + 60
            while not all(re.search(r"^State:\s+T", text, re.M) for text in threads_of(program.pid)):
                assert time.monotonic() < deadline, threads_of(program.pid)
            for text in threads_of(program.pid):
                assert re.search(r"^TracerPid:\s+0$", text, re.M), text
        os.kill(program.pid, signal.SIGCONT)
        assert program.ask("sum") == "same\n"
        assert_free(program.pid)


class Gdb:
    """gdb, attached to a process. A context manager."""

    def __init__(self, pid):
        if shutil.which("gdb") is None:
            pytest.skip("gdb is not installed")
        self.process = subprocess.Popen(["gdb", "-nx", "-q", "-p", str(pid)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.say("")

    def say(self, command):
        """Gives a command and waits until it is carried out."""
        self.process.stdin.write(f"{command}\necho done\\n\n".encode())
        self.process.stdin.flush()
        while b"done\n" not in (line := self.process.stdout.readline()):
            assert line, "gdb ended"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # asked to detach from what runs it might pass a signal on
        self.process.kill()
        self.process.communicate()


def test_target_held_by_a_debugger(newest):
    """What a debugger has stopped can be read, and is not let go; what it lets run cannot be stopped."""
    # One that the runtime preempts does not run at that moment, and nothing would be to be stopped.
    with Program([newest.build("restless", "stripped"), "stay"], env={"GODEBUG": "asyncpreemptoff=1"}) as program:
        with Gdb(program.pid) as gdb:
            for words in LOOKS.values():
                result = run_unpark(*words, program.pid)
                # a goroutine that runs has its registers with the debugger
                assert result.code in (0, 1, 5) and len(result.err.splitlines()) == (result.code == 5), result
                for text in threads_of(program.pid):
                    assert re.search(r"^State:\s+t", text, re.M), text
                    assert re.search(rf"^TracerPid:\s+{gdb.process.pid}$", text, re.M), text
            gdb.say("continue &")
            assert run_unpark("dump", program.pid).code == 0
            result = run_unpark(*LOOKS["stop"], program.pid)
            assert result.code in (4, 5) and "gdb" in result.err, result
            result = run_unpark("leaks", "--freeze", "always", program.pid)
            assert "gdb" in result.out + result.err, result
            assert all(f"TracerPid:\t{gdb.process.pid}\n" in text for text in threads_of(program.pid))
        assert_free(program.pid)
        result = run_unpark(*LOOKS["stop"], program.pid)
        assert result.code == 0 and "main.spin" in result.out, result


def test_stop_in_other_namespaces(newest):
    """Where its ids of processes and threads are other numbers than here."""
    binary = newest.build("restless", "stripped")
    with Program([*unshare("-m", "-p", "-f", "--mount-proc", "--kill-child"), binary, "stay"]) as program:
        with open(f"/proc/{program.pid}/task/{program.pid}/children", encoding="ascii") as file:
            pid = int(file.read())
        result = run_unpark("dump", "--stop", *PATIENCE, pid)
        assert result.code == 0 and "main.spin" in result.out, result
        assert_free(pid)
        result = run_unpark("leaks", "--freeze", "always", *PATIENCE, "--json", pid)
        assert result.code in (0, 1) and result.json()["summary"]["stopped_ns"] > 0, result
        assert_free(pid)
