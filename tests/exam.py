#!/usr/bin/env python3
"""The exam that Go's runtime sets its own leak detection, taken from outside.

The programs of runtime/testdata/testgoroutineleakprofile and the expectations of goroutineleakprofile_test.go are read
from a Go 1.27 tree at test time, never copied into this repository. The call of the in-process profile is replaced by
one that prints "ready" and waits for a line on stdin; meanwhile `unpark leaks` judges the process. Its verdicts
are held against Go's own regular expressions: nothing expected may be missing, nothing unexpected may be there.

    tests/exam.py --unpark build/unpark [--only NAME,...] [--repeat N] GOROOT...
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

SHIM = """package main

import (
\t"bufio"
\t"fmt"
\t"io"
\t"os"
)

type examProfile struct{}

func examLookup(string) *examProfile { return &examProfile{} }

func (*examProfile) WriteTo(io.Writer, int) error {
\tfmt.Println("ready", os.Getpid())
\tbufio.NewReader(os.Stdin).ReadString('\\n')
\treturn nil
}
"""

# What older releases call the waits that newer ones name (go-runtime.md 3.2).
SEMACQUIRE = ["sync.Mutex.Lock", "sync.RWMutex.RLock", "sync.RWMutex.Lock", "sync.WaitGroup.Wait"]


class Case:
    """One program of the exam: its name and what may or must leak."""

    def __init__(self, name, folder, flaky, leaks):
        self.name, self.folder, self.flaky = name, folder, flaky
        self.leaks = [re.compile(leak) for leak in leaks]


def read_cases(goroot):
    """The cases in Go's own test driver."""
    source = open(os.path.join(goroot, "src/runtime/goroutineleakprofile_test.go")).read()
    source = re.sub(r"(?m)^\s*//.*$", "", source)
    goker = source.index("gokerTestCases :=")
    cases = []
    for match in re.finditer(r'make(Flaky)?Test\("(\w+)"((?:,\s*`[^`]*`)*),?\s*\)', source):
        folder = "goker" if match.start() > goker else ""
        cases.append(Case(match[2], folder, bool(match[1]), re.findall(r"`([^`]*)`", match[3])))
    return cases


def build(goroot, tree, folder, work):
    """Builds the programs of FOLDER with the toolchain at GOROOT; returns the binary's path."""
    version = subprocess.run([os.path.join(goroot, "bin/go"), "env", "GOVERSION"], capture_output=True, text=True,
                             check=True, env=dict(os.environ, GOTOOLCHAIN="local", GOROOT=goroot)).stdout.strip()
    minor = int(re.match(r"go1\.(\d+)", version)[1])
    target = os.path.join(work, version, folder or "base")
    os.makedirs(target, exist_ok=True)
    source = os.path.join(tree, "src/runtime/testdata/testgoroutineleakprofile", folder)
    for name in os.listdir(source):
        if name.endswith(".go"):
            text = open(os.path.join(source, name)).read()
            if "runtime/pprof" in text:
                text = text.replace("pprof.Lookup(", "examLookup(") + "\nvar _ = pprof.Lookup\n"
                text = re.sub(r"\bvar _ = pprof.Lookup\n(?=.*\bvar _ = pprof.Lookup\n)", "", text, flags=re.S)
            open(os.path.join(target, name), "w").write(text)
    open(os.path.join(target, "examshim.go"), "w").write(SHIM)
    open(os.path.join(target, "go.mod"), "w").write(f"module example.com/exam\n\ngo 1.{min(minor, 22)}\n")
    subprocess.run([os.path.join(goroot, "bin/go"), "build", "-ldflags=-s -w", "-o", "exam", "."], cwd=target, check=True,
                   env=dict(os.environ, GOTOOLCHAIN="local", GOROOT=goroot, GOFLAGS="-mod=mod"))
    return version, os.path.join(target, "exam")


def proved(unpark, pid):
    """What unpark proves of PID, as "function(args) [reason]" lines, the way Go's driver cuts its own output."""
    run = subprocess.run([unpark, "leaks", str(pid), "--freeze", "always", "--max-stop", "0", "--format", "go"],
                         capture_output=True, text=True, timeout=120)
    if run.returncode == 3:
        return []  # it ended on its own before it could be looked at, as SpawnGC may
    if run.returncode not in (0, 1, 5):
        raise RuntimeError(f"unpark leaks exited with {run.returncode}: {run.stderr}")
    leaks = []
    for stack in run.stdout.split("\n\ngoroutine"):
        lines = stack.split("\n")
        if len(lines) < 5 or "(leaked)" not in lines[0]:
            continue
        reason = re.sub(r"^.*?\[", "[", lines[0]).replace(" (leaked)", "")
        for i in range(len(lines) - 1, -1, -1):
            if "created by" in lines[i]:
                leaks.append(re.sub(r"^main\.", "", lines[i - 2]) + " " + reason)
                break
    return leaks


def matches(pattern, leak):
    """True when LEAK fits PATTERN, whatever its release calls the wait."""
    if pattern.search(leak):
        return True
    return "[semacquire" in leak and any(pattern.search(leak.replace("semacquire", reason)) for reason in SEMACQUIRE)


def take(unpark, binary, case):
    """Runs one program once; returns what was proved at each of its profiles."""
    env = dict(os.environ, GODEBUG="asyncpreemptoff=1")
    if not case.flaky:
        env["GOMAXPROCS"] = "1"
    process = subprocess.Popen([binary, case.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=env)
    leaks, looks = [], 0
    try:
        for line in process.stdout:
            if line.startswith(b"ready"):
                looks += 1
                leaks += proved(unpark, process.pid)
                try:
                    process.stdin.write(b"\n")
                    process.stdin.flush()
                except BrokenPipeError:
                    break  # it ended on its own, as SpawnGC may
                if case.name == "SelectNoCasesMain":
                    break
    finally:
        process.kill()
        process.wait()
    if looks == 0:
        raise RuntimeError(f"{case.name} asked for no profile")
    return leaks


def judge(unpark, binary, case, repeat):
    """Takes a case REPEAT times; returns a list of complaints."""
    leaks = []
    for _ in range(repeat):
        leaks += take(unpark, binary, case)
        if not case.flaky and all(any(matches(p, leak) for leak in leaks) for p in case.leaks):
            break
    unexpected = [leak for leak in leaks if not any(matches(p, leak) for p in case.leaks)]
    complaints = [f"unexpected: {leak}" for leak in sorted(set(unexpected))]
    if not case.flaky:
        complaints += [f"missing: {p.pattern}" for p in case.leaks if not any(matches(p, leak) for leak in leaks)]
    return complaints


def main():
    """Takes the exam with every toolchain given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unpark", default="build/unpark")
    parser.add_argument("--only", default="", help="names of cases, separated by commas")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--tree", help="GOROOT of a Go 1.27 tree that holds the exam; default: the last GOROOT")
    parser.add_argument("goroots", nargs="+")
    options = parser.parse_args()
    tree = options.tree or options.goroots[-1]
    cases = read_cases(tree)
    if options.only:
        cases = [case for case in cases if case.name in options.only.split(",")]
    failed = passed = 0
    work = tempfile.mkdtemp(prefix="unpark-exam-")
    try:
        for goroot in options.goroots:
            binaries = {folder: build(goroot, tree, folder, work) for folder in {case.folder for case in cases}}
            version = next(iter(binaries.values()))[0]
            good = 0
            for case in cases:
                try:
                    complaints = judge(options.unpark, binaries[case.folder][1], case, options.repeat)
                except (RuntimeError, subprocess.TimeoutExpired) as problem:
                    complaints = [str(problem)]
                good += not complaints
                for complaint in complaints:
                    print(f"{version} {case.name}: {complaint}")
            print(f"{version}: {good} of {len(cases)} cases passed", flush=True)
            passed, failed = passed + good, failed + len(cases) - good
    finally:
        shutil.rmtree(work)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
