"""unpark leaks as a whole: exit statuses, forms, what is stopped when, what is never said."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import pytest
from conftest import ROOT, UNPARK, Program, run_unpark
from leak_programs import QUEUE, SERVICE, check_schema, finding_of, leaks, leaks_json
from settling import settled


@pytest.fixture
def queue(newest, start):
    return settled(start(newest.build_source(QUEUE)))


@pytest.fixture
def service(newest, start):
    return start(newest.build_source(SERVICE))


@pytest.fixture
def leaky(newest, start):
    """A program that leaks by the cause abandoned-result; "more" leaks more."""
    return settled(start(newest.build("causes"), "abandoned-result"))


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
        program = settled(start(binary, env={"GOMAXPROCS": processors}))
        proved.append(leaks_json(program.pid)["summary"]["proved"])
        program.end()
    assert proved == [21] * 12


@pytest.mark.parametrize("processors", ["1", "4"])
def test_no_leak_hides_behind_what_the_collector_noted(newest, processors, start):
    """The buffers of the collector, full of addresses of channels, are not what C code may use."""
    count = 5000
    program = start(newest.build("swarm", "dynamic"), "-n", str(count), "-mode", "leaked",
                    env={"GOMAXPROCS": processors})
    found = run_unpark("leaks", program.pid, "--freeze", "always", "--max-stop", "0", "--json")
    assert found.json()["summary"]["proved"] >= count - 2


PULLED = """
package main

import (
	"fmt"
	"io"
	"iter"
	"os"
)

func numbers(yield func(int) bool) {
	for i := 0; yield(i); i++ {
	}
}

// forget takes one number and never says that it needs no more.
func forget() {
	next, _ := iter.Pull(iter.Seq[int](numbers))
	next()
}

func main() {
	for i := 0; i < 20; i++ {
		forget()
	}
	fmt.Println("ready", os.Getpid())
	io.Copy(io.Discard, os.Stdin)
}
"""


def test_forgotten_iterators_are_proved(toolchain, start):
    """Of a shallow stack the copy that proves has only the end."""
    if toolchain.minor < 23:
        pytest.skip("iter.Pull came with Go 1.23")
    program = start(toolchain.build_source(PULLED))
    data = leaks_json(program.pid, "--freeze", "always")
    assert data["summary"]["proved"] == 20 and data["summary"]["unknown"] == 0
    assert {(finding["class"], finding["object"]["kind"]) for finding in data["findings"]} == {("coroutine", "coroutine")}
    assert all(finding["object"]["address"] for finding in data["findings"])
    assert {finding["causes"][0]["id"] for finding in data["findings"]} == {"iterator-not-stopped"}


ONCE = """
package main

import (
	"fmt"
	"io"
	"os"
	"sync"
)

func load(begun chan bool) {
	var once sync.Once
	once.Do(func() {
		begun <- true
		once.Do(func() {})
	})
}

func main() {
	begun := make(chan bool)
	for i := 0; i < 5; i++ {
		go load(begun)
		<-begun
	}
	fmt.Println("ready", os.Getpid())
	io.Copy(io.Discard, os.Stdin)
}
"""


def test_once_inside_of_itself_is_locked_twice(toolchain, start):
    """Once unlocks when it is left, however that is."""
    program = settled(start(toolchain.build_source(ONCE)))
    (finding,) = leaks_json(program.pid, "--freeze", "always")["findings"]
    assert (finding["verdict"], finding["count"]) == ("proved", 5)
    assert finding["causes"][0]["id"] == "locked-twice"


def test_main_in_select_is_no_leak(service):
    data = leaks_json(service.pid, "--freeze", "always", "--goroutine", 1, codes=(0,))
    assert data["findings"] == [] and data["summary"]["stopped_ns"] > 0
    assert data["goroutine"]["verdict"] == "waiting"
    assert data["goroutine"]["wait_reason"] == "select (no cases)"


def test_head_and_followers(toolchain, start):
    program = settled(start(toolchain.build_source(QUEUE)))
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
    deadline = time.monotonic() + 60
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
        await_states(leaky.pid, {"T"})  # a thread that is let go steps back into the stop
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
    folder = tempfile.mkdtemp(dir="/tmp")  # that others can enter
    program = os.path.join(folder, "unpark")
    shutil.copy(UNPARK, program)
    try:
        os.chmod(folder, 0o755)
        os.chmod(program, 0o755)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
             "--bounding-set=-all", program, "leaks", str(leaky.pid)],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd="/", timeout=120)
    finally:
        shutil.rmtree(folder)
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
