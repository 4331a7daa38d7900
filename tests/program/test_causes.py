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
WORKERS = 4
# Watches, and seconds between rounds meanwhile: longer ones only where a busy machine did not see enough in a short one.
WATCHES = [("2s", "400ms", 0.3), ("10s", "1s", 0.7), ("60s", "5s", 4)]

# The number of the cause that the catalogue names for a kernel of GoKer. Left out are those of database/sql, whose
# functions have other names in GoKer.
KERNELS = {
    "grpc660": 2, "grpc1424": 2, "moby21233": 3, "cockroach35073": 4, "cockroach25456": 4, "etcd6857": 11,
    "cockroach24808": 12, "cockroach2448": 13, "cockroach35931": 13, "kubernetes25331": 20, "cockroach10790": 21,
    "cockroach18101": 21, "moby33781": 21, "cockroach1055": 25, "cockroach1462": 25, "moby25384": 27,
    "cockroach9935": 28, "etcd10492": 28, "grpc3017": 28, "etcd5509": 29, "cockroach584": 29, "cockroach10214": 30,
    "cockroach7504": 30, "kubernetes13135": 30, "moby4951": 30, "cockroach3710": 31, "kubernetes58107": 31,
    "kubernetes62464": 31, "etcd6873": 32, "etcd7492": 32, "grpc1460": 32, "serving2137": 32, "moby27782": 34,
    "moby30408": 34, "kubernetes11298": 34}
KERNEL_TRIES = 5  # some get stuck by bad luck only


class Answer:
    """What was named for a cause: .rank of the true one (1 to 3, 0: not named), .causes, .verdict."""

    def __init__(self, cause, findings, function):
        self.cause = cause
        mine = [finding for finding in findings if function == "" or on_stack(finding, function)]
        mine.sort(key=lambda finding: -finding["count"])
        self.causes = [named["id"] for named in mine[0]["causes"]] if mine else []
        self.verdict = mine[0]["verdict"] if mine else "nothing"
        self.rank = self.causes.index(cause.id) + 1 if cause.id in self.causes else 0
        self.found = bool(mine)
        self.evident = all(named["evidence"] for finding in findings for named in finding["causes"])
        self.most = max((len(finding["causes"]) for finding in findings), default=0)

    def __repr__(self):
        return f"{self.cause.id} ({self.verdict}): {', '.join(self.causes) or 'nothing'}"


def on_stack(finding, function):
    """True when FUNCTION is part of a name on FINDING's stack."""
    return any(function in frame["function"] for frame in finding["stack"])


def look(program):
    """The findings of one look."""
    done = subprocess.run([UNPARK, "leaks", str(program.pid), "--json", "--max-stop", "0"], capture_output=True, text=True,
                          timeout=120, check=False)
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


def ask(binary, cause, scratch):
    """What is named for CAUSE."""
    with Program([binary, cause.id]) as program:
        function = program.words[1]
        answer = Answer(cause, look(program), function)
        for number, how in enumerate(WATCHES if not answer.found else []):
            answer = Answer(cause, watch(program, scratch / f"{cause.id}-{number}", *how), function)
            if answer.found:
                break
    return answer


def measure(binary_of, scratch):
    """The answers for all causes, by number; BINARY_OF gives the program for a cause."""
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda cause: ask(binary_of(cause), cause, scratch), LEAKS))


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
    answers = measure(binaries(toolchain), tmp_path)
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
            proved = [finding for finding in look(program) if finding["verdict"] == "proved"]
        if proved:
            break
    return proved


def test_kernels_of_others(newest, capsys, tmp_path):
    """GoKer, from Go's own tree: recognised by waits and objects alone, and with room for improvement."""
    if newest.minor < 27:
        pytest.skip("GoKer is in the tree of Go 1.27")
    _, binary = exam.build(str(newest.goroot), str(newest.goroot), "goker", str(tmp_path))
    by_number = {cause.number: cause for cause in CAUSES}
    cases = [case for case in exam.read_cases(str(newest.goroot)) if case.name.lower() in KERNELS]
    assert len(cases) >= 30
    largest, elsewhere = [], 0
    for case in cases:
        findings = run_kernel(binary, case)
        if findings:
            cause = by_number[KERNELS[case.name.lower()]]
            largest.append(Answer(cause, findings, ""))
            elsewhere += any(named["id"] == cause.id for finding in findings for named in finding["causes"])
    _, third = report(capsys, "GoKer, largest finding", largest)
    with capsys.disabled():
        print(f"causes, GoKer, any finding: among three {elsewhere} ({100 * elsewhere / len(largest):.0f} %)")
    assert third >= 0.4 * len(largest) and elsewhere >= 0.55 * len(largest)
