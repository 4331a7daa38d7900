"""unpark diff: growth between any two sources, and its exit status."""

import json
import shutil
import subprocess

import pytest
from conftest import ROOT, Program
from settling import READS_LINES, settled


@pytest.fixture
def growing(newest):
    """The fixture tests/fixtures/growing, at rest."""
    with Program([newest.build("growing")]) as program:
        yield settled(program, READS_LINES)


def ask(program, *commands):
    """Has PROGRAM obey COMMANDS and come to rest."""
    for command in commands:
        program.ask(command)
    settled(program, READS_LINES)


def record(unpark, program, path):
    """Adds one snapshot to the recording at PATH."""
    result = unpark("record", program.pid, "-o", path, "--append", "--every", "1h", "--for", "1ms")
    assert result.code == 0, result


def changes(difference):
    """What changed, as {innermost user function: (change, before, after)}."""
    found = {}
    for group in difference["groups"]:
        users = [frame["function"] for frame in group["stack"] or [] if frame["kind"] == "user"]
        found[users[0] if users else None] = (group["change"], group["before"], group["after"])
    return found


def validated(result):
    """RESULT's JSON, which must be of the documented schema."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "docs" / "schema" / "diff-1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(result.json())
    return result.json()


def test_nothing_grew(unpark, growing, tmp_path):
    record(unpark, growing, tmp_path / "a")
    result = unpark("diff", tmp_path / "a", growing.pid)
    assert result.code == 0, result
    assert "0 groups grew, 0 groups shrank" in result.out
    difference = validated(unpark("diff", tmp_path / "a", growing.pid, "--json"))
    assert difference["groups"] == [] and difference["matched"] == "lines" and difference["notes"] == []
    assert difference["summary"]["before"] == difference["summary"]["after"] == 32
    assert difference["summary"]["stayed"] >= 30
    assert difference["summary"]["elapsed_ns"] > 0


def test_growth_and_shrinkage(unpark, growing, tmp_path):
    path = tmp_path / "a"
    record(unpark, growing, path)
    ask(growing, "grow 7", "shrink 4")
    record(unpark, growing, path)
    result = unpark("diff", f"{path}@first", f"{path}@last", "--json")
    assert result.code == 1
    difference = validated(result)
    assert changes(difference) == {"main.leak": ("grown", 20, 27), "main.hold": ("shrunk", 10, 6)}
    leak, hold = difference["groups"]
    assert (leak["growth"], leak["stayed"], leak["wait_reason"]) == (7, 20, "chan receive")
    assert (hold["growth"], hold["stayed"], hold["wait_reason"]) == (-4, 6, "select")
    assert leak["creator"]["function"] == "main.grow"
    assert difference["summary"]["grown_by"] == 7 and difference["summary"]["shrunk_by"] == 4
    back = unpark("diff", f"{path}@last", f"{path}@first", "--json")
    assert changes(back.json()) == {"main.leak": ("shrunk", 27, 20), "main.hold": ("grown", 6, 10)}
    assert back.json()["notes"] == ["the second one is older than the first"]


def test_new_and_gone(unpark, growing, tmp_path):
    path = tmp_path / "a"
    record(unpark, growing, path)
    ask(growing, "shrink 10")
    result = unpark("diff", path, growing.pid, "--json")
    assert result.code == 0
    assert changes(validated(result)) == {"main.hold": ("gone", 10, 0)}
    back = unpark("diff", growing.pid, path, "--json")
    assert back.code == 1 and changes(validated(back)) == {"main.hold": ("new", 0, 10)}


def test_text(unpark, growing, tmp_path):
    path = tmp_path / "a"
    record(unpark, growing, path)
    ask(growing, "grow 7", "shrink 10")
    result = unpark("diff", path, growing.pid)
    assert result.code == 1
    lines = result.out.splitlines()
    assert lines[0].startswith(f"before: recording {path} at ") and lines[0].endswith(": 32 goroutines")
    assert lines[1].startswith(f"after:  process {growing.pid}") and "29 goroutines, " in lines[1]
    assert lines[3].startswith("+7 (20 -> 27): chan receive")
    assert lines[4] == "  20 have been in the same wait all the time"
    assert "runtime.gopark" not in result.out
    assert any(line.startswith("    main.leak ") for line in lines)
    assert any(line.startswith("    created by main.grow in goroutine 1 ") for line in lines)
    assert any(line.startswith("-10 (gone, 10 -> 0): select") for line in lines)
    assert lines[-1].startswith("1 group grew by 7 goroutines, 1 group shrank by 10 goroutines (1 gone), 2 did not")
    assert "runtime.gopark" in unpark("diff", path, growing.pid, "--frames").out
    assert "=1: " in unpark("diff", path, growing.pid, "--unchanged").out
    limited = unpark("diff", path, growing.pid, "--limit", "1")
    assert "-10 (" not in limited.out and "1 group beyond the limit" in limited.out
    assert limited.code == 1


def test_filters_and_orders(unpark, growing, tmp_path):
    path = tmp_path / "a"
    record(unpark, growing, path)
    ask(growing, "grow 7", "shrink 4")
    only = unpark("diff", path, growing.pid, "--function", "main.hold", "--json")
    assert only.code == 0 and changes(only.json()) == {"main.hold": ("shrunk", 10, 6)}
    orders = {order: list(changes(unpark("diff", path, growing.pid, "--sort", order, "--json").json()))
              for order in ("growth", "count", "name")}
    assert orders == {"growth": ["main.leak", "main.hold"], "count": ["main.leak", "main.hold"],
                      "name": ["main.hold", "main.leak"]}


def test_one_target_with_itself(unpark, growing):
    result = unpark("diff", growing.pid, "--after", "10ms")
    assert result.code == 0 and "stayed in the same wait" in result.out


def test_system_goroutines(unpark, growing, tmp_path):
    record(unpark, growing, tmp_path / "a")
    difference = unpark("diff", tmp_path / "a", growing.pid, "--all", "--unchanged", "--json").json()
    assert difference["summary"]["before"] > 32 and difference["summary"]["after"] > 32


def test_a_core_and_its_process(unpark, newest, growing, tmp_path):
    if shutil.which("gcore") is None:
        pytest.skip("gcore is not installed (Debian: gdb)")
    done = subprocess.run(["gcore", "-o", tmp_path / "core", str(growing.pid)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    core = tmp_path / f"core.{growing.pid}"
    settled(growing, READS_LINES)
    result = unpark("diff", core, growing.pid, "--exe", newest.build("growing"), "--json")
    assert result.code == 0, result
    assert validated(result)["summary"]["stayed"] >= 30
    ask(growing, "grow 2")
    assert changes(unpark("diff", core, growing.pid, "--json").json()) == {"main.leak": ("grown", 20, 22)}


@pytest.mark.parametrize("what", ["stack {}", "profile 2 {}", "profile 1 {}", "profile 0 {}"])
def test_between_sources(unpark, growing, tmp_path, what):
    """Text, counted text and a protobuf profile have the groups that a live look has."""
    path = tmp_path / "dump"
    ask(growing, what.format(path))
    same = unpark("diff", path, growing.pid, "--function", "/main.(leak|hold)/", "--json")
    assert same.code == 0, same
    difference = validated(same)
    assert difference["groups"] == [] and difference["summary"]["unchanged"] == 2
    knows = what.startswith(("stack", "profile 2"))
    assert (difference["summary"]["stayed"] == 30) == knows, difference
    assert len(difference["notes"]) == (0 if knows else 2)
    ask(growing, "grow 3")
    grown = unpark("diff", path, growing.pid, "--function", "/main.(leak|hold)/", "--json")
    assert grown.code == 1 and changes(grown.json()) == {"main.leak": ("grown", 20, 23)}


def test_different_builds_are_compared_by_function(unpark, newest, growing):
    with Program([newest.build("growing", "trimpath")]) as other:
        settled(other, READS_LINES)
        result = unpark("diff", growing.pid, other.pid, "--json")
        assert result.code == 0, result
        difference = validated(result)
        assert difference["matched"] == "functions" and "different builds" in difference["notes"][0]
        assert difference["summary"]["stayed"] is None
        by_lines = unpark("diff", growing.pid, other.pid, "--match", "lines", "--json")
        assert by_lines.code == 1 and by_lines.json()["matched"] == "lines"


@pytest.mark.parametrize("words", [
    [], ["1"], ["1", "2", "3"], ["1", "2", "--after", "1s"], ["-", "-"], ["1", "2", "-j", "-f", "text"]])
def test_usage_errors(unpark, words):
    result = unpark("diff", *words)
    assert result.code == 2 and len(result.err.splitlines()) == 1, result


def test_a_target_that_is_not_there(unpark, growing, tmp_path):
    assert unpark("diff", growing.pid, tmp_path / "none").code == 3
