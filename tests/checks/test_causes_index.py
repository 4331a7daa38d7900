"""Every cause of the catalogue has its page and every page its row; the index is made of the rows."""

import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(REPOSITORY, "tools", "causes-index")


def copy(tmp_path):
    """What the tool looks at, to be damaged."""
    (tmp_path / "tools").mkdir()
    for name in ("causes-index", "causes_source.py"):
        shutil.copy(os.path.join(REPOSITORY, "tools", name), tmp_path / "tools" / name)
    (tmp_path / "src/leak").mkdir(parents=True)
    shutil.copy(os.path.join(REPOSITORY, "src/leak/causes.def"), tmp_path / "src/leak")
    shutil.copytree(os.path.join(REPOSITORY, "docs/causes"), tmp_path / "docs/causes")
    return tmp_path


def check(tree):
    """The exit code and the output of the check in TREE."""
    done = subprocess.run([tree / "tools" / "causes-index", "--check"], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_pages_rows_and_index_agree():
    done = subprocess.run([TOOL, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ok   causes-index: 59 causes\n")


def test_what_disagrees_is_named(tmp_path):
    tree = copy(tmp_path)
    pages = tree / "docs/causes"
    (pages / "idle.md").unlink()
    (pages / "stray.md").write_text("# stray\n")
    page = pages / "empty-select.md"
    page.write_text(page.read_text().replace("\n## Fix\n\nWait for", "\n## Fix\n\nPray for"))
    definitions = tree / "src/leak/causes.def"
    definitions.write_text(definitions.read_text().replace("the channel was never made", "the channel is nil"))
    code, output = check(tree)
    assert code == 1
    for words in ("idle.md is missing", "stray.md has no row", "empty-select.md: the fix is not the row's",
                  "nil-channel.md: the title is not the row's", "README.md: run tools/causes-index"):
        assert words in output


def test_the_index_is_written(tmp_path):
    tree = copy(tmp_path)
    index = tree / "docs/causes/README.md"
    whole = index.read_text()
    assert whole.count("\n| 58 |") == 1
    index.write_text(whole.replace("\n| 58 |", "\n| 59 |"))
    subprocess.run([tree / "tools" / "causes-index"], check=True)
    assert index.read_text() == whole


def test_the_parser_reads_all_rows():
    loader = importlib.machinery.SourceFileLoader("causes_source", os.path.join(REPOSITORY, "tools/causes_source.py"))
    source = importlib.util.module_from_spec(importlib.util.spec_from_loader("causes_source", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(source)
    rows = source.causes()
    assert [row.number for row in rows] == list(range(1, 60))
    assert len({row.id for row in rows}) == 59
    assert all(row.title and row.waker and row.fix for row in rows)
