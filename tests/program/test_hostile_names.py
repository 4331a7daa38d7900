"""Every name that a target chooses, in every output: function, file, label, state, path of the executable, command
name, recording and dump file. Nothing reaches a terminal as a control, nothing leaves its place in a format."""

import csv
import html.parser
import io
import json
import pathlib
import re
import shutil
import subprocess
import unicodedata
import xml.etree.ElementTree

import pytest

from conftest import UNPARK, Program

# What each kind of reader would act on: terminal, markup, CSV, DOT, Mermaid, folded stacks, shells, right-to-left.
EVIL = ("\x1b[31m\x1b]0;t\x07<img src=x onerror=hit()>\"'&]]></script><script>hit()</script>=1+2;a\"]; click x hit "
        "%%{init}%%\x9b2J\u202egnp\u2066\u2028`$(hit)`\\")

PROGRAM = """package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
)

//go:noinline
func hold(channel chan int) { <-channel }

func main() {
	evil := os.Args[1]
	os.WriteFile("/proc/self/comm", []byte("=1+\\x1b[31m<b>"), 0)
	var lock sync.Mutex
	lock.Lock()
	pprof.Do(context.Background(), pprof.Labels(evil, evil, "=k", "=1+1", "@", "-2+3"), func(context.Context) {
		for i := 0; i < 3; i++ {
			go hold(make(chan int))
			go lock.Lock()
		}
	})
	file, _ := os.Open(os.Args[2])
	_ = file
	for {
		runtime.Gosched()
		if runtime.NumGoroutine() >= 7 {
			break
		}
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}
"""

VIEWS = [("dump",), ("dump", "--each"), ("dump", "--json"), ("dump", "--ndjson"), ("dump", "--format=go"), ("dump", "--goroutine=1"),
         ("dump", "--color=always"), ("leaks",), ("leaks", "--json"), ("leaks", "--format=go"), ("leaks", "--color=always"),
         ("graph", "-fdot"), ("graph", "-fmermaid"), ("graph", "-fjson"), ("graph", "-fsvg"), ("export", "-fgo"),
         ("export", "-fjson"), ("export", "-fndjson"), ("export", "-fcsv"), ("export", "-fcsv", "--each"), ("export", "-ffolded"),
         ("export", "-fspeedscope"), ("export", "-fflamegraph"), ("export", "-fhtml"), ("export", "-fdot"), ("export", "-fmermaid")]


def dump_text():
    """A dump in which every name is an attack, as far as the format lets it."""
    name = EVIL.replace("\n", "").replace("(", "<").replace(")", ">")
    quoted = '"' + "".join(c if c.isalnum() else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in EVIL) + '"'
    return (f"goroutine 1 [running]:\nmain.{name}(0x1)\n\t/src/{name}.go:7 +0x1d\ncreated by main.{name} in goroutine 3\n"
            f"\t/src/{name}.go:9 +0x2d\n\ngoroutine 2 [{name.replace(']', '').replace(',', '')}]:\nmain.=1+1(...)\n"
            f"\t=2+5+cmd|' /C calc'!A0.go:3\n\ngoroutine 3 [select (no cases), 3 minutes] {{{quoted}: {quoted}}}:\n"
            f"@SUM.{name}(0x1)\n\t-{name}.go:7 +0x1d\n\n")


@pytest.fixture(scope="module")
def targets(newest, tmp_path_factory):
    """A dump, a process and a recording of it, each at a path that is an attack."""
    folder = tmp_path_factory.mktemp("hostile") / EVIL.replace("/", "|")[:120]
    folder.mkdir()
    text = folder / "=dump\x1b[2J.txt"
    text.write_text(dump_text())
    binary = folder / ("=exe" + EVIL.replace("/", "|")[:60])
    shutil.copy(newest.build_source(PROGRAM), binary)
    with Program([binary, EVIL, text]) as program:
        recording = folder / "-rec\x1b[2J<b>.unpark"
        subprocess.run([UNPARK, "record", str(program.pid), "-o", recording, "--every", "1ms", "--for", "20ms"], check=True,
                       capture_output=True)
        yield {"dump": text, "process": program.pid, "recording": recording}


def check_bytes(data, colour=False):
    """Valid UTF-8 without anything that a terminal acts on but line ends, tabs and our own colours."""
    text = data.decode("utf-8")
    if colour:
        text = re.sub(r"\x1b\[[0-9;]*m", "", text.replace("\x1b[31m\\x1b", "!"))
    strange = {c for c in text if c not in "\n\t\r" and (unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs"))}
    assert strange == set(), [hex(ord(c)) for c in strange]
    return text


class Tags(html.parser.HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.seen, self.handlers = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.handlers |= {name for name, _ in attrs if name.startswith("on")}


def check_format(view, text):
    """What the readers of a format would see."""
    words = " ".join(view)
    if "json" in words or "speedscope" in words:
        if "ndjson" in words:
            for line in text.splitlines():
                json.loads(line)
        else:
            json.loads(text)
    elif "csv" in words:
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert len({len(row) for row in rows}) == 1 and len(rows) > 1
        for row in rows[1:]:
            for cell in row:
                assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r")) or re.fullmatch(r"-?\d+", cell), cell
    elif "folded" in words:
        assert all(re.fullmatch(r".+ \d+", line) for line in text.splitlines())
    elif "svg" in words or "flamegraph" in words:
        root = xml.etree.ElementTree.fromstring(text)
        tags = {element.tag.split("}")[1] for element in root.iter()}
        assert tags <= {"svg", "g", "rect", "text", "title", "style", "script", "path", "line", "polygon", "tspan", "defs", "marker",
                        "ellipse", "circle", "polyline"}, tags
        assert len([element for element in root.iter() if element.tag.endswith("}script")]) <= 1
        assert not [name for element in root.iter() for name in element.attrib if name.startswith("on")]
    elif "html" in words:
        page = Tags(text)
        assert "img" not in page.seen and page.handlers == set() and text.count("<script") == 2
    elif "dot" in words and shutil.which("dot"):
        done = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        assert "<img" not in done.stdout and "<script" not in done.stdout
    elif "mermaid" in words:
        for line in text.splitlines():
            assert not re.match(r"\s*(click|%%\{)", line) and "<script" not in line and "<img" not in line, line


@pytest.mark.parametrize("name", ["dump", "process", "recording"])
@pytest.mark.parametrize("view", VIEWS, ids=" ".join)
def test_view(unpark, targets, view, name):
    result = unpark(view[0], targets[name], *view[1:])
    assert result.code in (0, 1, 5), result
    text = check_bytes(result.bytes, "--color=always" in view)
    check_bytes(result.err.encode())
    assert text.strip() or "graph" in view
    check_format(view, text)


def test_other_outputs(unpark, targets, tmp_path):
    """ps, doctor, diff, the list of a recording, and complaints about names."""
    path = pathlib.Path(targets["recording"])
    for words in (("ps",), ("ps", "--json"), ("doctor", targets["process"]), ("record", "--list", path),
                  ("record", "--list", "--json", path), ("diff", targets["dump"], targets["process"]),
                  ("diff", targets["dump"], targets["process"], "--json"), ("dump", f"{path}@9:99"), ("dump", f"{targets['dump']}@7"),
                  ("dump", targets["dump"].with_name("none" + EVIL[:20])), ("dump", "name:" + EVIL), ("export", targets["dump"], "-f", EVIL),
                  ("dump", targets["dump"], "--" + EVIL), (EVIL,), ("dump", "http://" + EVIL), ("causes", EVIL)):
        result = unpark(*words)
        check_bytes(result.bytes)
        check_bytes(result.err.encode())
        if "--json" in words:
            json.loads(result.out)
