"""Which builds of a fixture tests run with, and how a test says that it wants them."""

import shutil
import struct

from conftest import toolchains

QUICK = ["default", "stripped"]
ALL = ["default", "stripped", "pie", "dynamic", "static-cgo", "noopt", "no-sections"]
NEWEST = ALL + ["pie-stripped", "trimpath", "race", "no-buildinfo-vcs"]


class Build:
    """One Go release and one way to build with it. .binary(fixture, scratch) is the program."""

    def __init__(self, toolchain, kind):
        self.toolchain = toolchain
        self.kind = kind

    def __repr__(self):
        return f"{self.toolchain}-{self.kind}"

    def binary(self, fixture, scratch):
        """The path of FIXTURE built so; SCRATCH is a folder for what is made of a build."""
        if self.kind != "no-sections":
            return self.toolchain.build(fixture, self.kind)
        path = scratch / fixture
        shutil.copy(self.toolchain.build(fixture, "stripped"), path)
        remove_section_headers(path)
        return path


def builds(which):
    """The builds of UNPARK_TOOLCHAINS=WHICH: every release in the usual ways, the newest in every way, and
    with the race detector the oldest, too, when all are asked for."""
    chosen = toolchains(which)
    kinds = ALL if which == "all" else QUICK
    made = [Build(toolchain, kind) for toolchain in chosen[:-1] for kind in kinds]
    if which == "all":
        made.append(Build(chosen[0], "race"))
    return made + [Build(chosen[-1], kind) for kind in NEWEST]


def remove_section_headers(path):
    """Cuts everything behind the last byte that a program header names off the ELF file at PATH, the section
    headers among it, as sstrip does."""
    data = bytearray(path.read_bytes())
    offset, = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    end = offset + size * count
    for index in range(count):
        start, = struct.unpack_from("<Q", data, offset + index * size + 8)
        length, = struct.unpack_from("<Q", data, offset + index * size + 32)
        end = max(end, start + length)
    struct.pack_into("<Q", data, 0x28, 0)
    struct.pack_into("<HHH", data, 0x3a, 0, 0, 0)
    path.write_bytes(data[:end])
