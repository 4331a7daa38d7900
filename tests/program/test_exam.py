"""A part of the runtime's own exam (tests/exam.py, `make exam` for all of it), and the comparison with the in-process
leak profile, goroutine by goroutine, on each Go release. The programs come with Go 1.27."""

import pathlib
import sys

import pytest
from conftest import UNPARK, toolchains

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import exam  # noqa: E402

# Of each kind of wait one, of each family of kernels one, and those without a leak.
CASES = ["NilRecv", "SelectNoCases", "SelectNoCasesMain", "ChanSend", "Select", "WaitGroup", "MutexHeap", "Cond",
         "RWMutexLock", "Mixed", "NoLeakGlobal", "DaisyChain", "SpawnGC", "Cockroach13755", "Etcd10492", "Grpc862",
         "Hugo3251", "Istio16224", "Kubernetes5316", "Moby30408", "Serving2137", "Syncthing4829"]
REPEAT = 2


@pytest.fixture(scope="module")
def cases():
    """The chosen cases of Go's test driver."""
    newest = toolchains()[-1]
    if newest.minor < 27:
        pytest.skip("the exam comes with Go 1.27")
    found = [case for case in exam.read_cases(newest.goroot) if case.name in CASES]
    assert len(found) == len(CASES)
    return found


def build(toolchain, cases, folder, shim):
    """The binaries of CASES by their folder."""
    tree = toolchains()[-1].goroot
    return {kind: exam.build(str(toolchain.goroot), tree, kind, str(folder), shim)[1]
            for kind in {case.folder for case in cases}}


def test_exam(toolchain, cases, tmp_path):
    binaries = build(toolchain, cases, tmp_path, exam.SHIM)
    complaints = {case.name: exam.judge(str(UNPARK), binaries[case.folder], case, REPEAT)[0] for case in cases}
    assert {name: words for name, words in complaints.items() if words} == {}


def test_profile(toolchain, cases, tmp_path):
    """Every goroutine that the in-process profile calls leaked is proved from outside, by its id."""
    if toolchain.minor < 26:
        pytest.skip("this release has no leak profile")
    binaries = build(toolchain, cases, tmp_path, exam.PROFILE_SHIM)
    compared = 0
    for case in cases:
        complaints, count = exam.compare(str(UNPARK), binaries[case.folder], case)
        assert complaints == [], case.name
        compared += count
    assert compared > 100
