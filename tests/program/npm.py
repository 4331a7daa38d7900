"""Packages from npm that judge our output, kept in a cache folder; tests skip without npm or a registry."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "unpark" / "npm"


def npm_package(name, version):
    """The folder of the package NAME in exactly VERSION, installed once; its install scripts are not run."""
    folder = CACHE / f"{name.replace('/', '-')}-{version}"
    package = folder / "node_modules" / name
    if (package / "package.json").exists():
        return package
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    CACHE.mkdir(parents=True, exist_ok=True)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="installing-", dir=CACHE))
    try:
        done = subprocess.run(["npm", "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts",
                               "--prefix", str(scratch), f"{name}@{version}"], capture_output=True, text=True,
                              timeout=300)
        if done.returncode != 0:
            pytest.skip(f"npm cannot install {name}: {done.stderr.strip().splitlines()[-1:]}")
        try:
            scratch.rename(folder)
        except OSError:
            assert (package / "package.json").exists()  # another test run installed it first
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm does not come to an end with {name}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return package
