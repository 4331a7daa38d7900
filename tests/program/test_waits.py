"""What each goroutine of the fixture "parked" waits for, in JSON, for each Go release and way to build."""

import os
import re

import pytest
from builds import builds
from conftest import run_unpark, toolchains

# How long after its making an object is looked at, at most.
WHILE_NS = 120 * 10**9
HOUR_NS = 3600 * 10**9


def pytest_generate_tests(metafunc):
    if "build" in metafunc.fixturenames:
        which = os.environ.get("UNPARK_TOOLCHAINS", "quick")
        metafunc.parametrize("build", builds(which), ids=repr)


class Look:
    """The goroutines of one look by the function that the go statement named: look["send"]."""

    def __init__(self, pid, minor):
        result = run_unpark("dump", pid, "--json", "--each")
        assert result.code == 0, result
        data = result.json()
        assert data["notes"] == []
        self.minor = minor
        self.pid = pid
        self.goroutines = data["goroutines"]
        self.by_start = {}
        for goroutine in self.goroutines:
            self.by_start.setdefault(goroutine["start"]["function"], []).append(goroutine)

    def __getitem__(self, name):
        found = self.by_start[f"main.{name}"]
        assert len(found) == 1, (name, found)
        return found[0]

    def wait(self, name, reason, direction, kind):
        """The object that goroutine NAME alone waits for; REASON may be a pair, before Go 1.20 and since."""
        goroutine = self[name]
        if isinstance(reason, tuple):
            reason = reason[self.minor >= 20]
        assert goroutine["status"] == "waiting", goroutine
        assert (name, goroutine["wait_reason"]) == (name, reason)
        assert len(goroutine["waits"]) == 1, goroutine["waits"]
        wait = goroutine["waits"][0]
        assert (name, wait["direction"], wait["object"]["kind"]) == (name, direction, kind)
        return {key: value for key, value in wait["object"].items() if key != "kind"}


@pytest.fixture
def look(build, start, tmp_path):
    program = start(build.binary("parked", tmp_path))
    return Look(program.pid, build.toolchain.minor)


def channel(element_type, length=0, capacity=0, senders=0, receivers=0, timer=False):
    """The fields of a channel but its address."""
    return {"element_type": element_type, "length": length, "capacity": capacity, "closed": False,
            "timer": timer, "senders": senders, "receivers": receivers}


def check_channels(look):
    everyone = None
    for name, reason, direction, fields in [
            ("send", "chan send", "send", channel("string", senders=1)),
            ("sendFull", "chan send", "send", channel("main.job", 2, 2, senders=1)),
            ("receiveOK", "chan receive", "receive", channel("bool", 0, 3, receivers=1)),
            ("rangeOver", "chan receive", "receive", channel("*main.job", receivers=1)),
            ("methodValue", "chan send", "send", channel("main.job", senders=1)),
            ("contextWait", "chan receive", "receive", channel("struct {}", receivers=1)),
            ("afterFunc", "chan receive", "receive", channel("struct {}", receivers=2))]:
        found = look.wait(name, reason, direction, "channel")
        assert re.fullmatch("0x[0-9a-f]+", found.pop("address"))
        assert (name, found) == (name, fields)
    for name in ("receive", "inlinedChain", "manyArguments", "genericInt", "mapOfFuncs", "labelled"):
        found = look.wait(name, "chan receive", "receive", "channel")
        assert everyone in (None, found)
        everyone = found
    waiting = [wait for goroutine in look.goroutines for wait in goroutine["waits"]
               if wait["object"]["address"] == everyone["address"]]
    assert everyone["receivers"] == len(waiting) > 25
    assert everyone["senders"] == 0 and everyone["element_type"] == "int"
    for name, reason, direction in [("nilReceive", "chan receive (nil chan)", "receive"),
                                    ("nilSend", "chan send (nil chan)", "send")]:
        assert look.wait(name, reason, direction, "nil_channel") == {"address": None}
    assert look.wait("selectNone", "select (no cases)", "wait", "empty_select") == {"address": None}


def check_selects(look):
    def cases(name):
        assert look[name]["wait_reason"] == "select"
        found = []
        for wait in look[name]["waits"]:
            fields = dict(wait["object"])
            assert fields.pop("kind") == "channel" and fields.pop("closed") is False
            found.append((wait["direction"], fields["element_type"], fields["length"], fields["capacity"],
                          fields["senders"], fields["receivers"]))
        addresses = {wait["object"]["address"] for wait in look[name]["waits"]}
        assert len(addresses) == len(found)
        return sorted(found)

    never = look["receive"]["waits"][0]["object"]
    shared = ("receive", "int", 0, 0, 0, never["receivers"])
    receive, send = ("receive", "int", 0, 0, 0, 1), ("send", "int", 0, 0, 1, 0)
    assert cases("selectTwo") == sorted([receive, ("send", "string", 1, 1, 1, 0)])
    assert cases("selectMany") == sorted(5 * [receive] + 3 * [send] + [shared])
    assert cases("selectTimer") == sorted([shared, ("receive", "time.Time", 0, 1, 0, 1)])


def check_locks(look):
    reason = ("semacquire", "sync.Mutex.Lock")
    found = look.wait("lockMutex", reason, "lock", "mutex")
    assert found.pop("address") and found == {"locked": True, "starving": False, "waiters": 1}
    found = look.wait("onceAgain", reason, "lock", "mutex")
    assert found.pop("address") and found == {"locked": True, "starving": False, "waiters": 1}
    found = look.wait("writeLock", ("semacquire", "sync.RWMutex.Lock"), "lock", "rwmutex")
    assert found.pop("address") and found == {
        "readers": 1, "readers_left": 1, "writer": True, "locked": True}
    reading = look.wait("readLock", ("semacquire", "sync.RWMutex.RLock"), "read_lock", "rwmutex")
    assert reading["writer"] is True and reading["locked"] is True and reading["readers_left"] == 0
    # It waits for the mutex inside the RWMutex.
    assert look.wait("secondWriter", reason, "lock", "rwmutex") == reading
    reason = "semacquire" if look.minor < 24 else "sync.WaitGroup.Wait"
    found = look.wait("waitGroup", reason, "wait", "wait_group")
    assert found.pop("address") and found == {"counter": 2, "waiters": 1}
    found = look.wait("waitCond", "sync.Cond.Wait", "wait", "cond")
    assert found.pop("address") and found == {"waiters": 1}


def check_timers(look, known):
    """KNOWN: the channel of a timer tells of it. Since Go 1.23 it does, in modules of that time or later, which
    the fixtures' is not; and since Go 1.27 in all."""
    found = look.wait("sleepLong", "sleep", "wait", "timer")
    assert 3 * HOUR_NS - WHILE_NS < found["due_ns"] < 3 * HOUR_NS
    for name in ("timerChannel", "tickerChannel"):
        found = look.wait(name, "chan receive", "receive", "channel")
        assert found.pop("timer") is (True if known else None)
        assert found.pop("address")
        assert {**found, "timer": False} == channel("time.Time", 0, 1, receivers=1)


def check_descriptors(look):
    loopback = r"127\.0\.0\.1:\d+"
    for name, direction, description, deadline in [
            ("acceptTCP", "read", f"tcp {loopback} listening", None),
            ("readTCP", "read", f"tcp {loopback} -> {loopback}", None),
            ("readDeadline", "read", f"tcp {loopback} -> {loopback}", 5 * HOUR_NS),
            ("writeTCP", "write", f"tcp {loopback} -> {loopback}", None),
            ("readUDP", "read", f"udp {loopback}.*", None),
            ("readPipe", "read", r"pipe \d+", None),
            ("readUnix", "read", r"unix -> \d+", None)]:
        found = look.wait(name, "IO wait", direction, "descriptor")
        assert re.fullmatch(description, found["description"]), (name, found)
        assert os.path.lexists(f"/proc/{look.pid}/fd/{found['descriptor']}")
        assert found["has_deadline"] is (deadline is not None), (name, found)
        if deadline is None:
            assert found["deadline_ns"] is None
        else:
            assert deadline - WHILE_NS < found["deadline_ns"] < deadline


def check_system_calls(look):
    for name, pattern in [("blockingRead", r"read\(0x[0-9a-f]+, 0x[0-9a-f]+, 0x1\)"),
                          ("waitForChild", r"waitid\(0x[0-9a-f]+, .*\)|wait4\(.*\)")]:
        goroutine = look[name]
        assert goroutine["status"] == "syscall" and goroutine["wait_reason"] is None
        assert [wait["direction"] for wait in goroutine["waits"]] == ["wait"]
        found = goroutine["waits"][0]["object"]
        assert found["kind"] == "system_call" and re.fullmatch(pattern, found["text"]), (name, found)
        assert os.path.exists(f"/proc/{look.pid}/task/{goroutine['thread']}")


def check_coroutines(look):
    """iter.Pull came with Go 1.23."""
    if look.minor < 23:
        return
    # Each coroutine's creator is the goroutine that it belongs to.
    inner = {goroutine["stack"][-2]["function"]: goroutine for goroutine in look.goroutines
             if goroutine["start"]["function"] == "runtime.corostart"}
    assert len(inner) == 1
    coroutines = look.by_start["runtime.corostart"]
    waiting = [goroutine for goroutine in coroutines if goroutine["wait_reason"] == "coroutine"]
    assert len(coroutines) == 2 and len(waiting) == 1
    assert waiting[0]["waits"][0]["object"]["partner"] == look["pulled"]["id"]
    found = look.wait("insideSequence", "coroutine", "wait", "coroutine")
    assert found["partner"] == next(goroutine["id"] for goroutine in coroutines
                                    if goroutine is not waiting[0])


def check_marks(look):
    """What is not a wait: labels, locked threads, ages, creators, finalizers."""
    assert look["labelled"]["labels"] == {"op": "parked", "tenant": "t 0"}
    assert look["receive"]["labels"] == {}
    locked = [goroutine for goroutine in look.goroutines if goroutine["locked"]]
    assert locked == [look["lockedThread"]]
    assert os.path.exists(f"/proc/{look.pid}/task/{locked[0]['thread']}")
    # The collector's run has seen it waiting.
    assert 0 < look["receive"]["age_ns"] < WHILE_NS
    assert look["receive"]["creator"]["function"] == "main.main"
    assert look["receive"]["parent"] == (1 if look.minor >= 21 else None)
    functions = [frame["function"] for goroutine in look.goroutines for frame in goroutine["stack"]]
    assert "main.dropped.func1" in functions
    assert any(not goroutine["system"] and goroutine["start"]["function"].startswith("runtime.")
               for goroutine in look.goroutines)


def test_waits(look):
    check_channels(look)
    check_selects(look)
    check_locks(look)
    check_timers(look, look.minor >= 27)
    check_descriptors(look)
    check_system_calls(look)
    check_coroutines(look)
    check_marks(look)


def test_second_reader_waits_for_the_descriptor(parked):
    """Of two readers of one connection the second has a semaphore of internal/poll to wait at."""
    goroutines = [goroutine for goroutine in Look(parked.pid, 27).goroutines
                  if any("twoReaders" in (frame["function"] or "") for frame in
                         [*goroutine["stack"], goroutine["start"]])]
    assert sorted(goroutine["wait_reason"] for goroutine in goroutines) == ["IO wait", "semacquire"]
    waiting = next(goroutine for goroutine in goroutines if goroutine["wait_reason"] == "semacquire")
    assert [wait["object"]["kind"] for wait in waiting["waits"]] == ["semaphore"]
    assert waiting["waits"][0]["object"]["value"] == 0
    assert waiting["waits"][0]["object"]["role"]


def test_timers_of_a_module_of_its_time(start):
    for toolchain in toolchains():
        if toolchain.minor >= 23:
            program = start(toolchain.build("parked"), env={"GODEBUG": "asynctimerchan=0"})
            check_timers(Look(program.pid, toolchain.minor), True)
