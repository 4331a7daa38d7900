"""Goroutine dumps in Go's own text as targets: of every release and from every way they are written, wherever
logs have put them; and that they say the same as the process and its core."""

import collections
import gzip
import json
import re
import shutil
import signal
import subprocess

import pytest

import conftest
import go_text

PANICPARSE = shutil.which("panicparse") or shutil.which("pp")


def crash_text(binary, *arguments, level="all", **options):
    """What the program prints on stderr when it gets SIGQUIT at its ready line."""
    with conftest.Program([binary, *arguments], env={"GOTRACEBACK": level}, stderr=subprocess.PIPE,
                          **options) as program:
        program.process.send_signal(signal.SIGQUIT)
        return program.process.stderr.read().decode()


def groups_of(data, frame=lambda frame: (frame["function"], frame["file"], frame["line"])):
    """The user goroutines of a JSON dump with --each: id to (state, stack, creator), as far as a text tells:
    frames that Go's traceback leaves out are left out, and goroutines that ran have no stack."""
    found = {}
    for goroutine in data["goroutines"]:
        stack = [frame(entry) for entry in goroutine["stack"] or [] if not entry.get("hidden")]
        creator = goroutine["creator"] and frame(goroutine["creator"])
        found[goroutine["id"]] = (goroutine["status"], goroutine["wait_reason"], stack, creator)
    return found


def read_back(unpark, text, *words, **options):
    """Runs unpark dump on TEXT (str or bytes) from standard input."""
    data = text if isinstance(text, bytes) else text.encode(errors="surrogateescape")
    return unpark("dump", "-", *words, stdin=None, input=data, **options)


@pytest.fixture(scope="module")
def stack_text(parked):
    """runtime.Stack(all) of the fixture parked."""
    return parked.ask("stack")


# ---- texts of the runtime come back unchanged


def test_stack_of_every_release_comes_back(toolchain, unpark, start):
    text = start(toolchain.build("parked")).ask("stack")
    result = read_back(unpark, text, "--format", "go")
    assert result.code == 0, result
    assert go_text.differences(go_text.goroutines(text), go_text.goroutines(result.out)) == ""
    assert read_back(unpark, result.bytes, "--format", "go").bytes == result.bytes


@pytest.mark.parametrize("level", ["all", "system", "crash"])
def test_crash_of_every_release(toolchain, unpark, level):
    text = crash_text(toolchain.build("parked"), level=level)
    result = read_back(unpark, text, "--each", "--all", "--json")
    data = result.json()
    headers = {int(found) for found in re.findall(r"^goroutine (\d+) ", text, re.M)} - {0}
    assert {goroutine["id"] for goroutine in data["goroutines"]} == headers
    assert any("SIGQUIT: quit" in note for note in data["notes"])
    assert not any("dumps" in note for note in data["notes"])
    starts = {goroutine["stack"][-1]["function"] for goroutine in data["goroutines"] if goroutine["stack"]}
    assert "main.receive" in starts or "runtime.goexit" in starts


def test_groups_are_those_of_process_and_core(newest, unpark, start, tmp_path):
    program = start(newest.build("parked"))
    text = program.ask("stack")
    live = unpark("dump", program.pid, "--each", "--json").json()
    told = groups_of(read_back(unpark, text, "--each", "--json").json())
    own = groups_of(live)
    shared = {number for number in told if number in own and told[number][0] == "waiting"}
    assert len(shared) > 50
    hidden = re.compile(r"^runtime\.|\.gowrap\d+$|-fm$")
    for number in shared:
        assert told[number][:2] == own[number][:2]
        visible = [frame for frame in own[number][2] if frame in told[number][2]]
        assert visible == told[number][2], number
        lost = [frame for frame in own[number][2] if frame not in told[number][2] and not hidden.search(frame[0])]
        assert lost == [], number
        assert told[number][3] == own[number][3] or hidden.search(own[number][3][0])


def test_text_of_the_process_comes_back(newest, unpark, start):
    program = start(newest.build("parked"))
    first = unpark("dump", program.pid, "--format", "go")
    assert read_back(unpark, first.bytes, "--format", "go").bytes == first.bytes


PANIC = """package main

import ("os"; "fmt"; "runtime/debug"; "sync"; "time")

var never = make(chan int)

func park(n int) { <-never; fmt.Println(n) }

func main() {
	for i := 0; i < 5; i++ { go park(i) }
	time.Sleep(50 * time.Millisecond)
	fmt.Println("ready")
	switch os.Args[1] {
	case "panic":
		var m map[string]int
		m["a"] = 1
	case "deadlock":
		var mu sync.Mutex
		mu.Lock()
		mu.Lock()
	case "goexit":
		go func() { panic(fmt.Errorf("two\\nlines")) }()
		<-never
	case "recovered":
		func() {
			defer func() { recover(); os.Stderr.Write(debug.Stack()) }()
			panic("boom")
		}()
	case "map":
		m := map[int]int{}
		for i := 0; i < 8; i++ { go func() { for { m[1]++ } }() }
		<-never
	}
}
"""


@pytest.mark.parametrize("way,reason", [
    ("panic", "panic: assignment to entry in nil map"),
    ("deadlock", "fatal error: all goroutines are asleep - deadlock!"),
    ("goexit", "panic: "),
    ("map", "fatal error: concurrent map"),
    ("recovered", None)])
def test_panics_and_fatal_errors(toolchain, unpark, way, reason):
    binary = toolchain.build_source(PANIC)
    done = subprocess.run([binary, way], capture_output=True, timeout=60, env={"GOTRACEBACK": "all"})
    result = read_back(unpark, done.stderr, "--each", "--json")
    assert result.code == 0, (result, done.stderr)
    data = result.json()
    if reason is None:
        assert data["summary"]["goroutines"] == 1
        assert "panic" in [frame["function"] for frame in data["goroutines"][0]["stack"]]
        return
    assert any(reason in note for note in data["notes"]), data["notes"]
    parked_there = [goroutine for goroutine in data["goroutines"]
                    if goroutine["stack"] and goroutine["stack"][0]["function"] == "main.park"]
    assert len(parked_there) == 5
    again = read_back(unpark, done.stderr, "--format", "go")
    assert read_back(unpark, again.bytes, "--format", "go").bytes == again.bytes


def test_labels_in_both_syntaxes(unpark):
    text = ("goroutine 7 [chan receive{inside}]{behind}:\nmain.f(...)\n\t/a.go:1\n"
            "main.g(0x1?, {{0x2, 0x3}}, ...)\n\t/a.go:2 +0x1d\ncreated by main.main in goroutine 1\n\t/a.go:3 +0x4\n")
    new = text.format(inside="", behind=' {op: x, "a b": "c\\n\\"d\\""}')
    old = text.format(inside=' labels:{"op": "x", "a b": "c\\n\\"d\\""}', behind="")
    for given in (new, old):
        labels = read_back(unpark, given, "--each", "--json").json()["goroutines"][0]["labels"]
        assert labels == {"op": "x", "a b": 'c\n"d"'}
        assert read_back(unpark, given, "--format", "go").out == given


def test_everything_a_header_can_say(unpark):
    text = ("goroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1\n\n"
            "goroutine 9 [select (no cases) (durable), 12 minutes, locked to thread, synctest bubble 4]:\n"
            "main.f()\n\t/a.go:2 +0x2\ncreated by main.main in goroutine 1\n\t/a.go:3 +0x3\n\n"
            "goroutine 10 [chan send (nil chan) (leaked) (scan)]:\nmain.f()\n\t/a.go:2 +0x2\n\n"
            "goroutine 11 [chan receive (durable), synctest bubble 4]:\nmain.f()\n\t/a.go:2 +0x2\n"
            "...71 frames elided...\nmain.g(0x0)\n\t/a.go:9 +0x3\n\n"
            "goroutine 12 [running]:\n\tgoroutine running on other thread; stack unavailable\n"
            "created by main.main in goroutine 1\n\t/a.go:3 +0x3\n\n"
            "goroutine 13 [syscall]:\nnon-Go function at pc=0x4c1f\nc_wait\n\t/x.c:12 pc=0x4c2f\n"
            "runtime.cgocall(0x4b, 0xc0001)\n\t/r.go:157 +0x5c\n")
    assert read_back(unpark, text, "--format", "go").out == text
    data = {entry["id"]: entry for entry in read_back(unpark, text, "--each", "--json").json()["goroutines"]}
    assert data[9]["age_ns"] == 12 * 60 * 10**9 and data[9]["locked"] and data[9]["bubble"] == 4
    assert data[10]["leaked"] is True
    assert data[12]["stack"] is None


def test_ancestors_and_registers_are_no_frames(unpark):
    text = ("goroutine 20 gp=0xc000102000 m=3 mp=0xc000080008 [chan receive]:\n"
            "runtime.gopark(0x0?, 0x1?)\n\t/r/proc.go:398 +0xce fp=0xc00 sp=0xb00 pc=0xa00\n"
            "main.f()\n\t/a.go:2 +0x2 fp=0xd00 sp=0xc00 pc=0xa10\n"
            "created by main.mid\n\t/a.go:3 +0x3\n"
            "[originating from goroutine 19]:\nmain.mid(...)\n\t/a.go:30\ncreated by main.main\n\t/a.go:31 +0x3\n\n"
            "rax    0x0\nrbx    0x7\nrip    0x46a3\n")
    goroutine, = read_back(unpark, text, "--each", "--json").json()["goroutines"]
    assert [frame["function"] for frame in goroutine["stack"]] == ["runtime.gopark", "main.f"]
    assert goroutine["creator"]["function"] == "main.mid" and goroutine["parent"] == 19
    assert goroutine["g"] == "0xc000102000" if "g" in goroutine else True


# ---- wherever logs put them


def json_lines(text, key="log", ending="\n", **more):
    return "".join(json.dumps({key: line + ending, **more}, separators=(",", ":")) + "\n"
                   for line in text.rstrip("\n").split("\n"))


def prefixed(text, make):
    return "".join(make(number) + line + "\n" for number, line in enumerate(text.rstrip("\n").split("\n")))


LOG = "2024/05/06 07:08:09 started worker goroutine 17 [ok]\n2024/05/06 07:08:10 GET /x 200\n"

SHAPES = {
    "in a log": lambda text: LOG * 50 + text + "exit status 2\n" + LOG * 50,
    "log prefix on its first line": lambda text: LOG + "2024/05/06 07:08:11 " + text + LOG,
    "http panic": lambda text: LOG + "2024/05/06 07:08:11 http: panic serving 10.0.0.1:5: boom\n" + text,
    "CRLF": lambda text: LOG + text.replace("\n", "\r\n"),
    "colours": lambda text: prefixed(text, lambda n: "\x1b[31m\x1b[1m").replace("\n", "\x1b[0m\n"),
    "docker": lambda text: json_lines(LOG + text, stream="stderr", time="2024-05-06T07:08:09.123456789Z"),
    "docker, other order": lambda text: "".join(
        '{"stream":"stderr","time":"x","log":%s}\n' % json.dumps(line + "\n") for line in text.split("\n")),
    "journald JSON": lambda text: json_lines(text, key="MESSAGE", ending="", _PID="7"),
    "CRI": lambda text: prefixed(LOG + text, lambda n: f"2024-05-06T07:08:09.{n:09d}Z stderr F "),
    "CRI, variable fraction": lambda text: prefixed(text, lambda n: f"2024-05-06T07:08:09.{n + 1}Z stderr F "),
    "kubectl --prefix": lambda text: prefixed(text, lambda n: "[pod/app-7f9c4/main] "),
    "compose": lambda text: prefixed(text, lambda n: "web-1  | "),
    "compose, trimmed": lambda text: prefixed(text, lambda n: "web-1  | ").replace("| \n", "|\n"),
    "journalctl": lambda text: prefixed(text, lambda n: f"May 06 07:08:{n % 60:02d} host app[4711]: "),
    "journalctl, one message": lambda text: "May 06 07:08:09 host app[4711]: " + text.rstrip("\n").replace(
        "\n", "\n" + " " * len("May 06 07:08:09 host app[4711]: ")) + "\n",
    "syslog": lambda text: prefixed(text.replace("\t", "#011"), lambda n: f"May  6 07:08:{n % 60:02d} host app: "),
    "logger's field": lambda text: json.dumps({"level": "error", "msg": "boom", "stack": text}) + "\n",
    "message before it": lambda text: json.dumps({"level": "error", "msg": "panic: boom\n\n" + text}) + "\n",
    "logfmt": lambda text: "ts=1 level=error msg=" + json.dumps(text) + " caller=x.go:7\n",
    "logger in docker": lambda text: json_lines(json.dumps({"level": "error", "stack": text}), stream="stderr"),
    "CRI around a logger": lambda text: "2024-05-06T07:08:09.1Z stderr F " + json.dumps({"err": text}) + "\n",
    "spaces for tabs": lambda text: text.replace("\t", "    "),
    "no empty lines": lambda text: text.replace("\n\n", "\n"),
    "byte order mark": lambda text: "\ufeff" + text,
    "hole in front": lambda text: "\0" * 5000 + LOG + text,
    "far inside": lambda text: LOG * 20000 + text + LOG * 2000,
    "no end of line": lambda text: text.rstrip("\n"),
}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.replace(" ", "-"))
def test_shape(unpark, stack_text, shape):
    wrapped = SHAPES[shape](stack_text)
    plain = read_back(unpark, stack_text, "--format", "go")
    result = read_back(unpark, wrapped, "--format", "go")
    assert result.code == 0, result
    assert go_text.differences(go_text.goroutines(plain.out), go_text.goroutines(result.out)) == ""
    assert "dumps" not in result.err


@pytest.mark.parametrize("shape", ["in a log", "docker", "logger's field"])
def test_shape_in_gzip(unpark, stack_text, shape, tmp_path):
    path = tmp_path / "app.log.gz"
    path.write_bytes(gzip.compress(SHAPES[shape](stack_text).encode()))
    want = len(go_text.goroutines(stack_text))
    assert unpark("dump", path, "--json").json()["summary"]["goroutines"] == want
    path.write_bytes(path.read_bytes()[:-200])
    notes = unpark("dump", path, "--json").json()["notes"]
    assert any("gzip" in note for note in notes)


def test_lines_of_others_between(unpark, stack_text):
    lines = stack_text.split("\n")
    mixed = [line for index, text in enumerate(lines)
             for line in ([text, "INFO 12 requests (in 5s)"] if text.startswith("\t") and index % 9 == 0 else [text])]
    plain = read_back(unpark, stack_text, "--json").json()["summary"]
    told = read_back(unpark, "\n".join(mixed), "--json").json()["summary"]
    assert told["goroutines"] == plain["goroutines"] and told["groups"] == plain["groups"]


def one(number, function="main.f", state="running"):
    return f"goroutine {number} [{state}]:\n{function}()\n\t/a.go:{number} +0x1d\n"


def test_several_dumps(unpark, tmp_path):
    path = tmp_path / "app.log"
    first = one(1) + "\n" + one(2, state="select") + "\n"
    second = one(2) + "\n" + one(1, state="select") + "\n" + one(3, state="select")
    third = one(9, "main.last")
    path.write_text(LOG + first + LOG + "2024/05/06 07:08:11 dump:\n" + second + "\n\nLOG\npanic: boom\n\n" + third)
    last = unpark("dump", path, "--json").json()
    assert last["summary"]["goroutines"] == 1
    assert any("3 dumps (of 2, 3, 1 goroutines)" in note and "FILE@N" in note for note in last["notes"])
    assert any("panic: boom" in note for note in last["notes"])
    for number, want in ((1, 2), (2, 3), (3, 1)):
        assert unpark("dump", f"{path}@{number}", "--json").json()["summary"]["goroutines"] == want
    beyond = unpark("dump", f"{path}@4")
    assert beyond.code == 3 and "3 dumps" in beyond.err
    assert "3 dumps" in unpark("dump", path, "--format", "go").err
    odd = tmp_path / "log@2"
    odd.write_text(third)
    assert unpark("dump", odd, "--json").json()["summary"]["goroutines"] == 1


def test_same_goroutine_again_is_another_dump(unpark):
    told = read_back(unpark, (one(1) + "\n" + one(2) + "\n") * 3, "--json").json()
    assert told["summary"]["goroutines"] == 2 and any("3 dumps" in note for note in told["notes"])


@pytest.mark.parametrize("cut", [1, 30, 47, 55, 60])
def test_truncated_says_so(unpark, cut):
    text = one(1) + "\n" + "goroutine 5 [select]:\nmain.worker(0xc000012345, 0x7)\n\t/src/app/main.go:77 +0x1d\n"
    result = read_back(unpark, text[:-cut], "--json")
    data = result.json()
    assert 1 <= data["summary"]["goroutines"] <= 2
    if cut > 10:
        assert any("breaks off" in note for note in data["notes"]), data


def test_cut_at_64_mib(unpark, tmp_path):
    block = "goroutine {:08d} [select]:\nmain.f()\n\t/a.go:1 +0x1d\n\n"
    path = tmp_path / "big.txt"
    with path.open("w") as file:
        size = 0
        for number in range(10_000_000, 12_000_000):
            text = block.format(number)
            if size + len(text) > 64 << 20:
                file.write(text[:(64 << 20) - size])
                break
            file.write(text)
            size += len(text)
    assert path.stat().st_size == 64 << 20
    result = unpark("dump", path, "--json")
    assert any("64 MiB" in note for note in result.json()["notes"])


# ---- as a target like others


def test_leaks_of_a_text(unpark, tmp_path):
    path = tmp_path / "dump.txt"
    path.write_text(one(1) + "\n" + one(2, "main.stuck", "chan receive (leaked)") + "\n" +
                    one(3, "main.nil", "chan send (nil chan)") + "\n" + one(4, "main.waits", "chan receive"))
    result = unpark("leaks", path)
    assert result.code == 1
    assert "PROVED STUCK: 1 goroutine" in result.out and "program" in result.out
    assert "SUSPECTED: 1 goroutine in chan send (nil chan)" in result.out
    assert "core file" in result.out and "unpark leaks PID" in result.out
    data = unpark("leaks", path, "--json").json()
    assert data["summary"]["proved"] == 1 and data["summary"]["suspected"] == 1
    assert unpark("leaks", path, "--freeze", "always").code == 2
    assert "(leaked)" in unpark("leaks", path, "--format", "go").out


@pytest.mark.parametrize("words", [["--stop"], ["--exe", "/bin/true"]])
def test_options_that_make_no_sense(unpark, tmp_path, words):
    path = tmp_path / "dump.txt"
    path.write_text(one(1))
    result = unpark("dump", path, *words)
    assert result.code == 2 and result.err.startswith("unpark: ")


@pytest.mark.parametrize("content,code", [(b"", 3), (b"\0\1\2\3" * 100, 3), (b"no dump here\n" * 100, 3)])
def test_files_that_hold_none(unpark, tmp_path, content, code):
    path = tmp_path / "file"
    path.write_bytes(content)
    result = unpark("dump", path)
    assert result.code == code and result.err.count("\n") <= 2 and str(path) in result.err


def test_hostile_names_do_not_reach_the_terminal(unpark):
    text = "goroutine 1 [running]:\nmain.\x1b[2J\x07f()\n\t/a\x1b]0;owned\x07.go:1 +0x1d\n"
    for words in ([], ["--format", "go"], ["--json"], ["--each"]):
        result = read_back(unpark, text, *words)
        assert b"\x1b" not in result.bytes and b"\x07" not in result.bytes


def test_a_pipe_is_read_in_pieces(unpark, stack_text):
    process = subprocess.Popen([conftest.UNPARK, "dump", "-", "--json"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    data = stack_text.encode()
    for at in range(0, len(data), 1000):
        process.stdin.write(data[at:at + 1000])
        process.stdin.flush()
    process.stdin.close()
    told = json.loads(process.stdout.read())
    assert process.wait() == 0
    assert told["summary"]["goroutines"] == len(go_text.goroutines(stack_text))


@pytest.mark.skipif(PANICPARSE is None, reason="panicparse is not installed")
def test_panicparse_reads_what_we_print(newest, unpark, start):
    program = start(newest.build("parked"))
    text = unpark("dump", program.pid, "--format", "go", "--labels", "never").out
    done = subprocess.run([PANICPARSE, "-no-color"], input=text, capture_output=True, text=True)
    counts = collections.Counter()
    for count, state in re.findall(r"^(\d+): ([A-Za-z][^\[\n]*?)(?: \[| <|$)", done.stdout, re.M):
        counts[state] += int(count)
    assert done.returncode == 0, done.stderr
    assert sum(counts.values()) == len(go_text.goroutines(text)), done.stdout[:2000]
