"""What every test of the program builds on: Go fixtures, toolchains, and the program itself.

Environment:
  UNPARK             the program under test (default: build/unpark of this checkout)
  UNPARK_TOOLCHAINS  quick (default) or all: which Go releases fixtures are built with
  UNPARK_TEST_CACHE  where built fixtures are kept (default: ~/.cache/unpark/fixtures)

A test that takes the argument `toolchain` runs once per Go release. `newest` is the newest of them.
A Go fixture is a folder of tests/fixtures with a main package (no dependencies, buildable with Go 1.18
unless its files say otherwise by build tags). It prints one line that starts with "ready" when it is in
the state to be looked at, and ends when its stdin is closed.
"""

import hashlib
import json
import os
import pathlib
import selectors
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

# Who starts the tests in the background may have had these ignored, which programs inherit: tests interrupt programs.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
UNPARK = pathlib.Path(os.environ.get("UNPARK", ROOT / "build" / "unpark")).resolve()
CACHE = pathlib.Path(
    os.environ.get("UNPARK_TEST_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    / "unpark" / "fixtures")

# How a fixture can be built: name -> (flags of go build, environment).
BUILD_KINDS = {
    "default": ([], {"CGO_ENABLED": "0"}),
    "stripped": (["-ldflags=-s -w"], {"CGO_ENABLED": "0"}),
    "pie": (["-buildmode=pie"], {"CGO_ENABLED": "0"}),
    "pie-stripped": (["-buildmode=pie", "-ldflags=-s -w"], {"CGO_ENABLED": "0"}),
    "dynamic": (["-ldflags=-linkmode=external"], {"CGO_ENABLED": "1"}),
    "static-cgo": (["-ldflags=-linkmode=external -extldflags=-static"], {"CGO_ENABLED": "1"}),
    "noopt": (["-gcflags=all=-N -l"], {"CGO_ENABLED": "0"}),
    "trimpath": (["-trimpath"], {"CGO_ENABLED": "0"}),
    "race": (["-race"], {"CGO_ENABLED": "1"}),
    "no-buildinfo-vcs": (["-buildvcs=false"], {"CGO_ENABLED": "0"}),
}


class Toolchain:
    """One Go release: .name ("go1.22.12"), .minor (22), .goroot, .go (its go command)."""

    def __init__(self, name, goroot):
        self.name = name
        self.minor = int(name.split(".")[1])
        self.goroot = pathlib.Path(goroot)
        self.go = self.goroot / "bin" / "go"

    def __repr__(self):
        return self.name

    def environment(self, extra=None):
        """The environment in which this toolchain's go command builds offline."""
        env = dict(os.environ)
        env.update(GOROOT=str(self.goroot), GOTOOLCHAIN="local", GOFLAGS="", GOPROXY="off",
                   GOWORK="off")
        env.update(extra or {})
        return env

    def build(self, fixture, kind="default", flags=(), env=None):
        """Path of tests/fixtures/FIXTURE built as KIND (a key of BUILD_KINDS) plus more go build FLAGS and
        environment ENV. Built once per content; a failed build fails the test with go's words."""
        kind_flags, kind_env = BUILD_KINDS[kind]
        flags = [*kind_flags, *flags]
        extra = {**kind_env, **(env or {})}
        return self._build(FIXTURES / fixture, FIXTURES, flags, extra)

    def build_source(self, source, kind="default", module="example.com/unpark/inline", flags=()):
        """As build, for the text of one main.go (or a dict of file names to texts)."""
        files = {"main.go": source} if isinstance(source, str) else dict(source)
        files.setdefault("go.mod", f"module {module}\n\ngo 1.18\n")
        with tempfile.TemporaryDirectory(prefix="unpark-test-") as scratch:
            folder = pathlib.Path(scratch)
            for name, text in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text)
            kind_flags, kind_env = BUILD_KINDS[kind]
            return self._build(folder, folder, [*kind_flags, *flags], kind_env)

    def _build(self, package, module, flags, extra):
        key = hashlib.sha256()
        key.update(json.dumps([self.name, flags, extra, package.name if package != module else "."],
                              sort_keys=True).encode())
        for path in sorted([*package.rglob("*"), module / "go.mod"]):
            if path.is_file():
                key.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        folder = CACHE / f"{self.name}-{key.hexdigest()[:24]}"
        name = package.name if package != module else "inline"
        if not (folder / name).exists():
            self._run_build(package, folder, name, flags, extra)
        return folder / name

    def _run_build(self, package, folder, name, flags, extra):
        CACHE.mkdir(parents=True, exist_ok=True)
        scratch = pathlib.Path(tempfile.mkdtemp(prefix="building-", dir=CACHE))
        try:
            command = [str(self.go), "build", *flags, "-o", str(scratch / name), "."]
            done = subprocess.run(command, cwd=package, env=self.environment(extra),
                                  capture_output=True, text=True)
            if done.returncode != 0:
                pytest.fail(f"{' '.join(command)} in {package}: {done.stderr}")
            try:
                scratch.rename(folder)
            except OSError:
                # another test run built the same content first
                assert (folder / name).exists()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


class Program:
    """A running fixture, parked at its ready line. A context manager: ends the process by its id.

    .pid    process id (of the program itself)
    .words  words of the ready line behind "ready"
    """

    def __init__(self, command, env=None, timeout=180, ready="ready", **popen):
        environment = dict(os.environ)
        environment.update(env or {})
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=environment, **popen)
        self.pid = self.process.pid
        self._rest = b""
        said = []
        try:
            while True:
                line = self.read_line(timeout)
                if line.startswith(ready):
                    break
                said.append(line)
        except AssertionError as problem:
            self.end()
            raise AssertionError("\n".join([str(problem), "it said:", *said])) from problem
        except BaseException:
            self.end()
            raise
        self.words = line.split()[1:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def read_line(self, timeout=180):
        """The next line of its stdout, without the newline; AssertionError when none comes in time."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                left = deadline - time.monotonic()
                assert left > 0 and selector.select(left), "the fixture did not answer in time"
                chunk = os.read(self.process.stdout.fileno(), 1 << 20)
                assert chunk, f"the fixture ended: {self.process.wait(10)}"
                self._rest += chunk
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode(errors="surrogateescape")

    def ask(self, command, end="END", timeout=60):
        """Sends a command line on stdin; the answer's text up to the line END."""
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.read_line(timeout)) != end:
            lines.append(line)
        return "\n".join(lines) + "\n"

    def alive(self):
        """True while the process runs."""
        return self.process.poll() is None

    def end(self):
        """Closes stdin, waits a moment for the process to end, kills it otherwise."""
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                pass
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Result:
    """What one run of the program gave: .code, .out, .err (text), .bytes (raw stdout), .json()."""

    def __init__(self, done):
        self.code = done.returncode
        self.bytes = done.stdout
        self.out = done.stdout.decode(errors="surrogateescape")
        self.err = done.stderr.decode(errors="surrogateescape")

    def json(self):
        return json.loads(self.bytes)

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out[:2000]}\nstderr: {self.err[:2000]}"


def run_unpark(*words, env=None, timeout=120, prefix=(), **options):
    """Runs the program with WORDS (PREFIX words before it) and gives a Result. Colours and widths of the
    caller's terminal do not reach it."""
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("NO_COLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "COLUMNS")}
    environment.update(env or {})
    command = [*map(str, prefix), str(UNPARK), *map(str, words)]
    options.setdefault("stdin", subprocess.DEVNULL)
    return Result(subprocess.run(command, capture_output=True, env=environment, timeout=timeout,
                                 **options))


_toolchains = {}


def toolchains(which=None):
    """The Go toolchains of the set `which` (quick or all; default: UNPARK_TOOLCHAINS), oldest first."""
    which = which or os.environ.get("UNPARK_TOOLCHAINS", "quick")
    if which not in _toolchains:
        done = subprocess.run([ROOT / "tests" / "toolchains.sh", which], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"tests/toolchains.sh {which}: {done.stderr}")
        listed = [Toolchain(*line.split(None, 1)) for line in done.stdout.splitlines()]
        _toolchains[which] = sorted(listed, key=lambda toolchain: toolchain.minor)
    return _toolchains[which]


def pytest_generate_tests(metafunc):
    if "toolchain" in metafunc.fixturenames:
        metafunc.parametrize("toolchain", toolchains(), ids=repr)


def pytest_sessionstart(session):
    if not UNPARK.exists():
        pytest.exit(f"{UNPARK} does not exist: run make, or set UNPARK", returncode=2)


@pytest.fixture(scope="session")
def newest():
    """The newest Go toolchain of the set."""
    return toolchains()[-1]


@pytest.fixture(scope="session")
def unpark():
    """run_unpark: unpark("dump", pid, "--json").json()."""
    return run_unpark


@pytest.fixture
def start():
    """start(binary, *arguments, env=..., ready=...) runs a fixture up to its ready line; it is ended
    after the test."""
    programs = []

    def start_program(binary, *arguments, **options):
        program = Program([binary, *arguments], **options)
        programs.append(program)
        return program

    yield start_program
    for program in programs:
        program.end()


@pytest.fixture(scope="module")
def parked(newest):
    """The fixture tests/fixtures/parked, built by the newest toolchain and running, shared by the tests
    of one module."""
    with Program([newest.build("parked")]) as program:
        yield program
