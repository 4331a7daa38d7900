"""unpark export: every format by those who read it: jq, Python's csv, speedscope's schema, a browser."""

import base64
import csv
import html.parser
import io
import json
import pathlib
import re
import shutil
import stat
import subprocess
import xml.etree.ElementTree

import pytest

from browser import open_browser
from conftest import ROOT, Program
from npm import npm_package

SVG = "{http://www.w3.org/2000/svg}"

# Names that would run, break out or be computed if any format took them at their word.
HOSTILE = r"""
goroutine 1 [chan receive, 5 minutes]:
main.</script><img src=x onerror=document.title="hit">(0xc000012345)
	/home/Alice/src/<svg onload=document.title="hit">/main.go:12 +0x1d
=cmd|'/c calc'!A0(...)
	/tmp/"quoted",comma;semi.go:7 +0x1d
main.main()
	/home/Alice/src/main.go:3 +0x25

goroutine 18 [select]:
main.]]><script>document.title="hit"</script>;a;b&amp;"'`(0x1)
	/src/main.go:30 +0x1d
created by main.main in goroutine 1
	/src/main.go:31 +0x25
"""

# Labels, an address and an open connection: what --scrub takes out.
SECRETS = """package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"io"
	"runtime/pprof"
)

//go:noinline
func hold(secret *[64]byte, tenant chan int) { <-tenant; fmt.Println(secret) }

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go listener.Accept()
	entered := make(chan int)
	go pprof.Do(context.Background(), pprof.Labels("tenant", "hush-hush"), func(context.Context) {
		close(entered)
		hold(new([64]byte), make(chan int))
	})
	<-entered
	fmt.Println("ready", listener.Addr())
	io.Copy(io.Discard, os.Stdin)
}
"""


@pytest.fixture
def hostile(tmp_path):
    """A dump whose names are attacks."""
    path = tmp_path / "crash.txt"
    path.write_text(HOSTILE)
    return path


@pytest.fixture(scope="module")
def browser():
    """One browser for the module."""
    with open_browser() as opened:
        yield opened


def goroutines(unpark, program):
    """How many user goroutines dump counts."""
    return unpark("dump", program.pid, "--json").json()["summary"]["goroutines"]


# ---- which format ----


def test_every_format_is_documented_once(unpark):
    text = unpark("export", "--help").out
    names = re.findall(r"^  (\w+) {2,}", text.split("\nFormats:\n")[1].split("\n\n")[0], re.M)
    assert {"html", "flamegraph", "go", "json", "ndjson", "csv", "folded", "speedscope"} <= set(names)
    page = (ROOT / "docs" / "man" / "unpark-export.1").read_text()
    assert all(f"\\fB{name}\\fR" in page for name in names)
    wrong = unpark("export", "1", "--format=none")
    assert wrong.code == 2 and all(name in wrong.err for name in ["speedscope", "csv"])


@pytest.mark.parametrize("name, start", [
    ("a.svg", "<?xml"), ("a.HTML", "<!doctype html>"), ("a.json", '{"schema":"unpark.dump/1"'),
    ("a.speedscope.json", '{"$schema"'), ("a.csv", "goroutines,"), ("a.txt", "goroutine "), ("a.folded", "")])
def test_the_name_of_the_output_tells_the_format(unpark, parked, tmp_path, name, start):
    result = unpark("export", parked.pid, "-o", tmp_path / name)
    assert (result.code, result.out, result.err) == (0, "", "")
    assert (tmp_path / name).read_text().startswith(start)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("words, complaint", [
    ([], "no format"), (["-o", "x.doc"], "x.doc"), (["-f", "folded", "--each"], "--each"),
    (["-f", "csv", "--freeze=auto"], "--freeze"), (["-f", "html", "--freeze=auto", "--stop"], "--stop")])
def test_what_does_not_fit_together(unpark, parked, tmp_path, words, complaint):
    result = unpark("export", parked.pid, *words, cwd=tmp_path)
    assert result.code == 2 and result.out == ""
    assert len(result.err.splitlines()) == 1 and complaint in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [
    ("export", "-f", "html"), ("export", "-f", "go"), ("export", "-f", "pprof"), ("graph", "-f", "json")])
def test_a_refused_stop_is_a_partial_result(unpark, parked, words):
    """As of unpark leaks: status 5, one line that says why; the output is there."""
    command, *rest = words
    result = unpark(command, parked.pid, *rest, "--freeze", "always", "--max-stop", "1ns")
    assert result.code == 5 and len(result.err.splitlines()) == 1 and "--max-stop" in result.err, result
    assert len(result.bytes) > 100
    if rest[-1] == "json":
        assert "--max-stop" in result.json()["summary"]["obstacle"]


def test_reports_of_very_many_goroutines_are_bounded(unpark, newest, start):
    """A copy of all stacks is made only when it is asked for by name; what is lost is said."""
    count = 250100
    limited = ("sh", "-c", 'ulimit -v 450000 && exec "$@"', "sh")
    if unpark("version", prefix=limited).code != 0:
        pytest.skip("built with a sanitizer, which needs more address space than that")
    with start(newest.build("swarm"), "-n", str(count), "-listen", "127.0.0.1:0") as swarm:
        for words in (("export", "-f", "html"), ("graph", "-f", "json")):
            bounded = unpark(words[0], swarm.pid, *words[1:], prefix=limited)
            assert bounded.code == 0 and bounded.err == "", bounded
            assert "which was not made (--freeze never makes it" in bounded.out
            asked = unpark(words[0], swarm.pid, *words[1:], "--freeze", "never")
            assert "was not made" not in asked.out


# ---- formats that dump has, too ----


def test_go_text_is_that_of_dump(unpark, newest, start):
    fresh = start(newest.build("parked"))  # within its first minute: headers count minutes
    assert unpark("export", fresh.pid, "-f", "go").out == unpark("dump", fresh.pid, "--format=go").out


def test_go_text_marks_what_is_proved(unpark, parked):
    text = unpark("export", parked.pid, "-f", "go", "--freeze=auto", "--max-stop=0").out
    leaked = re.findall(r"^goroutine (\d+) \[[^]]*\(leaked\)", text, re.M)
    proved = unpark("leaks", parked.pid, "--only=proved", "--json", "--max-stop=0").json()["findings"]
    assert sorted(map(int, leaked)) == sorted(id for finding in proved for id in finding["goroutines"])
    assert leaked


def test_json_is_read_by_jq(unpark, parked, tmp_path):
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    unpark("export", parked.pid, "-o", tmp_path / "a.json")
    unpark("export", parked.pid, "--each", "-o", tmp_path / "a.ndjson")
    whole = subprocess.run(["jq", "[.groups[].count] | add", tmp_path / "a.json"], check=True,
                           capture_output=True, text=True).stdout
    lines = subprocess.run(["jq", "-s", "map(select(.id)) | length", tmp_path / "a.ndjson"], check=True,
                           capture_output=True, text=True).stdout
    assert int(whole) == int(lines) == goroutines(unpark, parked)


# ---- csv ----


def table(text):
    """The rows of RFC 4180 text as dictionaries."""
    assert all(line.endswith("\r\n") for line in text.splitlines(keepends=True))
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_csv_of_groups_and_of_goroutines(unpark, parked):
    groups = table(unpark("export", parked.pid, "-f", "csv").bytes.decode())
    single = table(unpark("export", parked.pid, "-f", "csv", "--each").bytes.decode())
    total = goroutines(unpark, parked)
    assert sum(int(row["goroutines"]) for row in groups) == len(single) == total
    assert list(groups[0]) == list(single[0])
    ids = [int(row["ids"]) for row in single]
    assert ids == sorted(ids)
    row = next(row for row in single if row["function"] == "main.lockMutex")
    assert row["wait_reason"] in ("sync.Mutex.Lock", "semacquire") and "Mutex" in row["waits_for"]
    assert row["file"].endswith(".go") and int(row["line"]) > 0
    assert " | main.lockMutex " in row["stack"] and row["stack"].startswith("runtime.")


def test_csv_computes_nothing(unpark, hostile):
    text = unpark("export", hostile, "-f", "csv").bytes.decode()
    rows = table(text)
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if re.match(r"\s*[=+\-@]", cell)]
    alone = hostile.with_name("alone.txt")
    alone.write_text("goroutine 1 [select]:\n=1+1(0x1)\n\t/src/a.go:1 +0x1\n")
    assert table(unpark("export", alone, "-f", "csv").bytes.decode())[0]["function"] == "'=1+1"


# ---- stacks ----


def folded(text):
    """(frames, count) of each line."""
    lines = text.splitlines()
    assert lines == sorted(lines, key=lambda line: line.encode(errors="surrogateescape"))
    return [(line.rsplit(" ", 1)[0].split(";"), int(line.rsplit(" ", 1)[1])) for line in lines]


def test_folded_stacks(unpark, parked):
    stacks = folded(unpark("export", parked.pid, "-f", "folded").out)
    assert sum(count for _, count in stacks) == goroutines(unpark, parked)
    assert len({tuple(frames) for frames, _ in stacks}) == len(stacks)
    assert all(re.fullmatch(r"\[.+\]", frames[-1]) for frames, _ in stacks)
    mutex = next(frames for frames, _ in stacks if "main.lockMutex" in frames)
    assert mutex.index("main.lockMutex") < mutex.index("runtime.gopark") == len(mutex) - 2


def test_folded_stacks_of_some_goroutines(unpark, parked):
    stacks = folded(unpark("export", parked.pid, "-f", "folded", "--user", "--function=main.lockMutex").out)
    assert len(stacks) == 1
    assert all(re.match(r"main\.|\[", frame) for frame in stacks[0][0]), stacks


def test_folded_keeps_lines_and_fields(unpark, hostile):
    stacks = folded(unpark("export", hostile, "-f", "folded").out)
    assert sorted(len(frames) for frames, _ in stacks) == [2, 4]


@pytest.fixture(scope="module")
def speedscope():
    """The folder of speedscope's application."""
    return npm_package("speedscope", "1.25.0") / "dist" / "release"


def test_speedscope(unpark, parked):
    data = unpark("export", parked.pid, "-f", "speedscope").json()
    assert data["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert set(data) == {"$schema", "exporter", "shared", "profiles"}
    profile, = data["profiles"]
    frames = data["shared"]["frames"]
    assert set(profile) == {"type", "name", "unit", "startValue", "endValue", "samples", "weights"}
    assert (profile["type"], profile["unit"], profile["startValue"]) == ("sampled", "none", 0)
    assert len(profile["samples"]) == len(profile["weights"])
    assert sum(profile["weights"]) == profile["endValue"] == goroutines(unpark, parked)
    assert all(set(frame) <= {"name", "file", "line"} and frame["name"] for frame in frames)
    assert all(0 <= index < len(frames) for sample in profile["samples"] for index in sample)
    named = {";".join(frames[index]["name"] for index in sample): weight
             for sample, weight in zip(profile["samples"], profile["weights"])}
    text = unpark("export", parked.pid, "-f", "folded").out
    assert named == {line.rsplit(" ", 1)[0]: int(line.rsplit(" ", 1)[1]) for line in text.splitlines()}


def test_speedscope_fits_its_schema(unpark, parked, speedscope):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((speedscope / "file-format-schema.json").read_text())
    jsonschema.validate(unpark("export", parked.pid, "-f", "speedscope").json(), schema)


def test_speedscope_opens_it(unpark, parked, speedscope, browser, tmp_path):
    """Through the way that speedscope's own command takes: a script that hands the file over."""
    data = base64.b64encode(unpark("export", parked.pid, "-f", "speedscope").bytes).decode()
    script = tmp_path / "load.js"
    script.write_text(f"speedscope.loadFileFromBase64('goroutines', '{data}')")
    browser.open(speedscope / "index.html", f"#localProfilePath={script}")
    browser.until("return document.body.textContent.includes('goroutines of process')")
    assert browser.run("return document.querySelectorAll('canvas').length") > 0
    assert not [line for line in browser.complaints() if "rror" in line and "GL" not in line]


def pprof_top(newest, path, *words):
    """What go tool pprof -raw says of the file."""
    done = subprocess.run([newest.go, "tool", "pprof", "-raw", *words, str(path)], check=True,
                          capture_output=True, text=True, env=newest.environment())
    return done.stdout


def test_pprof_is_read_by_go(unpark, newest, parked, tmp_path):
    total = goroutines(unpark, parked)
    unpark("export", parked.pid, "-o", tmp_path / "a.pb.gz")
    raw = pprof_top(newest, tmp_path / "a.pb.gz")
    assert "goroutine/count" in raw and "main.lockMutex" in raw
    assert sum(map(int, re.findall(r"^ +(\d+): [\d ]+$", raw, re.M))) == total
    unpark("export", parked.pid, "--each", "--freeze=auto", "--max-stop=0", "-o", tmp_path / "b.pb.gz")
    each = pprof_top(newest, tmp_path / "b.pb.gz")
    assert "goroutineleak/count" in each and each.count("goid:") == total
    unpark("export", parked.pid, "--limit=1", "-o", tmp_path / "c.pprof")
    assert len(re.findall(r"^ +(\d+): [\d ]+$", pprof_top(newest, tmp_path / "c.pprof"), re.M)) == 1


# ---- the flame graph ----


def test_flame_graph_adds_up(unpark, parked, tmp_path):
    unpark("export", parked.pid, "-o", tmp_path / "a.svg")
    frames = [group for group in xml.etree.ElementTree.parse(tmp_path / "a.svg").getroot().iter(f"{SVG}g")
              if group.get("data-n")]
    total = goroutines(unpark, parked)
    root = frames[0]
    assert (root.get("data-s"), root.get("data-n"), root.get("data-d")) == ("0", str(total), "0")
    depths = {}
    for frame in frames:
        start, count, depth = (int(frame.get(f"data-{key}")) for key in "snd")
        assert 0 <= start and start + count <= total and count > 0
        assert start >= depths.get(depth, 0), "frames of a row overlap"
        depths[depth] = start + count
    assert depths[1] == total
    leaves = [int(frame.get("data-n")) for frame in frames if frame.get("class") == "f st"]
    assert sum(leaves) == total


def assert_self_contained(browser, path):
    """The file was shown without a request but for itself and without a complaint."""
    assert browser.requests() == [pathlib.Path(path).resolve().as_uri()]
    assert browser.complaints() == []


def frame_width(browser, name):
    """How wide the frame is drawn whose name begins with NAME; 0 when it is not drawn."""
    return browser.run("""
        const frame = [...document.querySelectorAll("svg.flame g.f")]
            .find((group) => (group.getAttribute("aria-label") || "").startsWith(arguments[0]));
        return frame.style.display === "none" ? 0 : +frame.querySelector("rect").getAttribute("width");""", name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_flame_graph_in_a_browser(unpark, parked, tmp_path, browser, scheme):
    path = tmp_path / "a.svg"
    unpark("export", parked.pid, "-o", path)
    browser.scheme(scheme)
    browser.open(path)
    whole = browser.run("return document.documentElement.clientWidth") - 32
    assert abs(frame_width(browser, "all goroutines") - whole) < 20
    narrow = frame_width(browser, "main.lockMutex,")
    assert 0 < narrow < whole / 4
    # a click on a frame makes it as wide as the picture, another resets
    browser.run("""[...document.querySelectorAll("g.f")]
        .find((group) => group.getAttribute("aria-label").startsWith("main.lockMutex,"))
        .dispatchEvent(new MouseEvent("click", {bubbles: true}));""")
    assert abs(frame_width(browser, "main.lockMutex,") - whole) < 20
    assert frame_width(browser, "main.nilReceive,") == 0
    browser.keys("Escape")
    assert frame_width(browser, "main.lockMutex,") == narrow
    # the search by keyboard, with a regular expression
    browser.keys("f", held=["Control"])
    browser.keys(*"^main\\.lock[MR]")
    marked = browser.run("""return [...document.querySelectorAll("g.f.m")]
        .map((group) => group.getAttribute("aria-label"))""")
    assert marked and all(label.startswith("main.lock") for label in marked)
    assert re.match(rf"\d+ of {goroutines(unpark, parked)} \(", browser.run(
        "return document.querySelector('output').textContent"))
    browser.keys("Escape")
    assert browser.run("return document.querySelectorAll('g.f.m').length") == 0
    # the tooltip
    browser.hover("g.f.k0, g.f.k1, g.f.k2, g.f.k3, g.f.k4, g.f.k5, g.f.k6, g.f.k7, g.f.k8, g.f.k9")
    tip = browser.until("""const tip = document.querySelector(".tip");
        return tip.getAttribute("visibility") === "visible" && tip.textContent""")
    assert ".go" in tip and "goroutine" in tip and "%" in tip
    # the arrow keys walk
    browser.run("document.querySelector('g.f').focus()")
    browser.keys("Down")
    assert browser.run("return document.activeElement.dataset.d") == "1"
    browser.keys("Enter")
    assert browser.run("return document.querySelector('button').disabled") is False
    assert_self_contained(browser, path)


def test_flame_graph_of_many_stacks_stays_small(unpark, tmp_path):
    """30,000 distinct stacks: what is too small to see is counted, not drawn."""
    dump = tmp_path / "dump.txt"
    with dump.open("w") as file:
        for index in range(30000):
            file.write(f"goroutine {index + 1} [select]:\nmain.f{index}(0x1)\n\t/src/a.go:{index + 1} +0x1d\n"
                       "main.main()\n\t/src/a.go:1 +0x1d\n\n")
    assert unpark("export", dump, "-o", tmp_path / "a.svg").code == 0
    assert (tmp_path / "a.svg").stat().st_size < 4_000_000
    root = xml.etree.ElementTree.parse(tmp_path / "a.svg").getroot()
    frames = [group for group in root.iter(f"{SVG}g") if group.get("data-n")]
    assert frames[0].get("data-n") == "30000"
    rest, = [frame for frame in frames if frame.get("class") == "f rest" and frame.get("data-d") == "2"]
    drawn = [frame for frame in frames if frame.get("data-d") == "2" and frame is not rest]
    assert int(rest.get("data-n")) + sum(int(frame.get("data-n")) for frame in drawn) == 30000
    assert "more, too small to draw" in rest.find(f"{SVG}title").text


# ---- the page ----


class Outline(html.parser.HTMLParser):
    """What a page is made of: its tags, and the values that could fetch or run something."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.suspicious = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name in ("src", "action", "srcdoc", "style") or \
                    (name == "href" and not value.startswith("#")):
                self.suspicious.append((tag, name, value))


def test_page_is_complete_without_scripts(unpark, parked):
    text = unpark("export", parked.pid, "-f", "html", "--freeze=auto", "--max-stop=0").out
    outline = Outline(text)
    assert outline.suspicious == []
    assert outline.tags.count("script") == 2 and "link" not in outline.tags and "iframe" not in outline.tags
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    groups = unpark("dump", parked.pid, "--json").json()["groups"]
    assert text.count('<details class="group">') == len(groups)
    assert "proved stuck" in text and "main.lockMutex" in text


def test_page_in_a_browser(unpark, parked, tmp_path, browser):
    path = tmp_path / "a.html"
    assert unpark("export", parked.pid, "--freeze=auto", "--max-stop=0", "-o", path).code == 0
    browser.scheme("light")
    browser.open(path)
    summary = unpark("leaks", parked.pid, "--json", "--max-stop=0").json()["summary"]
    cards = browser.run("""return Object.fromEntries([...document.querySelectorAll(".card")]
        .map((card) => [card.querySelector("span").textContent, card.querySelector("b").textContent]))""")
    assert int(cards["goroutines"]) == summary["goroutines"]
    assert int(cards["proved stuck"]) == summary["proved"] > 0
    # the filter
    browser.type("#groups input[type=search]", "lockmutex")
    shown = browser.run("""return [...document.querySelectorAll("#groups .group")]
        .filter((group) => !group.hidden).map((group) => group.textContent)""")
    assert shown and all("main.lockMutex" in text for text in shown)
    # a line opens, and library frames can be hidden
    browser.click("#groups .group:not([hidden]) summary")
    visible = """return [...document.querySelectorAll("#groups .group:not([hidden]) .stack li")]
        .filter((line) => line.offsetHeight > 0).length"""
    every = browser.run(visible)
    browser.click("#groups input[type=checkbox]")
    assert 0 < browser.run(visible) < every
    # both themes, whatever the system prefers
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = browser.run(paper)
    browser.click(".theme")
    assert browser.run(paper) != light
    # the flame graph inside has the same search
    browser.type("#flame input", "lockMutex")
    assert browser.run("return document.querySelectorAll('#flame g.f.m').length") >= 1
    assert browser.run("return document.querySelectorAll('#waits .graph g').length") > 10
    assert_self_contained(browser, path)


@pytest.mark.parametrize("name", ["a.svg", "a.html"])
def test_hostile_names_do_not_run(unpark, hostile, tmp_path, browser, name):
    path = tmp_path / name
    result = unpark("export", hostile, "-o", path)
    assert result.code == 0, result
    browser.open(path)
    assert browser.run("return document.title") != "hit"
    assert browser.run("return document.querySelectorAll('img, [onload], [onerror]').length") == 0
    # the names are there, as text
    assert "onerror=" in browser.run("return document.documentElement.textContent") or browser.run(
        "return [...document.querySelectorAll('g.f')].some(g => g.getAttribute('aria-label').includes('onerror='))")
    browser.run("""document.querySelectorAll("g.f").forEach((frame) => {
        frame.dispatchEvent(new PointerEvent("pointermove", {bubbles: true}));
        frame.dispatchEvent(new MouseEvent("click", {bubbles: true}));
    });""")
    assert browser.run("return document.title") != "hit"
    assert_self_contained(browser, path)


# ---- scrub ----


FORMATS = ["html", "flamegraph", "go", "json", "ndjson", "csv", "folded", "speedscope"]


@pytest.fixture(scope="module")
def secrets(newest):
    with Program([newest.build_source(SECRETS)]) as program:
        yield program


@pytest.mark.parametrize("name", FORMATS)
def test_scrub_takes_secrets_out(unpark, secrets, name):
    address = secrets.words[0]
    clean = unpark("export", secrets.pid, "-f", name, "--scrub", "--label=tenant")
    assert clean.code == 0, clean
    text = clean.out
    if name == "html":  # digests and colours are no addresses
        text = re.sub(r"<style>.*?</style>|<script>.*?</script>|<meta[^>]*>", "", text, flags=re.S)
    if name == "flamegraph":
        text = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", text, flags=re.S)
    assert "main.hold" in text
    assert "hush" not in text and "tenant" not in text
    assert not re.search(r"0x[0-9a-f]{6,}", text), re.search(r".{40}0x[0-9a-f]{6,}", text)
    everything = unpark("export", secrets.pid, "-f", name, "--scrub")
    assert address not in everything.out


def test_scrub_of_dump(unpark, secrets):
    full = unpark("dump", secrets.pid, "--json", "--each")
    assert "hush-hush" in full.out and secrets.words[0] in full.out and re.search(r"0x[0-9a-f]{8,}", full.out)
    clean = unpark("dump", secrets.pid, "--json", "--each", "--scrub").json()
    assert len(clean["goroutines"]) == len(full.json()["goroutines"])
    text = json.dumps(clean)
    assert "hush" not in text and secrets.words[0] not in text and not re.search(r"0x[0-9a-f]{6,}", text)
    assert all(goroutine["address"] is None for goroutine in clean["goroutines"])
    assert [wait["object"]["description"] for goroutine in clean["goroutines"] for wait in goroutine["waits"]
            if wait["object"]["kind"] == "descriptor"] == ["tcp listening"]
    go = unpark("dump", secrets.pid, "--format=go", "--scrub").out
    assert "main.hold(...)" in go


def test_scrub_of_a_file(unpark, hostile):
    text = unpark("export", hostile, "-f", "go", "--scrub").out
    assert "Alice" not in text and "0xc000012345" not in text and "~/src/main.go:3" in text
