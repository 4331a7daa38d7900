"""Whatever a target is: one clear line and the documented exit code, or a result; never a crash, a hang or
memory without bound."""

import json
import os
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading

import pytest
from conftest import UNPARK, Program, run_unpark
from test_cores import Orphan

ALL = os.environ.get("UNPARK_TOOLCHAINS", "quick") == "all"
SANITIZED = bool(os.environ.get("UNPARK_SANITIZED"))
COMMANDS = ["dump", "leaks"]


def one_line(result):
    """The only line of stderr, which must be an error line of the program that prints nothing else."""
    lines = result.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("unpark: ") and result.out == "", result
    return lines[0]


# ---- files ----


def make_files(folder):
    """Files of many kinds in FOLDER."""
    (folder / "empty").touch()
    (folder / "random").write_bytes(random.Random(1).randbytes(100_000))
    (folder / "zeros").write_bytes(bytes(100_000))
    (folder / "words").write_text("goroutine\n" * 1000)
    (folder / "magic").write_bytes(b"\x7fELF")
    (folder / "ident").write_bytes(b"\x7fELF\2\1\1" + bytes(9))
    (folder / "header").write_bytes(open("/bin/cat", "rb").read(64))
    (folder / "gzip").write_bytes(b"\x1f\x8b\x08\x00" + random.Random(2).randbytes(1000))
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
    (folder / "folder").mkdir()


FILES = {"empty": 3, "random": 3, "zeros": 3, "words": 3, "magic": 2, "ident": 2, "header": 2, "gzip": 3, "loop": 6,
         "dangling": 3, "socket": 6, "folder": 2, "/dev/zero": 3, "/dev/null": 3, "/dev/urandom": 3, "/bin/cat": 2}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FILES)
def test_file(name, command, tmp_path):
    make_files(tmp_path)
    result = run_unpark(command, name, cwd=tmp_path, timeout=60)
    assert result.code == FILES[name], result
    assert name in one_line(result)


@pytest.mark.parametrize("command", COMMANDS)
def test_pipe(command, tmp_path):
    """Of a pipe what comes is read; without an end and without sense it is given up."""
    os.mkfifo(tmp_path / "pipe")

    def write(blocks):
        with open(tmp_path / "pipe", "wb", buffering=0) as pipe:
            try:
                for block in blocks:
                    pipe.write(block)
            except BrokenPipeError:
                pass

    for blocks in ([], [b"nothing\n"], (bytes(1 << 20) for _ in range(1 << 20))):
        writer = threading.Thread(target=write, args=(blocks,))
        writer.start()
        result = run_unpark(command, tmp_path / "pipe", timeout=60)
        writer.join()
        assert result.code in (2, 3) and "pipe" in one_line(result), result


def test_pipe_that_nobody_writes_to(tmp_path):
    """It is waited for, as others do, until the user has had enough."""
    os.mkfifo(tmp_path / "pipe")
    process = subprocess.Popen([UNPARK, "dump", tmp_path / "pipe"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer = os.open(tmp_path / "pipe", os.O_WRONLY)  # returns when it has opened its end
    process.send_signal(signal.SIGINT)
    try:
        out, _ = process.communicate(timeout=30)
    finally:
        os.close(writer)
    assert process.returncode == -signal.SIGINT and out == b""


def test_unreadable_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text("goroutine 1 [running]:\n")
    if os.geteuid() != 0:
        path.chmod(0)
        result = run_unpark("dump", path)
        assert result.code == 4 and "secret" in one_line(result)
    else:
        # root may read everything but this
        result = run_unpark("dump", "/proc/1/mem")
        assert result.code in (3, 4, 6) and "/proc/1/mem" in one_line(result)


# ---- processes ----


def test_zombie():
    process = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    for command in COMMANDS:
        result = run_unpark(command, process.pid)
        assert result.code == 3 and "zombie" in one_line(result)
    process.wait()


def test_kernel_thread():
    """Where it is to be seen: not from a pid namespace of one's own."""
    try:
        with open("/proc/2/status", encoding="ascii") as file:
            kernel = "Kthread:\t1" in (text := file.read()) or "\nName:\tkthreadd" in "\n" + text
    except FileNotFoundError:
        kernel = False
    if not kernel:
        pytest.skip("no thread of the kernel is to be seen")
    for command in COMMANDS:
        result = run_unpark(command, 2)
        assert result.code == 3 and "thread of the kernel" in one_line(result)


def test_thread_that_is_no_process(parked):
    """The id of a thread, which top -H shows."""
    other = max(map(int, os.listdir(f"/proc/{parked.pid}/task")))
    assert other != parked.pid
    result = run_unpark("dump", other)
    assert result.code in (0, 2, 3), result
    assert result.out if result.code == 0 else str(other) in one_line(result)


MARKS = {"gccgo": "int __go_init_main;\n", "TinyGo": "int tinygo_scanCurrentStack;\n"}


@pytest.mark.parametrize("name", MARKS)
def test_other_compilers(name, tmp_path):
    """Recognised by what these compilers leave in a program."""
    source = tmp_path / "main.c"
    source.write_text(MARKS[name] + '#include <stdio.h>\nint main(void) { puts("ready"); fflush(stdout); '
                      "return getchar() == 1; }\n")
    subprocess.run(["cc", "-o", tmp_path / "main", source], check=True)
    with Program([tmp_path / "main"]) as program:
        for command in COMMANDS:
            result = run_unpark(command, program.pid)
            assert result.code == 3 and f"built with {name}" in one_line(result), result


def test_gccgo(tmp_path):
    compiler = next(filter(None, map(shutil.which, ("gccgo", "gccgo-12"))), None)
    if compiler is None:
        pytest.skip("gccgo is not installed")
    source = tmp_path / "main.go"
    source.write_text('package main\n\nimport ("fmt"; "os")\n\nfunc main() { fmt.Println("ready"); '
                      "os.Stdin.Read(make([]byte, 1)) }\n")
    subprocess.run([compiler, "-o", tmp_path / "main", source], check=True)
    with Program([tmp_path / "main"]) as program:
        result = run_unpark("dump", program.pid)
        assert result.code == 3 and "gccgo" in one_line(result)


# ---- memory that makes no sense ----


class Wreck:
    """A core and its executable, in which bytes are changed and put right again."""

    def __init__(self, newest, folder):
        self.orphan = Orphan(newest, folder)
        self.core, self.binary = self.orphan.core, self.orphan.binary
        self.words = self._words(self.core, writable=True)
        self.constants = self._words(self.binary, writable=False)

    @staticmethod
    def _words(path, writable):
        """Where in the file at PATH words are, other than zero, of segments that are WRITABLE or not."""
        data = path.read_bytes()
        offset, = struct.unpack_from("<Q", data, 0x20)
        size, count = struct.unpack_from("<HH", data, 0x36)
        found = []
        for index in range(count):
            kind, flags, start, _, _, length = struct.unpack_from("<IIQQQQ", data, offset + index * size)
            if kind == 1 and bool(flags & 2) == writable and not flags & 1:
                view = memoryview(data)[start:start + min(length, len(data) - start) // 8 * 8].cast("Q")
                found += [start + 8 * at for at, word in enumerate(view) if word]
        assert found
        return found

    def run(self, path, places, generator, *words):
        """What the program says with the words at PLACES of the file at PATH changed."""
        with open(path, "r+b", buffering=0) as file:
            old = [os.pread(file.fileno(), 8, place) for place in places]
            try:
                for place, bytes_ in zip(places, old):
                    os.pwrite(file.fileno(), self.change(bytes_, old, generator), place)
                return run_unpark(*words, "--exe", self.binary, self.core, timeout=120, preexec_fn=limit)
            finally:
                for place, bytes_ in zip(places, old):
                    os.pwrite(file.fileno(), bytes_, place)

    @staticmethod
    def change(word, others, generator):
        """Another word in place of WORD, as a broken program might have it."""
        number, = struct.unpack("<Q", word)
        return generator.choice([
            lambda: struct.pack("<Q", number ^ 1 << generator.randrange(64)),
            lambda: struct.pack("<Q", (number + generator.randint(-64, 64)) % 2**64),
            lambda: struct.pack("<Q", generator.choice([0, 1, 2**31, 2**32 - 1, 2**47 - 8, 2**63, 2**64 - 1])),
            lambda: generator.choice(others),
            lambda: generator.randbytes(8)])()


def limit():
    """No more memory than this."""
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


@pytest.fixture(scope="module")
def wreck(newest, tmp_path_factory):
    return Wreck(newest, tmp_path_factory.mktemp("wreck"))


LOOKS = [["dump", "--each", "--all", "--json"], ["dump", "--format", "go"], ["dump"], ["leaks", "--json"]]


def check(result, words):
    """An end that is documented, words for it, and a result that is whole."""
    assert result.code in (0, 1, 2, 3, 5, 6), (words, result)
    assert len(result.err.splitlines()) <= 4 and "out of memory" not in result.err, (words, result)
    # leaks tells of what is in doubt among its findings
    assert result.err or result.code in (0, 1) or '"verdict":"unknown"' in result.out, (words, result)
    if "--json" in words and result.out:
        json.loads(result.bytes.decode(errors="surrogateescape"))


@pytest.mark.parametrize("seed", range(100 if ALL else 10))
@pytest.mark.parametrize("what", ["memory", "tables"])
def test_garbage(what, seed, wreck):
    """Words of the program's memory, or of the tables in its executable, are other ones."""
    generator = random.Random(f"{what} {seed}")
    path, words = (wreck.core, wreck.words) if what == "memory" else (wreck.binary, wreck.constants)
    places = generator.sample(words, min(len(words), generator.choice([10, 100, 1000, 10000])))
    for look in LOOKS:
        check(wreck.run(path, places, generator, *look), look)
