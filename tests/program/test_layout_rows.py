"""The rows of src/layout/rows.inc against real toolchains, and the generator's own alarms."""

import os
import re
import shutil
import subprocess

import pytest
from conftest import ROOT, toolchains

LAYOUT = ROOT / "src" / "layout"
ROWS = LAYOUT / "rows.inc"


def listed(use):
    """The toolchains that tests/toolchains.txt lists for USE, with their releases."""
    lines = [line.split() for line in (ROOT / "tests" / "toolchains.txt").read_text().splitlines()]
    return [(line[1], line[0]) for line in lines if line and line[0] != "#" and use in line[2:]]


@pytest.fixture(scope="session")
def layoutgen(tmp_path_factory):
    """layoutgen(*arguments) runs the generator, built by the oldest toolchain at hand that it promises to
    build with; so what reads the newest Go's DWARF here is the oldest Go's library."""
    builder = next(toolchain for toolchain in toolchains() if toolchain.minor >= 19)
    program = tmp_path_factory.mktemp("layoutgen") / "layoutgen"
    subprocess.run([builder.go, "build", "-buildvcs=false", "-o", program, "."], check=True,
                   cwd=ROOT / "tools" / "layoutgen", env=builder.environment({"CGO_ENABLED": "0"}))

    def run(*arguments, **options):
        return subprocess.run([str(word) for word in (program, *arguments)], cwd=ROOT,
                              capture_output=True, text=True, **options)

    return run


@pytest.fixture
def copy(tmp_path):
    """A copy of what the generator reads of the repository, to be changed."""
    shutil.copytree(LAYOUT, tmp_path / "src" / "layout")
    probe = tmp_path / "tools" / "layoutgen" / "probe"
    shutil.copytree(ROOT / "tools" / "layoutgen" / "probe", probe)
    return tmp_path


def change(path, pattern, replacement):
    """Replaces what PATTERN matches in the file at PATH, which must be there."""
    text, count = re.subn(pattern, replacement, path.read_text(), flags=re.S)
    assert count > 0, (path, pattern)
    path.write_text(text)


# ---- the rows ----


def test_rows_equal_what_the_toolchain_says(layoutgen, toolchain):
    result = layoutgen("-check", toolchain.goroot)
    assert result.returncode == 0, result.stdout + result.stderr
    equal = re.findall(rf"^{re.escape(toolchain.name)}/(\w+): equals the row of go1\.(\d+)", result.stdout, re.M)
    assert equal == [("amd64", str(toolchain.minor)), ("arm64", str(toolchain.minor))]


def test_inventory_is_that_of_the_rows(layoutgen):
    result = layoutgen("-table")
    assert result.returncode == 0, result.stderr
    assert result.stdout == (ROOT / "docs" / "runtime-layout.md").read_text()


def test_rows_come_from_the_toolchains_listed():
    provenances = re.findall(r'\.provenance = "([^"]+)"', ROWS.read_text())
    assert provenances == [name for name, _ in listed("rows") for _ in ("amd64", "arm64")]


def test_lists_cover_every_release():
    header = (LAYOUT / "layout.h").read_text()
    first, last = (int(re.search(rf"LAYOUT_MINOR_{end} = (\d+)", header)[1]) for end in ("MIN", "MAX"))
    every = [f"1.{minor}" for minor in range(first, last + 1)]
    assert [release for _, release in listed("all")] == every
    assert list(dict.fromkeys(release for _, release in listed("rows"))) == every
    assert set(listed("quick")) < set(listed("all"))
    assert {every[0], every[-1]} < {release for _, release in listed("quick")}


# ---- what the generator must notice ----


def test_changed_offset_is_reported(layoutgen, newest, copy):
    rows = copy / "src" / "layout" / "rows.inc"
    change(rows, rf"(\.minor = {newest.minor},.*?LAYOUT_MACHINE_ARM64.*?\.goid = )\d+", r"\g<1>88")
    result = layoutgen("-check", "-rows", rows, newest.goroot)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{newest.name}/amd64: equals the row of ")
    assert lines[1:] == [f"{newest.name}/arm64: g.goid is 88 in the row, 152 in the toolchain"]


def test_changed_constant_and_wait_reason_are_reported(layoutgen, newest, copy):
    rows = copy / "src" / "layout" / "rows.inc"
    change(rows, r"\[2\] = WAIT_REASON_IO_WAIT,", "[2] = WAIT_REASON_SLEEP,")
    change(rows, r"\.special_kind_finalizer = 2,", ".special_kind_finalizer = LAYOUT_ABSENT,")
    result = layoutgen("-check", "-rows", rows, newest.goroot)
    assert result.returncode == 1
    for machine in ("amd64", "arm64"):
        where = f"{newest.name}/{machine}: "
        assert where + "special_kind_finalizer is LAYOUT_ABSENT in the row, 2 in the toolchain" in result.stdout
        assert where + "wait reason 2 is SLEEP in the row, IO_WAIT in the toolchain" in result.stdout


def test_release_without_row_is_reported(layoutgen, newest, copy):
    rows = copy / "src" / "layout" / "rows.inc"
    change(rows, rf"\.minor = {newest.minor},", ".minor = 99,")
    result = layoutgen("-check", "-rows", rows, newest.goroot)
    assert result.returncode == 1
    assert result.stdout.splitlines() == [f"{newest.name}/amd64: no row", f"{newest.name}/arm64: no row"]


def test_field_new_in_the_list_is_reported(layoutgen, newest, copy):
    change(copy / "src" / "layout" / "fields.def", r"LAYOUT_END\(g\)",
           'LAYOUT_FIELD(stackguard0, "stackguard0")\nLAYOUT_END(g)')
    result = layoutgen("-check", "-root", copy, newest.goroot)
    assert result.returncode == 1
    assert "g.stackguard0 is missing in the row, 16 in the toolchain" in result.stdout


def test_unknown_wait_reason_stops_the_generator(layoutgen, newest, copy):
    change(copy / "src" / "layout" / "wait_reasons.def", r'WAIT_REASON\(SLEEP, "sleep"\)\n', "")
    for mode in ("-check", "-write"):
        result = layoutgen(mode, "-root", copy, newest.goroot)
        assert result.returncode == 1 and result.stdout == ""
        assert re.search(r'wait reason \d+ is "sleep": add it', result.stderr)


def test_field_that_got_parts_stops_the_generator(layoutgen, newest, copy):
    change(copy / "src" / "layout" / "fields.def", r'"elem\.vu\|elem"', '"elem.before|elem"')
    result = layoutgen("-check", "-root", copy, newest.goroot)
    assert result.returncode == 1 and result.stdout == ""
    assert "runtime.sudog.elem is now a runtime.maybeTraceablePtr: name its part" in result.stderr


# ---- writing ----


def test_writing_again_changes_nothing(layoutgen, newest, copy):
    (copy / "docs").mkdir()
    for _ in range(2):
        result = layoutgen("-write", "-root", copy, newest.goroot)
        assert result.returncode == 0, result.stderr
        assert (copy / "src" / "layout" / "rows.inc").read_text() == ROWS.read_text()
        assert (copy / "docs" / "runtime-layout.md").read_text() == \
            (ROOT / "docs" / "runtime-layout.md").read_text()


def test_rows_of_other_releases_must_know_every_field(layoutgen, newest, copy):
    change(copy / "src" / "layout" / "fields.def", r"LAYOUT_END\(g\)",
           'LAYOUT_FIELD(stackguard0, "stackguard0")\nLAYOUT_END(g)')
    result = layoutgen("-write", "-root", copy, newest.goroot)
    assert result.returncode == 1
    assert "the row of go1.18 has no g.stackguard0: give that toolchain too" in result.stderr
    assert (copy / "src" / "layout" / "rows.inc").read_text() == ROWS.read_text()


# ---- the toolchains ----


def test_toolchain_script_is_idempotent_and_clear():
    script = ROOT / "tests" / "toolchains.sh"
    run = [subprocess.run([script, "quick"], capture_output=True, text=True, check=True) for _ in range(2)]
    assert run[0].stdout == run[1].stdout
    lines = [line.split() for line in run[0].stdout.splitlines()]
    assert [name for name, _ in lines] == [name for name, _ in listed("quick")]
    for name, goroot in lines:
        version = subprocess.run([f"{goroot}/bin/go", "env", "GOVERSION"], capture_output=True, text=True,
                                 check=True, env={**os.environ, "GOTOOLCHAIN": "local"})
        assert version.stdout.strip() == name
    wrong = subprocess.run([script, "newest"], capture_output=True, text=True)
    assert wrong.returncode == 1 and "'newest' is neither" in wrong.stderr
