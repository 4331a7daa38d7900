"""unpark leaks as a whole: exit statuses, forms, what is stopped when, what is never said, watching."""

import json
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import time

import pytest
from conftest import ROOT, UNPARK, Program, run_unpark

HELPERS = """
// await returns when N goroutines have a state of STATES (by "|") and FUNCTION on the stack.
func await(n int, states, function string) {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		buffer := make([]byte, 1<<20)
		count := 0
		for _, record := range strings.Split(string(buffer[:runtime.Stack(buffer, true)]), "\\n\\n") {
			for _, state := range strings.Split(states, "|") {
				if strings.Contains(record, "["+state) && strings.Contains(record, function) {
					count++
					break
				}
			}
		}
		if count >= n {
			return
		}
		if time.Now().After(deadline) {
			panic("not parked: " + function)
		}
	}
}

func end() {
	// the first collection notes when, the second since when goroutines wait
	runtime.GC()
	runtime.GC()
	fmt.Println("ready", os.Getpid())
	io.Copy(io.Discard, os.Stdin)
}
"""

IMPORTS = """package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)
"""

# One goroutine stuck for ever while it holds a lock, and twenty that want the lock.
QUEUE = IMPORTS + HELPERS + """
type account struct {
	mu      sync.Mutex
	changes chan int
}

//go:noinline
func (a *account) apply() {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprint(io.Discard, <-a.changes)
}

//go:noinline
func (a *account) read() {
	a.mu.Lock()
	a.mu.Unlock()
}

func open() {
	a := &account{changes: make(chan int)}
	go a.apply()
	await(1, "chan receive", "main.(*account).apply")
	for i := 0; i < 20; i++ {
		go a.read()
	}
}

func main() {
	done := make(chan bool)
	go func() { open(); close(done) }()
	<-done
	await(20, "sync.Mutex.Lock|semacquire", "main.(*account).read")
	end()
}
"""

# Healthy: a worker that a global variable reaches, and main in select {} (its stdin ends the program).
SERVICE = IMPORTS + HELPERS + """
var jobs = make(chan int)

//go:noinline
func work() {
	for range jobs {
	}
}

func main() {
	var unused sync.Mutex
	unused.Lock()
	go work()
	await(1, "chan receive", "main.work")
	go func() { end(); os.Exit(0) }()
	select {}
}
"""

# Healthy and never at rest.
BUSY = IMPORTS + HELPERS + """
type request struct {
	n      int
	answer chan int
}

func serve(requests <-chan request) {
	for r := range requests {
		r.answer <- r.n + 1
	}
}

func ask(requests chan<- request, mu *sync.Mutex, total *int) {
	for i := 0; ; i++ {
		r := request{i, make(chan int)}
		requests <- r
		n := <-r.answer
		mu.Lock()
		*total += n
		mu.Unlock()
		var group sync.WaitGroup
		for j := 0; j < 3; j++ {
			group.Add(1)
			go func() { defer group.Done(); time.Sleep(time.Millisecond) }()
		}
		group.Wait()
	}
}

func main() {
	requests := make(chan request)
	var mu sync.Mutex
	total := 0
	for i := 0; i < 4; i++ {
		go serve(requests)
	}
	for i := 0; i < 16; i++ {
		go ask(requests, &mu, &total)
	}
	await(0, "", "")
	end()
}
"""

# Each line on stdin leaks one more goroutine that a global variable still reaches: no proof, but growth.
HOARD = IMPORTS + HELPERS + """
var hoard []chan int

//go:noinline
func keep(c chan int) { <-c }

func main() {
	var mu sync.Mutex
	mu.Lock()
	fmt.Println("ready", os.Getpid())
	line := make([]byte, 1)
	for n := 1; ; n++ {
		c := make(chan int)
		hoard = append(hoard, c)
		go keep(c)
		await(n, "chan receive", "main.keep")
		fmt.Println("kept", n)
		if _, err := io.ReadFull(os.Stdin, line); err != nil {
			return
		}
	}
}
"""


# Leaks eight goroutines at one place, and eight at another for each line on stdin.
LATE = IMPORTS + HELPERS + """
//go:noinline
func early(c chan int) { <-c }

//go:noinline
func late(c chan int) { c <- 1 }

func leak(site func(chan int)) {
	done := make(chan bool)
	go func() {
		for i := 0; i < 8; i++ {
			go site(make(chan int))
		}
		close(done)
	}()
	<-done
}

func main() {
	var unused sync.Mutex
	unused.Lock()
	leak(early)
	await(8, "chan receive", "main.early")
	runtime.GC()
	fmt.Println("ready", os.Getpid())
	line := make([]byte, 1)
	for n := 8; ; n += 8 {
		if _, err := io.ReadFull(os.Stdin, line); err != nil {
			return
		}
		leak(late)
		await(n, "chan send", "main.late")
		fmt.Println("leaked", n)
	}
}
"""


def leaks(target, *words, **options):
    """The result of unpark leaks TARGET. A machine under load may stop a program for long."""
    if not any(str(word).startswith("--max-stop") for word in words):
        words = (*words, "--max-stop", "0")
    return run_unpark("leaks", target, *words, **options)


def leaks_json(target, *words, codes=(0, 1)):
    """The object of unpark leaks TARGET --json, which obeys the schema."""
    result = leaks(target, "--json", *words)
    assert result.code in codes, result
    data = result.json()
    check_schema(data)
    return data


_validator = []


def check_schema(data):
    """Asserts that DATA obeys docs/schema/leaks-1.json, and that it says nothing that is not documented."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "docs/schema/leaks-1.json").read_text())
    if not _validator:
        jsonschema.Draft202012Validator.check_schema(schema)
        _validator.append(jsonschema.Draft202012Validator(schema))
    _validator[0].validate(data)
    check_documented(schema, schema, data, "$")


def check_documented(schema, part, data, path):
    """Asserts that every member of DATA is a property of PART of SCHEMA."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rsplit("/", 1)[1]]
    if "oneOf" in part and data is not None:
        references = [choice for choice in part["oneOf"] if "$ref" in choice]
        if references:
            check_documented(schema, references[0], data, path)
    if isinstance(data, dict) and "properties" in part:
        for name, value in data.items():
            assert name in part["properties"], f"{path}.{name}"
            check_documented(schema, part["properties"][name], value, f"{path}.{name}")
    elif isinstance(data, list) and "items" in part:
        for value in data:
            check_documented(schema, part["items"], value, f"{path}[]")


def functions(finding):
    """The functions on the stack of FINDING."""
    return [frame["function"] for frame in finding["stack"]]


def finding_of(data, function):
    """The findings of DATA with FUNCTION on the stack."""
    return [finding for finding in data["findings"] if function in functions(finding)]


@pytest.fixture
def queue(newest, start):
    return start(newest.build_source(QUEUE))


@pytest.fixture
def service(newest, start):
    return start(newest.build_source(SERVICE))


@pytest.fixture
def leaky(newest, start):
    """A program that leaks by the cause abandoned-result; "more" leaks more."""
    return start(newest.build("causes"), "abandoned-result")


# ---- findings ----


def test_healthy(toolchain, start):
    program = start(toolchain.build_source(SERVICE))
    data = leaks_json(program.pid, codes=(0,))
    summary = data["summary"]
    assert data["findings"] == []
    assert summary["proved"] == summary["suspected"] == summary["unknown"] == 0
    assert summary["stopped_ns"] == 0 and summary["stops"] == 0
    assert summary["goroutines"] == summary["waiting"] >= 3 and summary["system"] > 0
    text = leaks(program.pid)
    assert text.code == 0 and "the program was not stopped" in text.out and "0 proved stuck" in text.out
    assert "next:" not in text.out


@pytest.mark.parametrize("processors", ["1", "4"])
def test_no_leak_hides_behind_a_resting_thread(toolchain, processors, start):
    """Threads that rest are full of old words; none of them keeps a leak from being proved."""
    binary = toolchain.build_source(QUEUE)
    proved = []
    for _ in range(12):
        program = start(binary, env={"GOMAXPROCS": processors})
        proved.append(leaks_json(program.pid)["summary"]["proved"])
        program.end()
    assert proved == [21] * 12


def test_main_in_select_is_no_leak(service):
    data = leaks_json(service.pid, "--freeze", "always", "--goroutine", 1, codes=(0,))
    assert data["findings"] == [] and data["summary"]["stopped_ns"] > 0
    assert data["goroutine"]["verdict"] == "waiting"
    assert data["goroutine"]["wait_reason"] == "select (no cases)"


def test_head_and_followers(toolchain, start):
    program = start(toolchain.build_source(QUEUE))
    data = leaks_json(program.pid, codes=(1,))
    assert data["summary"]["proved"] == 21 and data["summary"]["stops"] == 1
    head, = finding_of(data, "main.(*account).apply")
    behind, = finding_of(data, "main.(*account).read")
    assert head["head"] is None and head["followers"] == 20 and head["count"] == 1
    assert head["age_max_ns"] >= head["age_min_ns"] >= 0
    assert data["findings"][behind["head"]] is not behind
    assert data["findings"][behind["head"]] == head
    assert behind["count"] == 20 == len(behind["goroutines"])
    assert {waker["goroutine"] for waker in behind["wakers"]} == set(head["goroutines"])
    one = leaks(program.pid, "--limit", "1")
    assert one.out.count("PROVED STUCK") == 2 and "behind it, PROVED STUCK: 20 goroutines" in one.out
    assert "20 more wait behind it" in one.out


def test_text_says_what_a_user_needs(leaky):
    result = leaks(leaky.pid)
    assert result.code == 1 and result.err == "", result
    lines = result.out.splitlines()
    assert re.match(r"PROVED STUCK: \d+ goroutines? in chan send(, age unknown| for .+)  \[channel\]$", lines[0])
    assert re.match(r"  at:       main\..*  .*/channels\.go:\d+$", lines[1])
    assert re.match(r"  started:  main\..*  .*/channels\.go:\d+$", lines[2])
    for label in ("  why:  ", "    waker:", "    fix:  ", "  stack:", "next:"):
        assert any(line.startswith(label) for line in lines), label
    assert f"unpark leaks {leaky.pid} -g " in result.out and "unpark causes abandoned-result" in result.out
    assert f"unpark leaks {leaky.pid} --watch 60s" in result.out
    long = [line for line in lines if len(line) > 120 and not re.search(r"\.(go|s):\d+$", line)]
    assert long == []


def test_json_says_what_text_says(leaky):
    data = leaks_json(leaky.pid, codes=(1,))
    finding, = data["findings"]
    assert finding["verdict"] == "proved" and finding["class"] == "channel" and finding["reason"] is None
    assert finding["count"] == len(finding["goroutines"]) == data["summary"]["proved"]
    assert finding["causes"][0]["id"] == "abandoned-result" and finding["causes"][0]["fix"]
    assert finding["waits"][0]["direction"] == "send" and finding["object"]["kind"] == "channel"
    assert finding["at"]["file"].endswith("channels.go") and finding["creator"]["line"] > 0
    assert finding["growth"] is None and finding["proved_at"] is None and data["summary"]["watch"] is None


def test_only_proved(newest, start):
    program = start(newest.build("causes"), "abandoned-result")
    full = leaks_json(program.pid, codes=(1,))
    only = leaks_json(program.pid, "--only", "proved", codes=(1,))
    assert [finding["key"] for finding in only["findings"]] == \
        [finding["key"] for finding in full["findings"] if finding["verdict"] == "proved"]
    doubtful = leaks_json(program.pid, "--freeze", "never", codes=(5,))
    assert {finding["verdict"] for finding in doubtful["findings"]} == {"unknown"}
    hidden = leaks_json(program.pid, "--freeze", "never", "--only", "proved", codes=(0, 5))
    assert hidden["findings"] == [] and hidden["summary"]["findings_hidden"] == len(doubtful["findings"])


def test_format_go_marks_only_the_proved(queue):
    data = leaks_json(queue.pid, codes=(1,))
    proved = {goid for finding in data["findings"] for goid in finding["goroutines"]}
    result = leaks(queue.pid, "--format", "go")
    assert result.code == 1
    marked, unmarked = set(), set()
    for line in result.out.splitlines():
        if match := re.match(r"goroutine (\d+) .*\[(.*)\]:$", line):
            (marked if "(leaked)" in match[2] else unmarked).add(int(match[1]))
        else:
            assert "(leaked)" not in line
    assert marked == proved and len(unmarked) == data["summary"]["goroutines"] - len(proved)


def test_lines(queue):
    result = leaks(queue.pid, "--format", "ndjson")
    lines = [json.loads(line) for line in result.out.splitlines()]
    whole = leaks_json(queue.pid)
    assert result.code == 1 and len(lines) == len(whole["findings"]) + 1
    assert all(line["look"] is None for line in lines[:-1])
    check_schema({"findings": [line["finding"] for line in lines[:-1]], **lines[-1]})
    assert [line["finding"]["key"] for line in lines[:-1]] == \
        [finding["key"] for finding in whole["findings"]]


# ---- one goroutine ----


def test_witness(service):
    dump = run_unpark("dump", service.pid, "--json", "--each", "--function", "main.work").json()
    goid = dump["goroutines"][0]["id"]
    result = leaks(service.pid, "--goroutine", goid)
    assert result.code == 0
    assert result.out.startswith(f"goroutine {goid} [chan receive] is not proved stuck: ")
    assert "reached from something alive:" in result.out
    data = leaks_json(service.pid, "--goroutine", goid, codes=(0,))
    assert data["goroutine"]["id"] == goid and data["goroutine"]["verdict"] == "waiting"
    assert len(data["goroutine"]["witness"]) >= 2
    # the path ends at the channel
    assert data["goroutine"]["waits"][0]["example"]["address"] in data["goroutine"]["witness"][-1]


def test_stuck_goroutine_alone(queue):
    data = leaks_json(queue.pid)
    head, = finding_of(data, "main.(*account).apply")
    result = leaks(queue.pid, "-g", head["goroutines"][0])
    assert result.code == 1 and result.out.startswith("PROVED STUCK: 1 goroutine in chan receive")
    data = leaks_json(queue.pid, "-g", head["goroutines"][0])
    assert data["goroutine"]["verdict"] == "proved" and data["goroutine"]["witness"] == []


def test_goroutine_that_is_not_there(service):
    result = leaks(service.pid, "-g", 999999)
    assert result.code == 3 and result.out == "" and "no goroutine 999999" in result.err


# ---- when it is stopped ----


def test_freeze(leaky):
    data = leaks_json(leaky.pid, "--freeze", "always", codes=(1,))
    assert data["summary"]["stopped_ns"] > 0 and data["summary"]["consistent"]
    data = leaks_json(leaky.pid, "--freeze", "never", codes=(5,))
    assert data["summary"]["stopped_ns"] == 0 and data["summary"]["proved"] == 0
    assert data["summary"]["unknown"] == data["findings"][0]["count"]
    assert "while the program ran" in data["findings"][0]["reason"]


def test_stop_that_takes_too_long(leaky):
    result = leaks(leaky.pid, "--max-stop", "1ns", "--json")
    data = result.json()
    check_schema(data)
    assert result.code == 5 and data["summary"]["proved"] == 0, result
    assert data["summary"]["obstacle"] and data["summary"]["obstacle"] in result.err
    assert data["summary"]["stopped_ns"] > 0 and "--max-stop" in data["summary"]["obstacle"]
    assert {finding["verdict"] for finding in data["findings"]} == {"unknown"}
    assert {finding["reason"] for finding in data["findings"]} == {"the memory was read while the program ran"}
    text = leaks(leaky.pid, "--max-stop", "1ns")
    assert "nothing new could be proved: " in text.out and "the program was stopped for " in text.out, text
    assert text.code == 5 and len(text.err.splitlines()) == 1, text


def test_memory_that_does_not_suffice(leaky):
    """What it would take is said, what there is, and what to do."""
    limited = ["sh", "-c", 'ulimit -v 60000 && exec "$@"', "sh"]
    if run_unpark("version", prefix=limited).code != 0:
        pytest.skip("built with a sanitizer, which needs more address space than that")
    result = run_unpark("leaks", leaky.pid, "--json", prefix=limited)
    assert result.code in (5, 6) and result.out == "" and len(result.err.splitlines()) == 1, result
    assert re.search(r"needs .*MiB.*free.*\(give Unpark more memory", result.err), result


def test_scrubbed(service, leaky):
    plain = leaks(leaky.pid, "--json").out
    scrubbed = leaks(leaky.pid, "--json", "--scrub")
    assert scrubbed.code == 1 and re.search(r'"address":"0x', plain) and not re.search("0x[0-9a-f]{5}", scrubbed.out)
    check_schema(scrubbed.json())
    text = leaks(leaky.pid, "--scrub")
    assert "PROVED STUCK" in text.out and not re.search("0x[0-9a-f]{5}", text.out), text
    path = leaks_json(service.pid, "--freeze", "always", "--goroutine", 1, "--scrub", codes=(0,))
    assert not re.search("0x[0-9a-f]{5}", str(path["goroutine"]["witness"]))


def test_doubt_is_said_on_stderr(leaky):
    text = leaks(leaky.pid, "--freeze", "never")
    assert text.code == 5 and len(text.err.splitlines()) == 1, text
    assert "it is unknown whether they are stuck: the memory was read while the program ran" in text.err


def states(pid):
    """The states of the threads of PID."""
    found = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as stat:
            found.add(stat.read().rsplit(")", 1)[1].split()[0])
    return found


def await_states(pid, wanted):
    """Waits until all threads of PID are in states of WANTED."""
    deadline = time.monotonic() + 30
    while not states(pid) <= wanted:
        assert time.monotonic() < deadline, states(pid)
        os.sched_yield()


def test_stopped_by_job_control(leaky):
    """It needs no stop of ours, and stays stopped."""
    os.kill(leaky.pid, signal.SIGSTOP)
    try:
        await_states(leaky.pid, {"T"})
        data = leaks_json(leaky.pid, codes=(1,))
        assert data["summary"]["proved"] > 0
        assert states(leaky.pid) == {"T"}
    finally:
        os.kill(leaky.pid, signal.SIGCONT)


def test_stopped_by_a_debugger(leaky):
    if shutil.which("gdb") is None:
        pytest.skip("gdb is not installed")
    with subprocess.Popen(["gdb", "-nx", "-q", "-p", str(leaky.pid)], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as gdb:
        try:
            await_states(leaky.pid, {"t"})
            result = leaks(leaky.pid, "--json")
            summary = result.json()["summary"]
            if summary["proved"] == 0:
                assert result.code == 5 and summary["unknown"] > 0
                assert f"process {gdb.pid} " in summary["obstacle"]
            assert states(leaky.pid) == {"t"}
        finally:
            gdb.stdin.write(b"detach\nquit\n")
            gdb.stdin.close()
            gdb.wait(60)


def test_held_by_another_tracer_that_lets_it_run(leaky):
    """Nothing can be proved; who is in the way, and what to do, is said."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    with subprocess.Popen(["strace", "-f", "-o", "/dev/null", "-p", str(leaky.pid)],
                          stderr=subprocess.PIPE) as strace:
        try:
            strace.stderr.readline()
            result = leaks(leaky.pid, "--json")
            assert result.code == 5 and str(strace.pid) in result.json()["summary"]["obstacle"], result
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait(60)


def test_permission_denied(leaky):
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    shutil.copy(UNPARK, "/tmp/unpark-leaks-test")
    try:
        os.chmod("/tmp/unpark-leaks-test", 0o755)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
             "--bounding-set=-all", "/tmp/unpark-leaks-test", "leaks", str(leaky.pid)],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd="/", timeout=120)
    finally:
        os.unlink("/tmp/unpark-leaks-test")
    assert done.returncode == 4 and done.stdout == "" and done.stderr.count("\n") == 1, done


# ---- cores ----


def same_findings(one, other):
    """Asserts that two answers have the same findings of the same goroutines."""
    def short(data):
        return sorted((finding["key"], finding["verdict"], finding["class"], finding["goroutines"],
                       [cause["id"] for cause in finding["causes"]]) for finding in data["findings"])
    assert short(one) == short(other)


def test_core_of_gdb(queue, tmp_path):
    if shutil.which("gcore") is None:
        pytest.skip("gcore is not installed")
    live = leaks_json(queue.pid)
    subprocess.run(["gcore", "-o", tmp_path / "core", str(queue.pid)], capture_output=True, check=False)
    core = leaks_json(tmp_path / f"core.{queue.pid}", codes=(1,))
    same_findings(live, core)
    assert core["summary"]["stopped_ns"] == 0 and core["summary"]["stops"] == 0
    refused = leaks(tmp_path / f"core.{queue.pid}", "--watch", "1s")
    assert refused.code == 2 and "only a live process can be watched" in refused.err


# A program that prints a traceback as it dies has old words of it on its signal stacks, which may hide a leak: in one of ten
# cores or so (docs/proof.md).
CRASHES = 5


def crash(binary, folder):
    """What leaks say of BINARY while it runs, and the core that it leaves in FOLDER when aborted, or None."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    with Program([binary], cwd=folder, env={"GOTRACEBACK": "crash"}, stderr=subprocess.DEVNULL,
                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, unlimited)) as program:
        live = leaks_json(program.pid)
        program.process.send_signal(signal.SIGABRT)
        program.process.wait(60)
    return live, next(folder.glob("core*"), None)


def test_core_of_the_kernel(newest, tmp_path):
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        pattern = file.read().strip()
    if pattern.startswith("|") or "/" in pattern:
        pytest.skip(f"the kernel puts cores elsewhere: {pattern}")
    answers = []
    for number in range(CRASHES):
        folder = tmp_path / str(number)
        folder.mkdir()
        live, core = crash(newest.build_source(QUEUE), folder)
        if core is None:
            pytest.skip("the kernel wrote no core")
        answers.append(leaks_json(core)["findings"])
        if answers[-1]:
            same_findings(live, {"findings": answers[-1]})
            return
    assert answers[-1], f"no proof in any of {CRASHES} cores"


# ---- never said ----


def test_evidence_never_speaks_of_proof():
    text = (ROOT / "src/leak/evidence.c").read_text(encoding="utf-8")
    said = [word for word in re.findall(r'"([^"\n]*)"', text) if not word.endswith(".h")]
    assert said and not [word for word in said if "prove" in word]


# ---- watching ----


@pytest.mark.parametrize("words, part", [
    (["--every", "1s"], "--every needs --watch"),
    (["--watch", "0s"], "above 0"),
    (["--watch", "1s", "--every", "0s"], "above 0"),
    (["--watch", "soon"], "duration"),
])
def test_usage(words, part):
    result = leaks(1, *words)
    assert result.code == 2 and part in result.err


def test_busy_program_is_never_stopped(newest, start):
    program = start(newest.build_source(BUSY))
    # 5: a goroutine that was just moving in the last look is unknown
    data = leaks_json(program.pid, "--watch", "1s", "--every", "150ms", "-q", codes=(0, 5))
    summary = data["summary"]
    assert summary["stopped_ns"] == 0 and summary["stops"] == 0 and summary["proved"] == 0
    assert summary["watch"]["looks"] >= 2 and not summary["watch"]["interrupted"]
    assert data["findings"] == []


def test_a_proof_is_not_repeated(queue):
    data = leaks_json(queue.pid, "--watch", "900ms", "--every", "100ms", "-q", codes=(1,))
    summary = data["summary"]
    assert summary["watch"]["looks"] >= 3
    assert summary["stops"] == 1 and summary["watch"]["proofs_lost"] == 0
    assert summary["watch"]["proofs_kept"] == summary["proved"] == 21
    for finding in data["findings"]:
        assert finding["growth"]["first_count"] == finding["growth"]["last_count"] == finding["count"]
        # proved in the first look, not again in the later ones
        assert finding["proved_at"] < summary["watch"]["last_look"]
    text = leaks(queue.pid, "--watch", "300ms")
    assert "not growing: " in text.out and re.search(r", proved .* ago$", text.out, re.M)
    assert "looks in " in text.out


class Watch:
    """A watch that runs until it is interrupted; says on stderr when it has looked."""

    def __init__(self, pid, *words):
        self.process = subprocess.Popen(
            [UNPARK, "leaks", str(pid), "--watch", "1h", "--max-stop", "0", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.said = b""

    def says(self, part, timeout=0):
        """Whether it has said PART on stderr, within TIMEOUT seconds."""
        stderr, deadline = self.process.stderr, time.monotonic() + timeout
        while part.encode() not in self.said:
            if not select.select([stderr], [], [], max(0, deadline - time.monotonic()))[0]:
                return False
            self.said += (chunk := os.read(stderr.fileno(), 1 << 16))
            assert chunk, f"the watch ended: {self.said}"
        return True

    def line(self):
        """The next line on stdout."""
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self.process.stdout], [], [], 60)[0]
            line += os.read(self.process.stdout.fileno(), 1)
        return line.decode()

    def end(self, number=signal.SIGINT):
        """Ends it by a signal; what it printed, and its exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        """What it printed when it ended, and its exit status."""
        out, err = self.process.communicate(timeout=120)
        return out.decode(), err.decode(), self.process.returncode


def grow(program, times):
    """Lets PROGRAM keep one goroutine more, TIMES times."""
    for _ in range(times):
        program.process.stdin.write(b"\n")
        program.process.stdin.flush()
        while not program.read_line().startswith("kept"):
            pass


def test_growth_is_seen_and_suspected(newest, start):
    program = start(newest.build_source(HOARD))
    watch = Watch(program.pid, "--every", "50ms", "--json")
    assert watch.says("look 1", 60)
    deadline = time.monotonic() + 60
    while not watch.says("new, suspected", 0.02):
        assert time.monotonic() < deadline
        grow(program, 1)
    out, _, code = watch.end()
    data = json.loads(out)
    check_schema(data)
    assert code == 1 and data["summary"]["watch"]["interrupted"]
    finding, = data["findings"]
    assert finding["verdict"] == "suspected" and finding["class"] is None and finding["proved_at"] is None
    growth = finding["growth"]
    assert growth["growths"] >= 2 and growth["last_count"] >= growth["first_count"] + 2
    assert growth["stayed"] > growth["first_count"]
    assert re.match(r"it grew from \d+ to \d+ goroutines over \d+ looks", finding["evidence"])
    assert "prove" not in finding["evidence"]
    assert data["summary"]["stops"] == 0 and data["summary"]["proved"] == 0


def test_new_leaks_are_proved_while_watching(newest, start):
    program = start(newest.build_source(LATE))
    watch = Watch(program.pid, "--every", "50ms", "--format", "ndjson")
    first = json.loads(watch.line())
    assert first["look"] == 1 and first["finding"]["verdict"] == "proved"
    assert "main.early" in functions(first["finding"])
    assert watch.says("new, proved: ", 60) and b"main.late" not in watch.said
    program.process.stdin.write(b"\n")
    program.process.stdin.flush()
    assert program.read_line() == "leaked 8"
    second = json.loads(watch.line())
    assert second["look"] > 1 and "main.late" in functions(second["finding"])
    assert watch.says("main.late", 60)
    out, _, code = watch.end()
    lines = [json.loads(line) for line in out.splitlines()]
    summary = lines[-1]["summary"]
    check_schema({"findings": [line["finding"] for line in lines[:-1]], **lines[-1]})
    assert code == 1 and summary["watch"]["interrupted"] and summary["watch"]["proofs_lost"] == 0
    assert summary["stops"] >= 2
    proved = {line["finding"]["key"]: line["finding"]["proved_at"] for line in lines[:-1]
              if line["finding"]["verdict"] == "proved"}
    # the first proof is the one of the first look
    assert proved[first["finding"]["key"]] == first["finding"]["proved_at"]
    assert proved[second["finding"]["key"]] > first["finding"]["proved_at"]


def test_program_ends_while_watched(leaky, newest, start):
    watch = Watch(leaky.pid)
    assert watch.says("new, proved", 60)
    leaky.process.stdin.close()
    out, err, code = watch.wait()
    assert code == 1 and "PROVED STUCK" in out, (out, err)
    assert "the watch ended early: " in out
    healthy = start(newest.build_source(SERVICE))
    watch = Watch(healthy.pid, "--json")
    assert watch.says("look 1", 60)
    healthy.process.stdin.close()
    out, err, code = watch.wait()
    data = json.loads(out)
    check_schema(data)
    assert code == 5 and data["findings"] == []
    assert data["summary"]["watch"]["cut"] in err


def test_interrupt_reports(leaky):
    watch = Watch(leaky.pid)
    assert watch.says("new, proved", 60)
    out, _, code = watch.end()
    assert code == 1 and "PROVED STUCK" in out and "interrupted" in out


def test_other_signals_end_a_watch_at_once(leaky):
    watch = Watch(leaky.pid)
    assert watch.says("new, proved", 60)
    out, _, code = watch.end(signal.SIGTERM)
    assert code == -signal.SIGTERM and out == ""


def test_quiet_watch_says_nothing_on_the_way(leaky):
    result = leaks(leaky.pid, "--watch", "200ms", "--every", "100ms", "-q")
    assert result.code == 1 and result.err == ""
