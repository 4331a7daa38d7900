"""unpark leaks --watch: what is looked at again, what is proved once, growth, and how a watch ends."""

import json
import os
import re
import select
import signal
import subprocess
import time

import pytest
from conftest import UNPARK
from leak_programs import BUSY, HOARD, LATE, QUEUE, SERVICE, check_schema, functions, leaks, leaks_json
from settling import settled


@pytest.fixture
def queue(newest, start):
    return settled(start(newest.build_source(QUEUE)))


@pytest.fixture
def leaky(newest, start):
    """A program that leaks by the cause abandoned-result; "more" leaks more."""
    return start(newest.build("causes"), "abandoned-result")


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
    program = settled(start(newest.build_source(LATE)))
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
    watch = Watch(leaky.pid, "--every", "1s")
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
    watch = Watch(leaky.pid, "--every", "1s")
    assert watch.says("new, proved", 60)
    out, _, code = watch.end()
    assert code == 1 and "PROVED STUCK" in out and "interrupted" in out


def test_other_signals_end_a_watch_at_once(leaky):
    watch = Watch(leaky.pid, "--every", "1s")
    assert watch.says("new, proved", 60)
    out, _, code = watch.end(signal.SIGTERM)
    assert code == -signal.SIGTERM and out == ""


def test_quiet_watch_says_nothing_on_the_way(leaky):
    result = leaks(leaky.pid, "--watch", "200ms", "--every", "100ms", "-q")
    assert result.code == 1 and result.err == ""
