"""Go's traceback text taken apart, to compare what Unpark prints with what a program prints of itself."""

import difflib
import re

HEADER = re.compile(r"^goroutine (\d+)(?: gp=\S+ m=(?:nil|\d+ mp=\S+))? \[([^]]*)\]", re.M)


def goroutines(text, repeats=False):
    """The blocks of TEXT by goroutine id, as printed, without the blank lines around them. With REPEATS the
    first block of a goroutine counts: a crash prints those again that have a thread."""
    blocks = {}
    for block in re.split(r"\n{2,}", text.strip("\n") + "\n"):
        found = HEADER.match(block)
        if found:
            assert repeats or int(found[1]) not in blocks, f"goroutine {found[1]} twice"
            blocks.setdefault(int(found[1]), block.rstrip("\n"))
    return blocks


def status(block):
    """The status or wait reason in the header of BLOCK: "chan receive" of "[chan receive, 3 minutes]"."""
    return re.split(r", | \(leaked\)| \(scan\)| \(durable\)", HEADER.match(block)[2])[0]


def is_running(block):
    """True for a goroutine that ran when it was printed, so that its stack says nothing of another moment."""
    return status(block) in ("running", "runnable", "preempted")


def frames(block):
    """The frames of BLOCK, outermost last, as (function, "file:line"); the creator is the last one, its
    function with "created by " before it. Arguments, pc offsets and the creator's goroutine are left out."""
    lines = block.split("\n")[1:]
    found = []
    for line, place in zip(lines, lines[1:]):
        if line.startswith("\t") or not place.startswith("\t"):
            continue
        if line.startswith("created by "):
            function = re.sub(r" in goroutine \d+$", "", line)
        else:
            function = re.sub(r"\((?:[^()]|\([^()]*\))*\)$", "", line)
        found.append((function, re.match(r"\t(.*:\d+)", place)[1]))
    return found


def differences(want, got, leave_out=lambda block: False):
    """The goroutines whose blocks differ between two dicts of goroutines(), as one text; empty when none
    does. Blocks of WANT for which LEAVE_OUT holds are not compared."""
    texts = []
    for number in sorted(want.keys() | got.keys()):
        ours, theirs = got.get(number), want.get(number)
        if ours == theirs or (theirs is not None and leave_out(theirs)):
            continue
        lines = difflib.unified_diff((theirs or "").split("\n"), (ours or "").split("\n"), "Go", "Unpark",
                                     lineterm="", n=1)
        texts.append("\n".join(lines))
    return "\n\n".join(texts)


def full_stacks(data):
    """The stacks of the JSON object of `dump --each` in the form of frames(), with all the frames that a crash
    shows, the runtime's own and the wrappers that the compiler made."""
    stacks = {}
    for goroutine in data["goroutines"]:
        found = [(frame["function"], f"{frame['file']}:{frame['line']}") for frame in goroutine["stack"] or []]
        if goroutine["creator"]:
            creator = goroutine["creator"]
            found.append((f"created by {creator['function']}", f"{creator['file']}:{creator['line']}"))
        stacks[goroutine["id"]] = found
    return stacks


def is_stack(block, stack):
    """True when STACK, one of full_stacks(), is that of BLOCK, in whose middle a traceback may have left out
    frames, with or without saying how many."""
    parts = re.split(r"^\.\.\.(additional|\d+) frames elided\.\.\.$", block, flags=re.M)
    if len(parts) == 1:
        return stack == frames(block)
    head, tail = frames(parts[0]), frames("\n" + parts[2].lstrip("\n"))
    if parts[1] != "additional" and len(stack) != len(head) + int(parts[1]) + len(tail):
        return False
    return len(stack) > len(head) + len(tail) and stack[:len(head)] == head and stack[-len(tail):] == tail
