"""unpark graph: who waits for what, by those who read each format: dot, Mermaid, a browser, the JSON schema."""

import json
import pathlib
import re
import shutil
import subprocess
import xml.etree.ElementTree

import jsonschema
import pytest

from browser import open_browser
from conftest import ROOT, Program, run_unpark
from npm import npm_package

# Two accounts locked in opposite order, forty requests that nobody answers, a wait group behind one lock.
TANGLE = """package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
)

// account is too large for the blocks that small objects share.
type account struct {
	sync.Mutex
	history []string
}

//go:noinline
func pay(from, to *account, both *sync.WaitGroup) {
	from.Lock()
	both.Done()
	both.Wait()
	to.Lock()
	to.Unlock()
	from.Unlock()
}

//go:noinline
func refund(from, to *account, both *sync.WaitGroup) {
	to.Lock()
	both.Done()
	both.Wait()
	from.Lock()
	from.Unlock()
	to.Unlock()
}

//go:noinline
func answer(reply chan int) { reply <- 1 }

//go:noinline
func settle(all *sync.WaitGroup) { all.Wait() }

//go:noinline
func tangle() {
	a, b, both, all := &account{}, &account{}, &sync.WaitGroup{}, &sync.WaitGroup{}
	both.Add(2)
	all.Add(2)
	go func() {
		defer all.Done()
		pay(a, b, both)
	}()
	go func() {
		defer all.Done()
		refund(a, b, both)
	}()
	go settle(all)
}

func main() {
	tangle()
	for i := 0; i < 40; i++ {
		go answer(make(chan int))
	}
	for text := make([]byte, 1<<20); ; runtime.Gosched() {
		all := text[:runtime.Stack(text, true)]
		if bytes.Count(all, []byte("[chan send")) == 40 && bytes.Count(all, []byte(".lockSlow(")) == 2 &&
			bytes.Count(all, []byte("sync.(*WaitGroup).Wait(")) == 1 && bytes.Count(all, []byte("[run")) == 1 {
			break
		}
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}
"""

HOSTILE = r"""
goroutine 1 [chan receive (nil chan), 5 minutes]:
main.</script>"];g0->x[label="<img src=x onerror=document.title='hit'>(0xc000012345)
	/src/<svg onload=document.title="hit">`]|end;.go:12 +0x1d

goroutine 18 [select (no cases)]:
main.end]]>--><b>{a}#quot;(0x1)
	/src/\"x.go:30 +0x1d
"""


@pytest.fixture(scope="module")
def tangle(newest):
    with Program([newest.build_source(TANGLE, "stripped")]) as program:
        yield program


@pytest.fixture
def hostile(tmp_path):
    path = tmp_path / "hostile.txt"
    path.write_text(HOSTILE)
    return path


def graph_of(target, *words):
    found = run_unpark("graph", target, "--json", *words)
    assert found.code in (0, 5), found
    data = found.json()
    jsonschema.validate(data, json.loads((ROOT / "docs/schema/graph-1.json").read_text()))
    return data


def test_equal_waits_are_one_group_one_object_and_one_line(tangle):
    data = graph_of(tangle.pid)
    groups = {group["function"]: group for group in data["groups"]}
    answers = groups["main.answer"]
    assert answers["goroutines"] == 40
    lines = [wait for wait in data["waits"] if wait["group"] == answers["id"]]
    assert [(line["direction"], line["goroutines"]) for line in lines] == [("send", 40)]
    assert data["objects"][lines[0]["object"]]["objects"] == 40


def test_who_holds_a_lock_that_is_waited_for_can_be_seen(tangle):
    data = graph_of(tangle.pid)
    locks = {wait["object"]: wait["group"] for wait in data["waits"] if wait["direction"] == "lock"}
    assert len(locks) == 2
    holders = {(reach["object"], reach["group"]) for reach in data["reaches"]}
    first, second = locks
    assert (first, locks[second]) in holders and (second, locks[first]) in holders


def test_with_a_stop_what_is_proved_is_marked(tangle):
    data = graph_of(tangle.pid, "--freeze", "always", "--max-stop", "0")
    proved = {group["function"]: group["proved"] for group in data["groups"]}
    assert proved["main.answer"] == 40 and proved["main.pay"] == proved["main.refund"] == 1
    assert all(group["proved"] == 0 for group in graph_of(tangle.pid)["groups"])


def test_filters_choose_and_the_rest_is_counted(tangle):
    data = graph_of(tangle.pid, "--function", "main.answer")
    assert [group["function"] for group in data["groups"]] == ["main.answer"]
    cut = graph_of(tangle.pid, "--limit", "1")
    assert len(cut["groups"]) == 1 and cut["summary"]["groups_cut"] >= 3
    assert cut["summary"]["edges_cut"] >= 3


def test_graphviz_draws_it(tangle, hostile):
    if shutil.which("dot") is None:
        pytest.skip("graphviz is not installed")
    for target in (tangle.pid, hostile):
        found = run_unpark("graph", target)
        assert found.code in (0, 5), found
        drawn = subprocess.run(["dot", "-Tsvg"], input=found.out, capture_output=True, text=True)
        assert drawn.returncode == 0 and not drawn.stderr, drawn.stderr
        root = xml.etree.ElementTree.fromstring(drawn.stdout)
        nodes = [node for node in root.iter() if node.get("class") == "node"]
        assert len(nodes) == len(re.findall(r"^  [go]\d+ \[shape", found.out, re.M)) > 0


def test_export_draws_the_same_graph(tangle, tmp_path):
    for name in ("waits.dot", "waits.mmd"):
        kind = "dot" if name.endswith("dot") else "mermaid"
        direct = run_unpark("graph", tangle.pid, "--format", kind)
        assert run_unpark("export", tangle.pid, "-o", tmp_path / name).code == 0
        ages = re.compile(r" for [0-9a-z.]+")
        assert ages.sub("", (tmp_path / name).read_text()) == ages.sub("", direct.out)


def test_mermaid_renders_it_and_runs_nothing(tangle, hostile, tmp_path):
    package = npm_package("mermaid", "12.3.0")
    script = (package / "dist" / "mermaid.min.js").read_text()
    (tmp_path / "mermaid.js").write_text(script)
    with open_browser() as browser:
        for number, target in enumerate((tangle.pid, hostile)):
            text = run_unpark("graph", target, "--format", "mermaid").out
            assert len(text) <= 50000
            page = tmp_path / f"page{number}.html"
            page.write_text("<meta charset=utf-8><title>page</title><div id=out></div>"
                            "<script src=mermaid.js></script><script>"
                            f"const text = {json.dumps(text).replace('<', chr(92) + 'u003c')};"
                            "mermaid.initialize({startOnLoad: false});"
                            "mermaid.render('graph', text).then(r => { out.innerHTML = r.svg; window.done = 'ok'; })"
                            ".catch(e => { window.done = String(e); });</script>")
            browser.open(page)
            assert browser.until("return window.done") == "ok"
            nodes = browser.run("return document.querySelectorAll('g.node').length")
            assert nodes == len(re.findall(r"^  (?:[go]\d+|rest)[\[(]", text, re.M)) > 0
            assert browser.run("return document.title") == "page"


def test_mermaid_stays_within_what_renderers_take(start, newest):
    program = start(newest.build("parked"))
    text = run_unpark("graph", program.pid, "--all", "--limit", "0", "--format", "mermaid").out
    assert len(text) <= 41000 and text.count("-->") + text.count("-.->") <= 400


def test_a_browser_shows_the_picture_and_runs_nothing(tangle, hostile, tmp_path):
    with open_browser() as browser:
        for number, target in enumerate((tangle.pid, hostile)):
            path = tmp_path / f"waits{number}.svg"
            assert run_unpark("graph", target, "-o", path).code in (0, 5)
            xml.etree.ElementTree.parse(path)
            browser.open(path)
            assert browser.run("return document.querySelectorAll('rect').length") > 0
            assert not browser.complaints()
            assert [url for url in browser.requests() if not url.startswith(("file:", "data:"))] == []
            assert browser.run("return document.querySelectorAll('script, image, foreignObject').length") == 0


def test_a_dump_tells_little_and_says_so(hostile):
    data = graph_of(hostile)
    assert data["summary"]["obstacle"] is None
    assert {item["kind"] for item in data["objects"]} <= {"nil_channel", "empty_select"}


def test_formats_that_contradict_each_other_are_refused(tangle):
    found = run_unpark("graph", tangle.pid, "--json", "--format", "dot")
    assert found.code == 2 and found.out == ""


def test_scrubbed_graphs_have_no_addresses(tangle):
    for kind in ("dot", "mermaid", "svg", "json"):
        text = run_unpark("graph", tangle.pid, "--format", kind, "--scrub").out
        assert "main.answer" in text or "main#46;answer" in text
        assert not re.search(r"0x[0-9a-f]{5,}", text)
