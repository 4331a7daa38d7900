"""What writing each export format takes: seconds and peak memory of unpark export for one live program."""
import statistics

# Format and options; what can be of groups and of single goroutines is measured as both.
FORMATS = (("go",), ("json",), ("json", "--each"), ("ndjson", "--each"), ("csv",), ("csv", "--each"), ("pprof",),
           ("pprof", "--each"), ("folded",), ("speedscope",), ("flamegraph",), ("html",), ("mermaid",), ("dot",))


def measure(options, run, swarm):
    """Prints a table of SWARM in each format; RUN is that of run.py."""
    print(f"\nExporting {swarm.count} goroutines of a process ({swarm.resident() >> 20} MiB resident):\n")
    print("| format | seconds (range) | processor s | MB written | peak MB |\n|---|---|---|---|---|")
    for words in FORMATS:
        command = [options.unpark, "export", str(swarm.pid), "--format", *words]
        runs = [run(command) for _ in range(options.rounds)]
        wall = [one["wall"] for one in runs]
        print(f"| {' '.join(words)} | {statistics.median(wall):.2f} ({min(wall):.2f} to {max(wall):.2f}) | "
              f"{statistics.median(one['cpu'] for one in runs):.2f} | {runs[-1]['bytes'] / 1e6:.1f} | "
              f"{max(one['kib'] for one in runs) * 1024 / 1e6:.0f} |", flush=True)
