"""Speed of reading goroutine dumps as files: Unpark beside panicparse, over texts that are made here."""
import os
import random
import shutil
import statistics
import tempfile

GOROUTINES = 100000
STATES = ("chan receive", "chan send", "select", "sync.Mutex.Lock", "IO wait")
SHAPES = 40  # distinct stacks


def goroutine(number, depth, dice):
    """One goroutine with DEPTH frames of the program itself, as Go 1.21 and later print it."""
    shape = dice.randrange(SHAPES)
    address = 0xc000000000 + dice.randrange(1 << 28) * 16
    minutes = dice.choice(("", "", ", 3 minutes", ", 47 minutes"))
    lines = [f"goroutine {number} [{STATES[shape % len(STATES)]}{minutes}]:",
             f"main.wait{shape}(0x{address:x}, 0x{shape:x})", f"\t/home/user/src/app/wait.go:{50 + shape} +0x5d"]
    for level in range(depth):
        lines += [f"main.(*Server).handle(0x{address + 64:x}, {{0x{address + 128:x}, 0x{level:x}}})",
                  f"\t/home/user/src/app/server.go:{400 + level} +0x{47 + level:x}"]
    lines += ["created by main.(*Server).serve in goroutine 1", "\t/home/user/src/app/server.go:77 +0x12b", "", ""]
    return "\n".join(lines)


def write(path, depth):
    """Writes a dump to PATH."""
    dice = random.Random(1)
    with open(path, "w", encoding="ascii") as file:
        file.write("goroutine 1 [running]:\nmain.main()\n\t/home/user/src/app/main.go:12 +0x1d\n\n")
        for number in range(GOROUTINES):
            file.write(goroutine(number + 10, depth, dice))


def measure(options, run):
    """Prints a table; RUN is that of run.py."""
    print(f"\nReading a dump of {GOROUTINES} goroutines from a file:\n")
    print("| MB | reader | seconds (range) | processor s | MB/s | peak MB |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="unpark-bench-") as folder:
        for depth in (1, 4):
            path = os.path.join(folder, f"dump{depth}.txt")
            write(path, depth)
            megabytes = os.path.getsize(path) / 1e6
            readers = {"unpark dump FILE": [options.unpark, "dump", path],
                       "unpark dump FILE --limit 1": [options.unpark, "dump", path, "--limit", "1"]}
            if shutil.which("panicparse"):
                readers["panicparse FILE"] = ["panicparse", "-no-color", path]
            results = {name: [] for name in readers}
            for _ in range(options.rounds):
                for name, command in readers.items():
                    results[name].append(run(command, (0,)))
            for name, runs in results.items():
                wall = [one["wall"] for one in runs]
                cpu = statistics.median(one["cpu"] for one in runs)
                peak = statistics.median(one["kib"] for one in runs) * 1024 / 1e6
                print(f"| {megabytes:.0f} | {name} | {statistics.median(wall):.3f} ({min(wall):.3f} to {max(wall):.3f}) | "
                      f"{cpu:.3f} | {megabytes / cpu:.0f} | {peak:.0f} |", flush=True)
