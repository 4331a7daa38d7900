#!/usr/bin/env python3
"""The exam that Go's runtime sets its own leak detection, taken from outside.

The programs of runtime/testdata/testgoroutineleakprofile and the expectations of goroutineleakprofile_test.go are read
from a Go 1.27 tree at test time, never copied into this repository. The call of the in-process profile is replaced by
one that prints "ready" and waits for a line on stdin; meanwhile `unpark leaks` judges the process. Its verdicts
are held against Go's own regular expressions: nothing expected may be missing, nothing unexpected may be there.

    tests/exam.py --unpark build/unpark [--only NAME,...] [--repeat N] [--tree GOROOT] GOROOT...
    tests/exam.py --profile ...   compares goroutine by goroutine with the in-process profile (Go 1.26 on)
    tests/exam.py --report ...    adds the recall over the kernels of GoKer, as a row of docs/proof.md
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

# The same after the in-process profile has run; its verdicts, by goroutine, come first.
PROFILE_SHIM = """package main

import (
\t"bufio"
\t"bytes"
\t"fmt"
\t"io"
\t"os"
\t"runtime/pprof"
\t"strings"
)

type examProfile struct{}

func examLookup(string) *examProfile { return &examProfile{} }

func (*examProfile) WriteTo(io.Writer, int) error {
\tvar text bytes.Buffer
\tif err := pprof.Lookup("goroutineleak").WriteTo(&text, 2); err != nil {
\t\tpanic(err)
\t}
\tfor _, line := range strings.Split(text.String(), "\\n") {
\t\tif strings.HasPrefix(line, "goroutine ") && strings.Contains(line, "(leaked)") {
\t\t\tfmt.Println("leaked", strings.Fields(line)[1], line)
\t\t}
\t}
\tfmt.Println("ready", os.Getpid())
\tbufio.NewReader(os.Stdin).ReadString('\\n')
\treturn nil
}
"""

# What older releases call the waits that newer ones name.
SEMACQUIRE = ["sync.Mutex.Lock", "sync.RWMutex.RLock", "sync.RWMutex.Lock", "sync.WaitGroup.Wait"]

# Ends by itself as soon as it has been asked to profile itself: a look may come too late, and proves nothing then.
ENDS_EARLY = {"SpawnGC"}

# Profiles itself from many goroutines at once: Go's collector is at work whenever a look comes, and the stacks of its
# workers, read word by word, keep a goroutine or two reachable through all looks. That many may be missed, no more.
HIDDEN = {"SpawnGC": 4}

# A leak stays, but a stale word on the stack of a thread that is busy collecting may hide it from one look.
LOOKS = 3


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


def build(goroot, tree, folder, work, shim=SHIM):
    """Builds the programs of FOLDER with the toolchain at GOROOT; returns its version and the binary's path."""
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
    open(os.path.join(target, "examshim.go"), "w").write(shim)
    open(os.path.join(target, "go.mod"), "w").write(f"module example.com/exam\n\ngo 1.{min(minor, 22)}\n")
    env = dict(os.environ, GOTOOLCHAIN="local", GOROOT=goroot, GOFLAGS="-mod=mod", GOPROXY="off")
    if shim == PROFILE_SHIM and minor == 26:
        env["GOEXPERIMENT"] = "goroutineleakprofile"
    subprocess.run([os.path.join(goroot, "bin/go"), "build", "-ldflags=-s -w", "-o", "exam", "."], cwd=target, check=True,
                   env=env)
    return version, os.path.join(target, "exam")


def run_leaks(unpark, pid):
    """Go's text of all goroutines of PID with "(leaked)" where unpark has a proof; None when PID is gone."""
    run = subprocess.run([unpark, "leaks", str(pid), "--freeze", "always", "--max-stop", "0", "--format", "go"],
                         capture_output=True, text=True, timeout=120)
    if run.returncode == 3:
        return None  # it ended on its own before it could be looked at, as SpawnGC may
    if run.returncode not in (0, 1, 5):
        raise RuntimeError(f"unpark leaks exited with {run.returncode}: {run.stderr}")
    return run.stdout


def proved(unpark, pid):
    """What unpark proves of PID, as "function(args) [reason]" lines, the way Go's driver cuts its own output; None when
    PID ended before it could be looked at."""
    text = run_leaks(unpark, pid)
    if text is None:
        return None
    leaks = []
    for stack in text.split("\n\ngoroutine"):
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
    """Runs one program once; returns what was proved at each of its profiles, None when it ended before any look."""
    env = dict(os.environ, GODEBUG="asyncpreemptoff=1")
    if not case.flaky:
        env["GOMAXPROCS"] = "1"
    process = subprocess.Popen([binary, case.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=env)
    leaks, asked, looks = [], 0, 0
    try:
        for line in process.stdout:
            if line.startswith(b"ready"):
                asked += 1
                found = proved(unpark, process.pid)
                looks += found is not None
                leaks += found or []
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
    if asked == 0:
        raise RuntimeError(f"{case.name} asked for no profile")
    return leaks if looks else None


def compare(unpark, binary, case):
    """Runs one program that profiles itself; returns complaints: goroutines that its profile calls leaked and unpark
    does not prove, though it looks after the profile (each once), and how many there were."""
    env = dict(os.environ, GODEBUG="asyncpreemptoff=1")
    process = subprocess.Popen([binary, case.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=env, text=True, errors="replace")
    expected, missed, total = {}, {}, 0
    try:
        for line in process.stdout:
            if line.startswith("leaked "):
                number, words = line.split(None, 2)[1:]
                if not (number == "1" and "[select (no cases)" in words):  # main is not a leak; 1.26 says so
                    expected[number] = words.strip()
            elif line.startswith("ready"):
                total += len(expected)
                for _ in range(LOOKS):
                    text = run_leaks(unpark, process.pid)
                    if text is None:
                        return complain(case, missed), total
                    for number in re.findall(r"(?m)^goroutine (\d+) .*\(leaked\)", text):
                        expected.pop(number, None)
                    if not expected:
                        break
                missed.update(expected)
                expected = {}
                try:
                    process.stdin.write("\n")
                    process.stdin.flush()
                except BrokenPipeError:
                    break
                if case.name == "SelectNoCasesMain":
                    break
    finally:
        process.kill()
        process.wait()
    return complain(case, missed), total


def complain(case, missed):
    """Complaints about the goroutines that no look at CASE proved, MISSED (their words by number)."""
    if len(missed) <= HIDDEN.get(case.name, 0):
        return []
    return [f"missed: {words}" for words in missed.values()]


def judge(unpark, binary, case, repeat):
    """Takes a case REPEAT times; returns a list of complaints."""
    leaks, looked = [], False
    for _ in range(repeat):
        taken = take(unpark, binary, case)
        looked = looked or taken is not None
        leaks += taken or []
        if not case.flaky and all(any(matches(p, leak) for leak in leaks) for p in case.leaks):
            break
    unexpected = [leak for leak in leaks if not any(matches(p, leak) for p in case.leaks)]
    complaints = [f"unexpected: {leak}" for leak in sorted(set(unexpected))]
    if not looked and case.name not in ENDS_EARLY:
        complaints.append("ended before every look")
    if not case.flaky and looked:
        complaints += [f"missing: {p.pattern}" for p in case.leaks if not any(matches(p, leak) for leak in leaks)]
    return complaints, [any(matches(p, leak) for leak in leaks) for p in case.leaks]


def report(version, results):
    """Prints the row of one release: kernels of GoKer with a proof, and places of theirs with one."""
    kernels = [found for case, found in results if case.folder == "goker" and case.leaks]
    print(f"| {version[2:]} | {sum(map(any, kernels))} of {len(kernels)} | "
          f"{sum(map(sum, kernels))} of {sum(map(len, kernels))} |", flush=True)


def main():
    """Takes the exam with every toolchain given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unpark", default="build/unpark")
    parser.add_argument("--only", default="", help="names of cases, separated by commas")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--tree", help="GOROOT of a Go 1.27 tree that holds the exam; default: the last GOROOT")
    parser.add_argument("--profile", action="store_true", help="compare with the in-process profile")
    parser.add_argument("--report", action="store_true", help="print the recall over GoKer's kernels")
    parser.add_argument("goroots", nargs="+")
    options = parser.parse_args()
    tree = options.tree or options.goroots[-1]
    cases = read_cases(tree)
    if options.only:
        cases = [case for case in cases if case.name in options.only.split(",")]
    failed = passed = 0
    work = tempfile.mkdtemp(prefix="unpark-exam-")
    shim = PROFILE_SHIM if options.profile else SHIM
    try:
        for goroot in options.goroots:
            binaries = {folder: build(goroot, tree, folder, work, shim) for folder in {case.folder for case in cases}}
            version = next(iter(binaries.values()))[0]
            good, results, compared = 0, [], 0
            for case in cases:
                found = []
                try:
                    if options.profile:
                        complaints, count = compare(options.unpark, binaries[case.folder][1], case)
                        compared += count
                    else:
                        complaints, found = judge(options.unpark, binaries[case.folder][1], case, options.repeat)
                except (RuntimeError, subprocess.TimeoutExpired) as problem:
                    complaints = [str(problem)]
                results.append((case, found))
                good += not complaints
                for complaint in complaints:
                    print(f"{version} {case.name}: {complaint}")
            what = f", {compared} goroutines compared" if options.profile else ""
            print(f"{version}: {good} of {len(cases)} cases passed{what}", flush=True)
            if options.report:
                report(version, results)
            passed, failed = passed + good, failed + len(cases) - good
    finally:
        shutil.rmtree(work)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
