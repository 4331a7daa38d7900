#!/usr/bin/env python3
"""Speed and memory of Unpark beside the physical floor and its peers, in one run.

Builds tests/fixtures/swarm with the Go at hand, parks goroutines, and times each reader as a whole process, in turn (A B
A B), so that a machine that drifts drifts for all. Prints a Markdown table: medians, and ratios to the floor. Peers that
are not installed are skipped with a note. Numbers depend on the machine and its load, which are printed first.

The floor is the time to move the bytes alone: by one reader, as the goals count it, and by one per processor.

The second table is about leaks: goroutines that nobody can wake, beside what finding them costs inside the program, also
with GiBs of small live objects around them. The third is about files: every format of unpark export, of EXPORTS
goroutines. HEAPS are "goroutines:MiB of objects" (half of the objects hold pointers).

    bench/run.py [--counts 10000,100000,1000000] [--heaps 100000:0,100000:4096,1000000:0] [--rounds 3]
                 [--exports 1000000] [--unpark build/unpark] [--floor build/bench-floor]
"""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import exports
import texts

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DELVE_MOST = 100000  # goroutines; beyond that Delve takes minutes


class Swarm:
    """Parked goroutines in a process of our own; ends with the with statement."""

    def __init__(self, binary, count, *options):
        self.count = count
        self.process = subprocess.Popen([binary, "-n", str(count), "-listen", LISTEN, *options],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            raise RuntimeError(f"the swarm said {ready}")
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def resident(self):
        """Resident bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


LISTEN = "127.0.0.1:46061"
LAUNCHER = os.path.join(ROOT, "build/bench-launch")
NEWEST = "go1.27.4"  # has the leak profile; a Go that cannot fetch it builds by itself


def run(command, codes=(0,), words=""):
    """Seconds of wall and of processor time, peak KiB and bytes of output of COMMAND, to which WORDS are said, and
    the end of its output; bench/launch.c measures."""
    done = subprocess.run([LAUNCHER, *command], input=words.encode(), stdout=subprocess.PIPE, check=True)
    line, tail = done.stdout.split(b"\n", 1)
    result = json.loads(line)
    if result["code"] not in codes:
        raise RuntimeError(f"{command} exited with {result['code']}")
    return {**result, "tail": tail}


def fetch(path):
    """Seconds and bytes of one request to the swarm's own pprof."""
    started = time.monotonic()
    with urllib.request.urlopen(f"http://{LISTEN}{path}", timeout=300) as answer:
        size = 0
        while chunk := answer.read(1 << 20):
            size += len(chunk)
    return {"wall": time.monotonic() - started, "cpu": None, "kib": None, "bytes": size, "tail": b""}


def readers(options, swarm):
    """Name and call of each reader of SWARM."""
    pid = str(swarm.pid)
    yield "unpark dump", lambda: run([options.unpark, "dump", pid])
    yield "unpark dump --format go", lambda: run([options.unpark, "dump", pid, "--format", "go"])
    yield "unpark leaks --freeze always", lambda: run(
        [options.unpark, "leaks", pid, "--freeze", "always", "--max-stop", "0", "--json"], (0, 1, 5))
    yield "pprof debug=2 (in process)", lambda: fetch("/debug/pprof/goroutine?debug=2")
    yield "goroutineleak (in process)", lambda: fetch("/debug/pprof/goroutineleak?debug=1")
    if shutil.which("dlv") and swarm.count <= DELVE_MOST:
        yield "dlv goroutines -t", lambda: run(["dlv", "attach", pid, "--allow-non-terminal-interactive=true"], (0, 1),
                                               "goroutines -t\nexit\nn\n")


def measure(options, swarm):
    """Measures every reader of SWARM in turn: the two floors, and a list of results by name."""
    calls = list(readers(options, swarm))
    results = {name: [] for name, _ in calls}
    floors = {1: [], os.cpu_count(): []}
    for _ in range(options.rounds):
        for threads, times in floors.items():
            floor = run([options.floor, str(swarm.pid), str(threads)])
            times.append(json.loads(floor["tail"])["floor_s"])
        for name, call in calls:
            if name.startswith("dlv") and results[name]:
                continue  # once is enough: it is slow and steady
            try:
                results[name].append(call())
            except (RuntimeError, OSError) as problem:
                print(f"<!-- {name}: {problem} -->")
    return [statistics.median(times) for times in (floors[1], floors[os.cpu_count()])], results


def report(swarm, floors, results):
    """Prints the rows of one swarm."""
    for readers_said, floor in zip(("one reader", "one reader per processor"), floors):
        print(f"| {swarm.count} | physical floor, {readers_said} | {floor:.3f} | | {floor / floors[0]:.1f} | "
              f"{floor / floors[1]:.1f} | | |")
    for name, runs in results.items():
        if not runs:
            continue
        wall = statistics.median(r["wall"] for r in runs)
        cpu = [r["cpu"] for r in runs if r["cpu"] is not None]
        kib = [r["kib"] for r in runs if r["kib"] is not None]
        stop = ""
        if name.startswith("unpark leaks"):
            stopped = [int(r["tail"].split(b'"stopped_ns":')[1].split(b",")[0]) for r in runs]
            per_gib = statistics.median(stopped) / 1e6 / (swarm.resident() / 2**30)
            stop = f"stopped {statistics.median(stopped) / 1e6:.0f} ms, {per_gib:.0f} ms per GiB resident"
        if name.startswith("pprof"):
            stop = "cut at 64 MiB" if runs[-1]["bytes"] >= 64 << 20 else ""
        print(f"| {swarm.count} | {name} | {wall:.3f} ({min(r['wall'] for r in runs):.3f} to "
              f"{max(r['wall'] for r in runs):.3f}) | {f'{statistics.median(cpu):.3f}' if cpu else ''} | {wall / floors[0]:.1f} | {wall / floors[1]:.1f} | "
              f"{f'{statistics.median(kib) * 1024 / swarm.count:.0f}' if kib else ''} | {stop} |", flush=True)


def summary_number(result, name):
    """The integer NAME of the summary at the end of leaks' JSON."""
    return int(result["tail"].split(f'"{name}":'.encode())[1].split(b",")[0].rstrip(b"}\n"))


def measure_leaks(options, binary):
    """Prints what finding leaks costs, outside and inside."""
    print("\n| leaked goroutines | MiB of objects | reader | wall s, median (min to max) | processor s | times in process | "
          "stopped ms | ms per GiB resident | peak memory, times what was copied |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in filter(None, options.heaps.split(",")):
        count, heap = row.split(":")
        with Swarm(binary, int(count), "-mode", "leaked", "-heap", heap) as swarm:
            command = [options.unpark, "leaks", str(swarm.pid), "--freeze", "always", "--max-stop", "0", "--json"]
            inside, outside = [], []
            for _ in range(options.rounds):
                try:
                    inside.append(fetch("/debug/pprof/goroutineleak?debug=1"))
                except OSError as problem:
                    print(f"<!-- goroutineleak (in process): {problem} -->")
                    inside.append({"wall": float("nan")})
                outside.append(run(command, (0, 1, 5)))
            proved = summary_number(outside[-1], "proved")
            within = statistics.median(r["wall"] for r in inside)
            print(f"| {count} | {heap} | goroutineleak (in process) | {within:.3f} ({min(r['wall'] for r in inside):.3f} to "
                  f"{max(r['wall'] for r in inside):.3f}) | | 1.0 | | | |")
            wall = [r["wall"] for r in outside]
            stopped = statistics.median(summary_number(r, "stopped_ns") for r in outside) / 1e6
            copied = statistics.median(summary_number(r, "copied_bytes") for r in outside)
            kib = statistics.median(r["kib"] for r in outside)
            print(f"| {count} | {heap} | unpark leaks --freeze always ({proved} proved) | {statistics.median(wall):.3f} "
                  f"({min(wall):.3f} to {max(wall):.3f}) | {statistics.median(r['cpu'] for r in outside):.3f} | "
                  f"{statistics.median(wall) / within:.1f} | {stopped:.0f} | {stopped / (swarm.resident() / 2**30):.0f} | "
                  f"{kib * 1024 / copied:.2f} |", flush=True)


def main():
    """Builds, parks, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="10000,100000,1000000")
    parser.add_argument("--heaps", default="100000:0,100000:4096,1000000:0")
    parser.add_argument("--exports", type=int, default=1000000, help="goroutines to export; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--unpark", default=os.path.join(ROOT, "build/unpark"))
    parser.add_argument("--floor", default=os.path.join(ROOT, "build/bench-floor"))
    options = parser.parse_args()
    version = subprocess.run(["go", "version"], capture_output=True, text=True, check=True,
                             env=dict({"GOTOOLCHAIN": NEWEST}, **os.environ)).stdout.split()[2]
    print(f"{platform.system()} {platform.release()}, {os.cpu_count()} processors, {version}, load average "
          f"{os.getloadavg()[0]:.1f} before the run; medians of {options.rounds} rounds.")
    for peer in ("dlv", "panicparse"):
        if not shutil.which(peer):
            print(f"{peer} is not installed and was skipped.")
    print("\n| goroutines | reader | wall s, median (min to max) | processor s | times the floor | times that of all "
          "processors | peak bytes a goroutine | |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        binary = os.path.join(work, "swarm")
        subprocess.run(["go", "build", "-o", binary, "./swarm"], check=True,
                       cwd=os.path.join(ROOT, "tests/fixtures"), env=dict({"GOTOOLCHAIN": NEWEST}, **os.environ, GOFLAGS="-mod=mod"))
        for count in (int(text) for text in filter(None, options.counts.split(","))):
            with Swarm(binary, count) as swarm:
                report(swarm, *measure(options, swarm))
        measure_leaks(options, binary)
        if options.exports:
            with Swarm(binary, options.exports) as swarm:
                exports.measure(options, run, swarm)
    texts.measure(options, run)
    print(f"\nload average {os.getloadavg()[0]:.1f} after the run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
