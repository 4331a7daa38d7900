"""No false proof in programs that nobody wrote for tests: servers from Debian under load, and Go's own tool chain.
Nothing of them may ever be proved stuck, and no request of theirs may fail because Unpark looks.

UNPARK_LOAD_SECONDS is how long each is looked at: by default 10 with all toolchains and 5 with a quick subset; minutes
by hand (`make load`)."""

import os
import time

import pytest
from conftest import run_unpark, toolchains
from real_load import SERVERS, Build, Load

SECONDS = float(os.environ.get("UNPARK_LOAD_SECONDS")
                or (10 if os.environ.get("UNPARK_TOOLCHAINS") == "all" else 5))
GONE = 3
UNREADABLE = 6
FINDINGS = 1


def executable(pid):
    """What PID executes; None when it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def prove(pid):
    """What Unpark proves of PID, by words for people, and whether it could tell; None when PID is gone, or became
    another program meanwhile."""
    before = executable(pid)
    found = run_unpark("leaks", pid, "--freeze", "always", "--max-stop", "0", "--only", "proved", "--json")
    if found.code == GONE or (found.code == UNREADABLE and executable(pid) != before):
        return None, False
    assert found.code in (0, FINDINGS, 5), found
    data = found.json()
    proved = [{key: finding.get(key) for key in ("class", "count", "stack", "objects")}
              for finding in data["findings"]]
    assert len(proved) > 0 or data["summary"]["proved"] == 0
    return proved, data["summary"]["unknown"] == 0


@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.name)
def test_server(kind, tmp_path):
    with kind(tmp_path) as server:
        with Load(server.port, server.requests) as load:
            looks = certain = 0
            end = time.monotonic() + SECONDS
            while time.monotonic() < end or (certain == 0 and time.monotonic() < end + 60):
                proved, sure = prove(server.process.pid)
                assert proved == [], proved
                looks += 1
                certain += sure
        assert load.failures == [], (load.failures[:5], server.words())
        assert load.answers > 0 and server.process.poll() is None
    print(f"{kind.name}: {looks} looks, {certain} without doubt, {load.answers} requests answered")
    assert certain > 0


def test_tool_chain(tmp_path):
    looks = 0
    with Build(toolchains()[-1], tmp_path) as build:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or looks == 0:
            for pid in build.pids():
                proved, _ = prove(pid)
                looks += proved is not None
                assert not proved, (pid, proved)
    assert build.failures == []
    print(f"go build: {looks} looks, {build.answers} builds")
