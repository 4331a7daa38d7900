"""What the house checks share: finding files, cutting C into functions and declarations.

A check is a program `tools/check-NAME [ROOT]` that prints one line per violation
("path:line: what is wrong") and exits 1 when there was any.
"""

import os
import re
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Folders that hold no source of ours.
SKIPPED = {".git", ".cache", "__pycache__", ".pytest_cache", "node_modules"}


def root():
    """The tree to check: the argument, or the repository."""
    return os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY


def walk(top, folder="", endings=None):
    """Paths relative to TOP of the files below FOLDER with one of ENDINGS, sorted."""
    found = []
    for where, folders, names in os.walk(os.path.join(top, folder)):
        inside = os.path.relpath(where, top)
        folders[:] = sorted(
            f for f in folders
            if f not in SKIPPED and not (inside == "." and f.startswith("build")))
        for name in names:
            if endings is None or name.endswith(endings):
                found.append(os.path.normpath(os.path.join(inside, name)))
    return sorted(found)


def c_files(top, folders=("src", "tests/unit", "fuzz", "bench"), endings=(".c", ".h")):
    """The C files of the house."""
    return [path for folder in folders for path in walk(top, folder, endings)]


def read(top, path):
    """The text of a file; bytes that are not UTF-8 are replaced, checks do not die of them."""
    with open(os.path.join(top, path), encoding="utf-8", errors="replace") as file:
        return file.read()


_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def blank(text, strings=True):
    """TEXT with comments (and the insides of strings) replaced by spaces; lines stay."""
    def replace(match):
        token = match.group()
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[0] if strings else token
        return re.sub(r"[^\n]", " ", token)
    return _TOKEN.sub(replace, text)


_NAME = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
# What may stand before a parenthesis in front of the function's own name.
_NOT_NAMES = {"__attribute__", "PRINTF_LIKE", "CLEANUP", "VECTOR", "__typeof__", "_Static_assert",
              "alignas"}


def declared_name(declaration):
    """The name of the function that a declaration or definition head is about, or None."""
    for match in _NAME.finditer(declaration):
        if match.group(1) not in _NOT_NAMES:
            return match.group(1)
    return None


def functions(text):
    """The functions of a C file as (name, first line, lines of the body with its braces).

    A body begins with a brace in column 0 behind a head that ends with a parenthesis or an
    attribute, and ends with the next brace in column 0; clang-format holds that shape.
    """
    lines = blank(text).split("\n")
    found = []
    at = 0
    while at < len(lines):
        if lines[at].rstrip() != "{":
            at += 1
            continue
        head = at
        while head > 0 and lines[head - 1].strip() and lines[head - 1][0] not in "}#" \
                and not lines[head - 1].rstrip().endswith(";"):
            head -= 1
        end = at
        while end < len(lines) and not lines[end].startswith("}"):
            end += 1
        name = declared_name(" ".join(lines[head:at]))
        if name is not None:
            found.append((name, head + 1, end - at + 1))
        at = end + 1
    return found


def declarations(text):
    """The function declarations and inline definitions at the top level of a header, as
    (name, line)."""
    lines = blank(text).split("\n")
    found = []
    depth = 0
    start = None
    in_macro = False
    for number, line in enumerate(lines):
        macro = in_macro or line.lstrip().startswith("#")
        in_macro = macro and line.rstrip().endswith("\\")
        if macro or (not line.strip() and start is None):
            continue
        if start is None:
            start = number
        depth += line.count("{") - line.count("}")
        if depth > 0 or not line.rstrip().endswith((";", "}")):
            continue
        statement = " ".join(lines[start:number + 1]).strip()
        head = statement.split("{")[0]
        is_type = re.match(r"(typedef|struct|enum|union|extern \"C\")\b[^()]*$", head)
        if "(" in head and not is_type and not head.startswith(("typedef", "_Static_assert")) \
                and "=" not in head:
            found.append((declared_name(head), start + 1))
        start = None
        depth = 0
    return found


def finish(check, violations, seen):
    """Prints the violations and a summary, and exits."""
    for path, line, what in violations:
        print(f"{path}:{line}: {what}")
    if violations:
        print(f"FAIL {check}: {len(violations)} violations")
        sys.exit(1)
    print(f"ok   {check}: {seen}")
