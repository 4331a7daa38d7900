"""Programs that other people wrote, built in other ways than ours: found where they are installed, otherwise
fetched once into a cache folder, without being installed: from Debian's archive, by go install, by npm.

A program that cannot be had (no network, no package lists) skips the test, with the reason."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from conftest import CACHE, toolchains

PROGRAMS = CACHE.parent / "programs"

DEBIAN = {"etcd": "etcd-server", "prometheus": "prometheus", "syncthing": "syncthing", "caddy": "caddy"}
GO = {"dlv": "github.com/go-delve/delve/cmd/dlv@v1.27.2", "gops": "github.com/google/gops@v0.3.14"}
NPM = {"esbuild": "@esbuild/linux-x64@0.28.2"}


def run(command, folder, **env):
    """Runs COMMAND in FOLDER; skips the test when it fails."""
    try:
        done = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True,
                              timeout=600)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"cannot fetch it: {error}")
    if done.returncode != 0:
        pytest.skip(f"cannot fetch it: {' '.join(map(str, command))}: {done.stderr.strip()[-200:]}")


def fetch_debian(name, folder):
    """Unpacks the package of program NAME in FOLDER; the path of the program in it."""
    run(["apt-get", "download", DEBIAN[name]], folder)
    for package in folder.glob("*.deb"):
        run(["dpkg-deb", "-x", package, folder], folder)
        package.unlink()
    return f"usr/bin/{name}"


def fetch_go(name, folder):
    """Builds program NAME in FOLDER with the newest toolchain at hand."""
    toolchain = toolchains()[-1]
    run([toolchain.go, "install", GO[name]], folder, GOBIN=str(folder), GOROOT=str(toolchain.goroot),
        GOTOOLCHAIN="local", GOFLAGS="-mod=mod", GOWORK="off", CGO_ENABLED="0")
    return name


def fetch_npm(name, folder):
    """Unpacks the npm package of program NAME in FOLDER."""
    run(["npm", "pack", "--silent", NPM[name]], folder)
    for package in folder.glob("*.tgz"):
        run(["tar", "-xzf", package], folder)
        package.unlink()
    return f"package/bin/{name}"


def find(name):
    """The path of program NAME."""
    if name in DEBIAN and (path := shutil.which(name)):
        return pathlib.Path(path)
    fetch, what = next((fetch, names[name]) for fetch, names in
                       ((fetch_debian, DEBIAN), (fetch_go, GO), (fetch_npm, NPM)) if name in names)
    place = PROGRAMS / what.rsplit("/", 1)[-1]
    if not place.exists():
        if name in GO and os.environ.get("UNPARK_TOOLCHAINS", "quick") == "quick":
            pytest.skip("building it takes minutes: left to a full run")
        PROGRAMS.mkdir(parents=True, exist_ok=True)
        scratch = pathlib.Path(tempfile.mkdtemp(prefix="fetching-", dir=PROGRAMS))
        try:
            path = fetch(name, scratch)
            (scratch / "program").symlink_to(path)
            scratch.rename(place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return (place / "program").resolve()
