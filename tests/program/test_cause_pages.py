"""The examples in docs/causes are true: each compiles, those that leak provably are proved stuck for the cause of their
page, and with the page's fix nothing is left."""

import subprocess
import sys
import time

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import causes_source  # noqa: E402

PAGES = [causes_source.Page(cause) for cause in causes_source.causes()]
COMPILED = [page for page in PAGES if not page.module]
RUN = [page for page in PAGES if page.runs]
SETTLES_WITHIN = 30  # seconds until an example is in its final state, on a busy machine


@pytest.fixture(scope="module")
def binaries(newest, tmp_path_factory):
    """A function that gives the path of "leak" or "fixed" of a page; go vet has passed them all."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "go.mod").write_text("module example.com/pages\n\ngo 1.18\n")
    for page in COMPILED:
        for kind, text in (("leak", page.program()), ("fixed", page.fixed())):
            source = folder / page.cause.id / kind / "main.go"
            source.parent.mkdir(parents=True)
            source.write_text(text)
    environment = newest.environment({"CGO_ENABLED": "1"})
    go(newest, folder, environment, "vet", "./...")
    for kind in ("leak", "fixed"):
        (folder / "bin" / kind).mkdir(parents=True)
    for page in RUN:
        for kind in ("leak", "fixed"):
            go(newest, folder, environment, "build", "-ldflags=-s -w", "-o", f"bin/{kind}/{page.cause.id}",
               f"./{page.cause.id}/{kind}")
    return lambda page, kind: folder / "bin" / kind / page.cause.id


def go(toolchain, folder, environment, *words):
    """Runs the go command."""
    done = subprocess.run([str(toolchain.go), *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_page_has_the_same_parts():
    for page in PAGES:
        heads = [line for line in page.text.splitlines() if line.startswith("## ")]
        assert heads == ["## What happens", "## Example", "## What Unpark shows", "## Who should wake it", "## Fix",
                         "## How to be sure"], page.cause
    assert len(RUN) >= 25 and len(COMPILED) >= 45


def test_all_go_is_formatted(newest):
    for page in PAGES:
        for text in (page.example, page.fix if "package" in page.fix else "package main\n\n" + page.fix):
            done = subprocess.run([str(newest.goroot / "bin" / "gofmt")], input=text, capture_output=True, text=True)
            assert (done.stderr, done.stdout) == ("", text), page.cause


def look_until(unpark, pid, settled):
    """The first answer about PID that SETTLED accepts; a program that only begins has none yet."""
    deadline = time.monotonic() + SETTLES_WITHIN
    while True:
        result = unpark("leaks", pid, "--json", "--max-stop", "0")
        if result.out and settled(result.json()):
            return result.json()
        assert time.monotonic() < deadline, result


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.cause.id)
def test_example_leaks_and_fix_repairs(unpark, binaries, page):
    process = subprocess.Popen([binaries(page, "leak")], stdout=subprocess.DEVNULL)
    try:
        look_until(unpark, process.pid, lambda answer: answer["summary"]["proved"] > 0 and page.cause.id in
                   [cause["id"] for cause in answer["findings"][0]["causes"]])
    finally:
        process.kill()
        process.wait()
    process = subprocess.Popen([binaries(page, "fixed")], stdout=subprocess.DEVNULL)
    try:
        answer = look_until(unpark, process.pid, lambda answer: answer["summary"]["goroutines"] == 1)
        assert answer["findings"] == []
    finally:
        process.kill()
        process.wait()


def test_catalogue_can_be_looked_up(unpark):
    listed = unpark("causes")
    assert listed.code == 0
    lines = listed.out.splitlines()
    for cause, line in zip(causes_source.causes(), lines, strict=True):
        assert line.split(None, 1) == [cause.id, cause.title]
        shown = unpark("causes", cause.id)
        assert shown.code == 0 and cause.waker in shown.out and cause.fix in shown.out
        assert max(map(len, shown.out.splitlines())) <= 120
    everything = unpark("causes", "--json").json()
    assert everything["schema"] == "unpark.causes/1"
    rows = [(row["number"], row["id"], row["title"], row["waker"], row["fix"]) for row in everything["causes"]]
    assert rows == [(row.number, row.id, row.title, row.waker, row.fix) for row in causes_source.causes()]
    assert all(row["signatures"] for row in everything["causes"])
    one = unpark("explain", "nil-channel", "--json").json()["causes"]
    assert [row["id"] for row in one] == ["nil-channel"]
    wrong = unpark("causes", "nil-chanel")
    assert wrong.code == 2 and "did you mean nil-channel?" in wrong.err
