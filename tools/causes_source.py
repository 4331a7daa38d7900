"""The pages of docs/causes and the rows of src/leak/causes.def that they belong to, for tools and tests.

A page holds two blocks of Go: a program that leaks, and the declarations that repair it: those of the fix replace
those of the example that have the same name, new ones are added, and the imports follow.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "causes"
NEEDS_MODULE = "It needs the module it imports."

_STRING = r'"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*'
_ROW = re.compile(rf'^CAUSE\((\d+), "([a-z-]+)", CAUSE_([A-Z]+),\s*({_STRING}),\s*({_STRING}),\s*({_STRING})\)', re.M)
_BLOCK = re.compile(r"^```go\n(.*?)^```$", re.M | re.S)
_DECLARATION = re.compile(r"^(?:func (?:\((?:\w+ )?\*?(\w+)\) )?(\w+)|type (\w+)|var (\w+))")
# Where packages that pages use by their last name are.
_PACKAGES = {path.rsplit("/", 1)[-1]: path for path in (
    "bytes", "compress/gzip", "context", "database/sql", "database/sql/driver", "errors", "fmt", "io", "iter", "net",
    "net/http", "net/http/httptest", "os", "os/exec", "os/signal", "path/filepath", "runtime", "sync", "syscall", "time",
    "unsafe")}


class Cause:
    """A row of src/leak/causes.def: .number, .id, .proof ("PROVABLE"), .title, .waker, .fix."""

    def __init__(self, number, id_, proof, *texts):
        self.number, self.id, self.proof = int(number), id_, proof
        self.title, self.waker, self.fix = ("".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text)) for text in texts)

    def __repr__(self):
        return self.id


def causes():
    """All rows, by number."""
    return [Cause(*match.groups()) for match in _ROW.finditer((ROOT / "src/leak/causes.def").read_text())]


class Page:
    """The page of a cause: .text, .example and .fix (Go), .module (needs a module that is not at hand), .runs (its
    example leaks in a way that is proved, and the fixed one does not)."""

    def __init__(self, cause):
        self.cause = cause
        self.text = (PAGES / f"{cause.id}.md").read_text()
        self.example, self.fix = _BLOCK.findall(self.text)
        self.module = NEEDS_MODULE in self.text
        self.runs = "PROVED STUCK" in self.text

    def program(self):
        """The example as a program."""
        return with_main(self.example)

    def fixed(self):
        """The repaired program."""
        old, new = declarations(self.example), declarations(self.fix)
        preamble, names = re.search(r'(?ms)^(//[^\n]*\n)*import "C"\n', self.fix), {name for name, _ in new}
        kept = [text for name, text in old if name not in names]
        body = "\n".join(kept + [text for _, text in new])
        head = "package main\n\n" + (preamble[0] if preamble else "") + imports(body)
        return with_main(head + "\n" + body)


def with_main(program):
    """PROGRAM, with an empty main when it has none."""
    return program if re.search(r"^func main\(", program, re.M) else program + "\nfunc main() {}\n"


def declarations(text):
    """The top-level declarations of TEXT but imports, as pairs of name ("T.method" for methods) and source."""
    found, comment, lines = [], [], text.splitlines()
    at = 0
    while at < len(lines):
        match = _DECLARATION.match(lines[at])
        if not match:
            comment = comment + [lines[at]] if lines[at].startswith("//") else []
            at += 1
            continue
        end = at
        # gofmt ends what it opens at the start of a line
        while lines[at].endswith(("{", "(")) and not lines[end].startswith(("}", ")")):
            end += 1
        receiver, function, *others = match.groups()
        name = f"{receiver}.{function}" if receiver else function or next(filter(None, others))
        found.append((name, "\n".join(comment + lines[at:end + 1]) + "\n"))
        comment, at = [], end + 1
    return found


def imports(body):
    """The import lines that BODY needs."""
    code = re.sub(r'"(?:[^"\\]|\\.)*"|//[^\n]*', "", body)
    used = {name for name in re.findall(r"(?<![\w.)\]])(\w+)\.", code) if name in _PACKAGES}
    return "".join(f'import "{_PACKAGES[name]}"\n' for name in sorted(used))
