"""unpark record: what is recorded is read back, whatever happens to the recorder, the file and the program."""

import datetime
import os
import random
import re
import signal
import stat
import subprocess
import time

import pytest
from conftest import UNPARK, Program, run_unpark
from settling import READS_LINES, settled


@pytest.fixture(scope="module")
def growing(newest):
    """The fixture tests/fixtures/growing, running; shared: tests of this module leave it as it is."""
    with Program([newest.build("growing")]) as program:
        yield settled(program, READS_LINES)


def recorder(pid, path, *words):
    """A running unpark record, its stderr a pipe."""
    command = [str(UNPARK), "record", str(pid), "-o", str(path), *words]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def await_size(path, size, process):
    """Waits until the file at PATH has SIZE bytes."""
    while not path.exists() or path.stat().st_size < size:
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.001)  # nothing can be waited for: the file grows by write()


def moments(unpark, path):
    """The moments of a recording."""
    result = unpark("record", "--list", path, "--json")
    assert result.code == 0, result
    assert result.json()["schema"] == "unpark.recording/1"
    return result.json()["moments"]


def without_time(value):
    """VALUE without what differs between two looks at the same thing: when, how long, how old."""
    skip = {"source", "taken_at", "read_ns", "stopped_ns", "threads", "age", "age_ns", "due_ns", "pid"}
    if isinstance(value, dict):
        return {key: without_time(item) for key, item in value.items() if key not in skip}
    if isinstance(value, list):
        return [without_time(item) for item in value]
    return value


def snapshots(unpark, pid, path, count):
    """Records COUNT snapshots of PID, however slow the machine is."""
    for _ in range(count):
        assert unpark("record", pid, "-o", path, "--append", "--every", "1h", "--for", "1ms").code == 0


def test_arguments_of_a_moment_are_unknown_and_said_to_be(unpark, growing, tmp_path):
    path = tmp_path / "a.unpark"
    assert unpark("record", growing.pid, "-o", path, "--every", "20ms", "--for", "20ms").code == 0
    for words in (("dump", "--format=go"), ("export", "--format=go")):
        moment = unpark(words[0], f"{path}@first", *words[1:])
        assert moment.code == 0 and moment.err.count("no argument words") == 1, moment
        assert "(...)\n\t" in moment.out and "(0x" not in moment.out
        assert "argument words" not in unpark(words[0], growing.pid, *words[1:]).err
        assert "argument words" not in unpark(words[0], f"{path}@first", *words[1:], "--scrub").err
    assert unpark("dump", f"{path}@first").err == ""


@pytest.mark.parametrize("form", [[], ["--each"]])
def test_a_moment_equals_the_live_dump(unpark, growing, tmp_path, form):
    path = tmp_path / "a.unpark"
    snapshots(unpark, growing.pid, path, 3)
    live = unpark("dump", growing.pid, "--json", *form).json()
    live["summary"].pop("system"), live["summary"].pop("system_hidden")
    for moment in ("@first", "@last"):
        recorded = unpark("dump", f"{path}{moment}", "--json", *form).json()
        recorded["summary"].pop("system"), recorded["summary"].pop("system_hidden")  # they come and go by themselves
        assert without_time(recorded) == without_time(live)
        assert f"recording {path} at " in recorded["target"]["source"]
        assert f"process {growing.pid}" in recorded["target"]["source"]


def test_system_goroutines_are_recorded(unpark, growing, tmp_path):
    path = tmp_path / "a.unpark"
    assert unpark("record", growing.pid, "-o", path, "--for", "1ms").code == 0
    system = unpark("dump", path, "--json", "--each", "--system-only").json()["goroutines"]
    assert len(system) == moments(unpark, path)[0]["system"] >= 3
    assert all(goroutine["system"] for goroutine in system)


def test_ages_are_those_of_the_moment(unpark, growing, tmp_path):
    path = tmp_path / "a.unpark"
    before = unpark("dump", growing.pid, "--json", "--each").json()
    snapshots(unpark, growing.pid, path, 3)
    after = unpark("dump", growing.pid, "--json", "--each").json()
    ages = [{g["id"]: g["age_ns"] for g in dump["goroutines"]} for dump in (
        before, unpark("dump", f"{path}@first", "--json", "--each").json(),
        unpark("dump", path, "--json", "--each").json(), after)]
    known = [id for id, age in ages[0].items() if age is not None and all(a.get(id) is not None for a in ages)]
    assert len(known) >= 30
    for id in known:
        series = [a[id] for a in ages]
        assert series == sorted(series), (id, series)


def test_the_file_is_private_and_not_overwritten(unpark, growing, tmp_path):
    path = tmp_path / "a.unpark"
    once = ["--every", "5ms", "--for", "20ms"]
    result = unpark("record", growing.pid, "-o", path, *once)
    assert result.code == 0 and result.out == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert re.search(rf"{re.escape(str(path))}: \d+ snapshots? in .*, {path.stat().st_size - 16} bytes", result.err)
    count = len(moments(unpark, path))
    refused = unpark("record", growing.pid, "-o", path, *once)
    assert refused.code == 2 and "--append" in refused.err and len(moments(unpark, path)) == count
    assert unpark("record", growing.pid, "-o", path, "--append", *once).code == 0
    assert len(moments(unpark, path)) > count
    assert unpark("record", growing.pid, "-o", path, "--force", "--every", "1h", "--for", "1ms").code == 0
    assert len(moments(unpark, path)) == 1
    assert unpark("record", growing.pid, "-o", path, "--quiet", "--force", "--for", "1ms").err == ""


@pytest.mark.parametrize("words", [
    [], ["-o", "x", "--every", "0"], ["-o", "x", "--append", "--force"], ["-o", "x", "--json"]])
def test_usage_errors(unpark, growing, tmp_path, words):
    result = unpark("record", growing.pid, *words, cwd=tmp_path)
    assert result.code == 2 and len(result.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_no_target_leaves_no_file(unpark, tmp_path):
    result = unpark("record", 999999999, "-o", tmp_path / "x")
    assert result.code == 3
    assert unpark("record", os.getpid(), "-o", tmp_path / "x").code == 3
    assert list(tmp_path.iterdir()) == []


def test_killed_at_any_time_all_but_the_last_can_be_read(unpark, growing, tmp_path):
    """50 recorders are killed when their file has reached a random size."""
    path = tmp_path / "a.unpark"
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    print("seed", seed)
    torn = 0
    for _ in range(50):
        process = recorder(growing.pid, path, "--force", "--every", "1ms")
        try:
            await_size(path, dice.randrange(1, 6000), process)
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
        size = path.stat().st_size
        result = unpark("record", "--list", path, "--json")
        if size < 16 + 40:
            continue
        if result.code == 3 and "without a whole snapshot" in result.err:
            torn += 1
            continue
        assert result.code == 0, result
        listed = result.json()
        whole = 16 + sum(moment["bytes"] for moment in listed["moments"])
        assert whole <= size and (listed["damage"] is None) == (whole == size), (listed, size)
        last = unpark("dump", path, "--json").json()
        assert last["summary"]["goroutines"] == listed["moments"][-1]["goroutines"] == 32
    assert torn < 50


def test_read_while_it_is_written(unpark, growing, tmp_path):
    path = tmp_path / "a.unpark"
    process = recorder(growing.pid, path, "--every", "1ms")
    try:
        await_size(path, 1000, process)
        counts = []
        for _ in range(8):
            counts.append(len(moments(unpark, path)))
            assert unpark("dump", path, "--json").json()["summary"]["goroutines"] == 32
        assert counts == sorted(counts) and counts[-1] > counts[0]
        second = unpark("record", growing.pid, "-o", path, "--append", "--for", "10ms")
        assert second.code == 2 and "another unpark record" in second.err
    finally:
        process.send_signal(signal.SIGINT)
        err = process.stderr.read().decode()
        process.stderr.close()
    assert process.wait(60) == 0
    assert re.search(r"\d+ snapshots in .*, \d+ bytes", err), err
    assert len(moments(unpark, path)) > counts[-1] - 1


def test_a_torn_file_is_read_up_to_there(unpark, growing, tmp_path):
    path = tmp_path / "a.unpark"
    snapshots(unpark, growing.pid, path, 3)
    count = len(moments(unpark, path))
    os.truncate(path, path.stat().st_size - 7)
    result = unpark("record", "--list", path)
    assert result.code == 0 and result.err.count("\n") == 1 and "beginning of a snapshot" in result.err
    assert len(moments(unpark, path)) == count - 1
    assert unpark("dump", path).code == 0
    assert unpark("record", growing.pid, "-o", path, "--append", "--for", "1ms").code == 0
    assert len(moments(unpark, path)) == count
    data = bytearray(path.read_bytes())
    data[16 + 40 + 20] ^= 1
    path.write_bytes(data)
    result = unpark("dump", f"{path}@first")
    assert result.code == 3 and "snapshot 1 of" in result.err and len(result.err.splitlines()) == 1


def test_the_end_of_the_program_ends_it(unpark, newest, tmp_path):
    path = tmp_path / "a.unpark"
    with Program([newest.build("growing")]) as program:
        process = recorder(program.pid, path, "--every", "5ms")
        await_size(path, 1000, process)
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) == 0
    assert "the program has ended" in err
    assert unpark("dump", path, "--json").json()["summary"]["goroutines"] == 32


def test_moments_have_names(unpark, newest, tmp_path):
    path = tmp_path / "a@b.unpark"
    with Program([newest.build("growing")]) as program:
        for grow in (0, 5, 7):
            program.ask(f"grow {grow}")
            settled(program, READS_LINES)
            assert unpark("record", program.pid, "-o", path, "--append", "--every", "1h", "--for", "1ms").code == 0

    def goroutines(moment):
        return unpark("dump", f"{path}{moment}", "--json").json()["summary"]["goroutines"]

    assert [goroutines(f"@{number}") for number in (1, 2, 3)] == [32, 37, 44]
    assert goroutines("@first") == goroutines("@+0s") == 32
    assert goroutines("") == goroutines("@last") == goroutines("@-0s") == 44
    listed = moments(unpark, path)
    assert goroutines("@" + listed[1]["taken_at"]) == 37
    later = datetime.datetime.fromisoformat(listed[2]["taken_at"][:19]) + datetime.timedelta(seconds=1)
    utc = unpark("dump", f"{path}@{later:%H:%M:%S}", "--json", env={"TZ": "UTC"})
    assert utc.json()["summary"]["goroutines"] == 44
    for moment, code in (("@noon", 2), ("@4", 3), ("@0", 3), ("@+2h", 3), ("@", 2)):
        result = unpark("dump", f"{path}{moment}")
        assert result.code == code and len(result.err.splitlines()) == 1, result
    text = unpark("dump", f"{path}@2").out
    assert text.startswith(f"recording {path} at 20")


def test_every_command_takes_a_moment(unpark, growing, tmp_path):
    path = tmp_path / "a.unpark"
    assert unpark("record", growing.pid, "-o", path, "--for", "1ms").code == 0
    leaks = unpark("leaks", path, "--json")
    assert leaks.code in (0, 1) and leaks.json()["summary"]["proved"] == 0
    text = unpark("dump", path, "--format", "go")
    assert text.code == 0 and text.out.count("main.leak(") == 20
    assert unpark("dump", path, "--stop").code == 2


def test_scrubbed_recordings_hold_no_addresses(unpark, growing, tmp_path):
    path = tmp_path / "a.unpark"
    assert unpark("record", growing.pid, "-o", path, "--scrub", "--every", "5ms", "--for", "20ms").code == 0
    for goroutine in unpark("dump", path, "--json", "--each").json()["goroutines"]:
        assert goroutine["address"] is None
        assert all(frame["pc"] is None for frame in goroutine["stack"] or [])


def test_what_does_not_change_costs_nothing(unpark, newest, tmp_path, start):
    path = tmp_path / "a.unpark"
    swarm = start(newest.build("swarm"), "-n", "10000")
    process = recorder(swarm.pid, path, "--every", "50ms")
    await_size(path, 1000, process)
    while (listed := unpark("record", "--list", path, "--json")).code == 3 or len(listed.json()["moments"]) < 6:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    with process.stderr:
        process.stderr.read()
    assert process.wait(60) == 0
    sizes = [moment["bytes"] for moment in moments(unpark, path)]
    print("bytes per snapshot of 10,000 parked goroutines:", sizes)
    assert sizes[0] < 100_000
    assert len(sizes) > 1 and sorted(sizes[1:])[len(sizes[1:]) // 2] < 200
