"""How often the causes that unpark names are right: every cause of the catalogue that can be built without the network is
made to happen (tests/fixtures/causes), and the finding's causes are held against the one that is true. Prints the figures.

The fixture is stripped. What can be proved is looked at once, the rest watched while it grows. Of several findings
with the stuck function on the stack, the largest counts. GoKer's blocking kernels, which nobody here wrote, are measured
beside them.
"""

import concurrent.futures
import json
import os
import subprocess
import sys

import pytest

from conftest import ROOT, UNPARK, Program

sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests")]
import causes_source  # noqa: E402
import exam  # noqa: E402

CAUSES = causes_source.causes()
BENIGN = [cause for cause in CAUSES if cause.proof == "BENIGN"]
LEAKS = [cause for cause in CAUSES if cause.proof != "BENIGN"]
SINCE = {"iterator-not-stopped": 23}  # causes that older releases do not know
WORKERS = 4
# Watches, and seconds between rounds meanwhile: longer ones only where a busy machine did not see enough in a short one.
WATCHES = [("2s", "400ms", 0.3), ("10s", "1s", 0.7), ("60s", "5s", 4)]

# What GoKer's kernels get stuck of: numbers of causes, any of which is right, read off the source of each kernel, before
# the signatures were made to know them. Where the catalogue of causes names another number for the defect that a kernel
# was distilled from, or names none, or two are right, the reason stands beside it.
KERNELS = {
    "cockroach1055": ([25, 27], "catalogue: 25; and the kernel calls Done for the group nowhere"),
    "cockroach10214": ([30], ""),
    "cockroach10790": ([4], "catalogue: 21, of senders; those stuck receive, and their sender returned without closing"),
    "cockroach13197": ([20], "a context of a transaction; the functions of database/sql have other names here"),
    "cockroach13755": ([20], "a context of rows; the functions of database/sql have other names here"),
    "cockroach1462": ([21, 11], "catalogue: 25; Stop does not hold its lock in Wait, the reader of a worker was stopped"),
    "cockroach16167": ([31], "the condition's locker is the read lock"),
    "cockroach18101": ([21], ""),
    "cockroach2448": ([13], ""),
    "cockroach24808": ([12], ""),
    "cockroach25456": ([4], ""),
    "cockroach35073": ([11], "catalogue: 4, of producers; those stuck send, and the loop that read has ended"),
    "cockroach35931": ([12], "catalogue: 13; there is one goroutine, which fills a buffer that nobody reads"),
    "cockroach3710": ([31], ""),
    "cockroach584": ([29], ""),
    "cockroach6181": ([31], "String read-locks again"),
    "cockroach7504": ([30], ""),
    "cockroach9935": ([28], ""),
    "etcd10492": ([28], ""),
    "etcd5509": ([29], ""),
    "etcd6708": ([28], "locked for writing, then for reading"),
    "etcd6857": ([11], ""),
    "etcd6873": ([32], ""),
    "etcd7492": ([32], ""),
    "etcd7902": ([32], "release receives inside the lock"),
    "grpc1275": ([4], "the stream is closed without a word to its reader"),
    "grpc1424": ([4], "catalogue: 2, of senders; the one stuck receives, and its partner returned without closing"),
    "grpc1460": ([32], ""),
    "grpc3017": ([29], "catalogue: 28; a callback returns without unlocking, as a comment in the kernel says"),
    "grpc660": ([1, 21], "catalogue: 2; each channel has one sender, whose caller was stopped"),
    "grpc795": ([28], "locked twice in one function"),
    "grpc862": ([20], ""),
    "hugo3251": ([30], "the lock of the map and the lock of its entry"),
    "hugo5379": ([28, 30], "locks twice in one goroutine, or a mutex and a Once against each other in two"),
    "istio16224": ([32], "main holds the lock that the handler needs"),
    "istio17860": ([21, 11], "the agent's loop ends with its context, or with its last epoch"),
    "istio18454": ([17, 21], "the drain after Stop; and the sender that its loop leaves behind"),
    "kubernetes10182": ([32], ""),
    "kubernetes11298": ([34], ""),
    "kubernetes13135": ([30], ""),
    "kubernetes25331": ([21, 9], "catalogue: 20; the context is cancelled, and that is why nobody receives"),
    "kubernetes26980": ([32], "pop waits for stopCh inside the lock"),
    "kubernetes30872": ([30], ""),
    "kubernetes38669": ([9], ""),
    "kubernetes5316": ([1], ""),
    "kubernetes58107": ([34, 31], "catalogue: 31; the condition is signalled for the last time before its waiter waits"),
    "kubernetes62464": ([31], ""),
    "kubernetes6632": ([32], ""),
    "kubernetes70277": ([4], "it waits for a channel that only itself would close, later"),
    "moby17176": ([29], ""),
    "moby21233": ([3, 11], "catalogue: 3; the consumer, a loop over the channel, returned"),
    "moby25348": ([27], "#25384, by its other name in Go's tree"),
    "moby27782": ([34], ""),
    "moby28462": ([32], ""),
    "moby30408": ([34], ""),
    "moby33781": ([1, 21], "catalogue: 21; each channel has one sender, whose caller was stopped"),
    "moby36114": ([28], ""),
    "moby4951": ([30], ""),
    "moby7559": ([29], ""),
    "serving2137": ([32], ""),
    "syncthing4829": ([28], "locked for writing, then for reading"),
    "syncthing5795": ([4], "it waits for a channel that only itself would close, later")}
KERNEL_TRIES = 5  # some get stuck by bad luck only
STARTS = 4


class Answer:
    """What was named for a cause: .rank of the true one (1 to 3, 0: not named), .causes, .verdict. ALSO: others as right."""

    def __init__(self, cause, findings, function, also=(), name=""):
        self.cause, self.name = cause, name
        right = [cause.id] + [other.id for other in also]
        mine = [finding for finding in findings if function == "" or on_stack(finding, function)]
        mine.sort(key=lambda finding: -finding["count"])
        self.causes = [named["id"] for named in mine[0]["causes"]] if mine else []
        self.verdict = mine[0]["verdict"] if mine else "nothing"
        self.rank = next((rank for rank, named in enumerate(self.causes, 1) if named in right), 0)
        self.elsewhere = any(named["id"] in right for finding in findings for named in finding["causes"])
        self.found = bool(mine)
        self.evident = all(named["evidence"] for finding in findings for named in finding["causes"])
        self.most = max((len(finding["causes"]) for finding in findings), default=0)

    def __repr__(self):
        return f"{self.name + ': ' if self.name else ''}{self.cause.id} ({self.verdict}): {', '.join(self.causes) or 'nothing'}"


def on_stack(finding, function):
    """True when FUNCTION is part of a name on FINDING's stack."""
    return any(function in frame["function"] for frame in finding["stack"])


def look(program, ends=False):
    """The findings of one look; none when the program has ended, which ENDS allows."""
    done = subprocess.run([UNPARK, "leaks", str(program.pid), "--json", "--max-stop", "0"], capture_output=True, text=True,
                          timeout=300, check=False)
    if ends and done.returncode == 3:
        return []
    assert done.returncode in (0, 1, 5), done.stderr
    return json.loads(done.stdout)["findings"]


def watch(program, result, duration, every, pause):
    """The findings of a watch during which the program does a round each PAUSE seconds; RESULT is a path for them."""
    command = [UNPARK, "leaks", str(program.pid), "--json", "--max-stop", "0", "--watch", duration, "--every", every,
               "--quiet", "--output", result]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        while process.poll() is None:
            program.process.stdin.write(b"more\n")
            program.process.stdin.flush()
            assert program.read_line().startswith("grown")
            try:
                process.wait(pause)
            except subprocess.TimeoutExpired:
                pass
    assert process.returncode in (0, 1, 5)
    return json.loads(result.read_text())["findings"]


def begin(binary, cause):
    """The program of CAUSE, stuck; one in which it did not come to that, as the race may have it, is begun anew."""
    for _ in range(STARTS - 1):
        try:
            return Program([binary, cause.id])
        except AssertionError as problem:
            print(f"{cause}: {problem}")
    return Program([binary, cause.id])


def ask(binary, cause, scratch):
    """What is named for CAUSE."""
    with begin(binary, cause) as program:
        function = program.words[1]
        answer = Answer(cause, look(program), function)
        for number, how in enumerate(WATCHES if not answer.found else []):
            answer = Answer(cause, watch(program, scratch / f"{cause.id}-{number}", *how), function)
            if answer.found:
                break
    return answer


def measure(causes, binary_of, scratch):
    """The answers for CAUSES, by number; BINARY_OF gives the program for a cause."""
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda cause: ask(binary_of(cause), cause, scratch), causes))


def report(capsys, name, answers):
    """Prints the figures for NAME and what was missed; returns them."""
    first = sum(answer.rank == 1 for answer in answers)
    third = sum(answer.rank > 0 for answer in answers)
    with capsys.disabled():
        print(f"\ncauses, {name}: {len(answers)} measured, right at first {first} ({100 * first / len(answers):.0f} %), "
              f"among three {third} ({100 * third / len(answers):.0f} %)")
        for answer in answers:
            if answer.rank != 1:
                print(f"  {'among three' if answer.rank else 'MISSED'}: {answer}")
    return first, third


def binaries(toolchain, folder="causes"):
    """A function that gives the program for a cause: one that calls C is needed for one of them only."""
    plain = toolchain.build(folder, "stripped")
    with_c = toolchain.build(folder, "stripped", env={"CGO_ENABLED": "1"})
    return lambda cause: with_c if cause.id == "cgo-call" else plain


def test_causes_are_named(toolchain, capsys, tmp_path):
    causes = [cause for cause in LEAKS if toolchain.minor >= SINCE.get(cause.id, 0)]
    answers = measure(causes, binaries(toolchain), tmp_path)
    _, third = report(capsys, toolchain.name, answers)
    assert len(answers) >= 40
    assert third >= 0.9 * len(answers)
    assert all(answer.evident for answer in answers), "a cause without evidence"
    assert all(answer.most <= 3 for answer in answers)


@pytest.mark.parametrize("cause", BENIGN, ids=repr)
def test_what_is_benign_is_not_reported(newest, tmp_path, cause):
    with Program([newest.build("causes", "stripped"), cause.id]) as program:
        assert look(program) == []
        assert watch(program, tmp_path / "watched", *WATCHES[0]) == []


def test_a_healthy_server_has_no_causes(newest, tmp_path, unpark):
    with Program([newest.build("server", "stripped")]) as program:
        answer = unpark("leaks", program.words[1], "--json", "--watch", "2s", "--every", "400ms").json()
        assert answer["findings"] == []


def run_kernel(binary, case):
    """The findings that are proved when GoKer's kernel CASE asks for its profile; empty when it did not get stuck."""
    env = dict(os.environ, GODEBUG="asyncpreemptoff=1")
    if not case.flaky:
        env["GOMAXPROCS"] = "1"
    for _ in range(KERNEL_TRIES):
        with Program([binary, case.name], env=env, stderr=subprocess.DEVNULL) as program:
            proved = [finding for finding in look(program, ends=True) if finding["verdict"] == "proved"]
        if proved:
            break
    return proved


def ask_kernel(binary, case):
    """What is named for GoKer's kernel CASE, None when it did not get stuck."""
    by_number = {cause.number: cause for cause in CAUSES}
    findings = run_kernel(binary, case)
    right = [by_number[number] for number in KERNELS[case.name.lower()][0]]
    return Answer(right[0], findings, "", right[1:], case.name) if findings else None


def test_kernels_of_others(toolchain, newest, capsys, tmp_path):
    """GoKer, from Go's own tree: recognised by waits, objects and who else is stuck."""
    if newest.minor < 27:
        pytest.skip("GoKer is in the tree of Go 1.27")
    _, binary = exam.build(str(toolchain.goroot), str(newest.goroot), "goker", str(tmp_path))
    cases = [case for case in exam.read_cases(str(newest.goroot)) if case.folder == "goker"]
    assert {case.name.lower() for case in cases} == set(KERNELS)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        answers = [answer for answer in pool.map(lambda case: ask_kernel(binary, case), cases) if answer]
    _, third = report(capsys, f"{toolchain.name}, GoKer, largest finding", answers)
    elsewhere = sum(answer.elsewhere for answer in answers)
    with capsys.disabled():
        print(f"causes, {toolchain.name}, GoKer, any finding: among three {elsewhere} "
              f"({100 * elsewhere / len(answers):.0f} %)")
    assert len(answers) >= 50
    assert third >= 0.85 * len(answers)
