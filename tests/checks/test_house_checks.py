"""Every house check passes a clean tree and fails on each kind of violation that it is there for."""

import os
import subprocess

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

CLEAN = {
    "tools/rooms": "# comment\nbase\ntarget\nhttp dap\n",
    ".clang-format": None,  # the repository's own
    "src/base/thing.h": (
        "/* A thing. */\n"
        "#ifndef UNPARK_BASE_THING_H\n"
        "#define UNPARK_BASE_THING_H\n"
        "\n"
        "struct other {\n"
        "    int number; /* not a function (at all); */\n"
        "};\n"
        "\n"
        "/* What both do. */\n"
        "int thing_one(int number);\n"
        "int thing_two(const struct other *other, int number, int another_number, int third_number,\n"
        "              int fourth_number);\n"
        "\n"
        "/* Inline. */\n"
        "static inline int thing_inline(void)\n"
        "{\n"
        "    return 1;\n"
        "}\n"
        "\n"
        "#endif\n"),
    "src/base/thing.c": (
        '#include "base/thing.h"\n'
        "\n"
        "/* One. */\n"
        "int thing_one(int number)\n"
        "{\n"
        "    return number;\n"
        "}\n"
        "\n"
        "/* About a type of the room. */\n"
        "static int other_number(const struct other *other)\n"
        "{\n"
        "    return other->number;\n"
        "}\n"),
    "src/target/user.c": '#include "base/thing.h"\n#include <stdio.h>\n',
    "src/http/face.c": '#include "target/user.h"\n',
}


def long_function(lines):
    """A function with a body of LINES lines, its braces included, and a brace inside a string."""
    body = '    number += "}"[0];\n' * (lines - 2)
    return "\nint thing_long(int number)\n{\n" + body + "}\n"


# Check, file, text that is appended (or the whole text of a new file), what the output must say.
VIOLATIONS = [
    ("check-includes", "src/base/up.c", '#include "target/user.h"\n', "target is not below it"),
    ("check-includes", "src/base/up.c", '#  include "http/face.h"\n', "http is not below it"),
    ("check-includes", "src/dap/side.c", '#include "http/face.h"\n', "http is not below it"),
    ("check-includes", "src/target/near.c", '#include "user.h"\n', "not a path below src/"),
    ("check-includes", "src/target/dots.c", '#include "../base/thing.h"\n', "not a path below src/"),
    ("check-includes", "src/cellar/x.c", '#include "base/thing.h"\n', "not listed in tools/rooms"),
    ("check-sizes", "src/base/thing.c", long_function(81), "thing_long has 81 lines"),
    ("check-sizes", "src/base/long.h", "/* A. */\n" + "int x;\n" * 800, "file has 801 lines"),
    ("check-sizes", "tests/unit/test_long.c", "int x;\n" * 801, "file has 801 lines"),
    ("check-sizes", "tools/size-exemptions.txt", "src/base/thing.c\n", "exempt without a reason"),
    ("check-sizes", "tools/size-exemptions.txt", "src/base/gone.c it was long\n", "not exist"),
    ("check-format", "src/base/thing.c", "int   thing_three(void) ;\n", "is not formatted"),
    ("check-header-comments", "src/base/bare.h", "/* A. */\n\nint bare(void);\n",
     "bare has no comment"),
    ("check-header-comments", "src/base/bare.h",
     "/* A. */\n\n/* Apart. */\n\nstruct error *bare_create(int number,\n    int other);\n",
     "bare_create has no comment"),
    ("check-header-comments", "src/base/bare.h",
     "/* A. */\n\nstatic inline int bare(void)\n{\n    return 1;\n}\n", "bare has no comment"),
    ("check-header-comments", "src/base/bare.h", "int x;\n", "does not begin with a comment"),
    ("check-names", "src/base/thing.c", "\nint stranger(void)\n{\n    return 1;\n}\n", "stranger"),
    ("check-names", "src/base/thing.c", "\nstatic int thin(void)\n{\n    return 1;\n}\n", "thin "),
    ("check-names", "src/base/bare.h", "/* A. */\n\n/* B. */\nint strange(void);\n", "strange"),
    ("check-notes", "src/base/thing.c", "/* TO" + "DO: later */\n", "unfinished work"),
    ("check-notes", "docs/page.md", "FIX" + "ME\n", "unfinished work"),
    ("check-notes", "src/base/thing.c", "<" * 7 + " HEAD\n", "conflict marker"),
    ("check-notes", "src/base/thing.c", "int x; \n", "white space"),
    ("check-notes", "src/base/thing.c", "int x;", "no newline"),
    ("check-notes", "docs/page.md", "cd /home/" + "somebody\n", "path of one machine"),
]

CHECKS = sorted({violation[0] for violation in VIOLATIONS})


@pytest.fixture
def tree(tmp_path):
    """A small repository that breaks no rule."""
    for path, text in CLEAN.items():
        if text is None:
            with open(os.path.join(REPOSITORY, path), encoding="utf-8") as file:
                text = file.read()
        write(tmp_path, path, text)
    return tmp_path


def write(tree, path, text):
    """Appends TEXT to the file PATH of TREE."""
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    with open(tree / path, "a", encoding="utf-8") as file:
        file.write(text)


def run(check, tree):
    """The exit code and the output of a check."""
    result = subprocess.run([os.path.join(REPOSITORY, "tools", check), str(tree)],
                            capture_output=True, text=True, check=False)
    assert result.stderr == ""
    return result.returncode, result.stdout


def test_every_check_is_covered():
    present = [name for name in os.listdir(os.path.join(REPOSITORY, "tools"))
               if name.startswith("check-")]
    assert sorted(present) == CHECKS


@pytest.mark.parametrize("check", CHECKS)
def test_clean_tree_passes(check, tree):
    code, output = run(check, tree)
    assert code == 0, output
    assert output.startswith("ok ")


@pytest.mark.parametrize("check,path,text,expected", VIOLATIONS)
def test_violation_is_found(check, path, text, expected, tree):
    write(tree, path, text)
    code, output = run(check, tree)
    assert code == 1
    assert path in output
    assert expected in output
    assert f"FAIL {check}" in output


def test_size_exemption_holds(tree):
    write(tree, "src/base/thing.c", long_function(81))
    write(tree, "tools/size-exemptions.txt", "src/base/thing.c:thing_long one table, no logic\n")
    code, output = run("check-sizes", tree)
    assert code == 0, output


def test_largest_allowed_sizes_pass(tree):
    write(tree, "src/base/thing.c", long_function(80))
    write(tree, "src/base/long.h", "/* A. */\n" + "int x;\n" * 799)
    code, output = run("check-sizes", tree)
    assert code == 0, output


def test_format_fixes(tree):
    write(tree, "src/base/thing.c", "int   thing_three(void) ;\n")
    subprocess.run([os.path.join(REPOSITORY, "tools/check-format"), "--fix", str(tree)], check=True,
                   capture_output=True)
    code, output = run("check-format", tree)
    assert code == 0, output
