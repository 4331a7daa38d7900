"""Programs from the world agree with what they say of themselves, live and as cores: the same goroutines with the
same stacks, as far as they did not move meanwhile, and the version that they were built with."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
import urllib.request

import programs
import pytest
from conftest import run_unpark, toolchains
from go_text import full_stacks, goroutines, is_running, is_stack


def free_port():
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def etcd(folder):
    client, peer = free_port(), free_port()
    words = ["--data-dir", folder / "data", "--enable-pprof", "--logger", "zap",
             "--listen-client-urls", f"http://127.0.0.1:{client}",
             "--advertise-client-urls", f"http://127.0.0.1:{client}",
             "--listen-peer-urls", f"http://127.0.0.1:{peer}",
             "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
             "--initial-cluster", f"default=http://127.0.0.1:{peer}"]
    return words, client, client


def prometheus(folder):
    port = free_port()
    (folder / "config").write_text("scrape_configs:\n- job_name: self\n  scrape_interval: 1s\n  static_configs:\n"
                                   f"  - targets: ['127.0.0.1:{port}']\n")
    words = [f"--config.file={folder}/config", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}"]
    return words, port, port


def syncthing(folder):
    gui, listen, profiler = free_port(), free_port(), free_port()
    program = programs.find("syncthing")
    subprocess.run([program, "generate", f"--home={folder}", "--no-default-folder", "--skip-port-probing"],
                   check=True, capture_output=True, env={**os.environ, "HOME": str(folder)})
    text = (folder / "config.xml").read_text()
    for name, value in {"listenAddress": f"tcp://127.0.0.1:{listen}", "globalAnnounceEnabled": "false",
                        "localAnnounceEnabled": "false", "relaysEnabled": "false", "natEnabled": "false",
                        "crashReportingEnabled": "false", "urAccepted": "-1"}.items():
        text, count = re.subn(rf"<{name}>[^<]*</{name}>", f"<{name}>{value}</{name}>", text)
        assert count, name
    (folder / "config.xml").write_text(text)
    words = ["serve", "--no-browser", "--no-upgrade", f"--home={folder}",
             f"--gui-address=http://127.0.0.1:{gui}"]
    return words, gui, profiler


def caddy(folder):
    admin, port = free_port(), free_port()
    server = {"listen": [f"127.0.0.1:{port}"], "automatic_https": {"disable": True},
              "routes": [{"handle": [{"handler": "static_response", "body": "ok"}]}]}
    (folder / "config").write_text(json.dumps({"admin": {"listen": f"127.0.0.1:{admin}"},
                                               "apps": {"http": {"servers": {"only": server}}}}))
    return ["run", "--config", folder / "config"], port, admin


def dlv(_folder):
    return ["dap", "--listen=127.0.0.1:0"], None, None


def esbuild(folder):
    # not asked whether it listens, for it would serve the connection that asks: QUIET tells
    return [f"--serve=127.0.0.1:{free_port()}", f"--servedir={folder}"], None, None


SERVERS = {"etcd": etcd, "prometheus": prometheus, "syncthing": syncthing, "caddy": caddy, "dlv": dlv,
           "esbuild": esbuild}


class Running:
    """A program that runs, by NAME. A context manager. .pid, .text(), .crash()."""

    def __init__(self, name, folder):
        self.path, self.folder, self.name = programs.find(name), folder, name
        self.listener = None
        if name == "gops":
            # it asks an agent, which does not answer
            self.listener = socket.create_server(("127.0.0.1", 0))
            words, port, self.profiler = ["stack", f"127.0.0.1:{self.listener.getsockname()[1]}"], None, None
        else:
            words, port, self.profiler = SERVERS[name](folder)
        env = {**os.environ, "GOTRACEBACK": "crash", "HOME": str(folder), "XDG_CONFIG_HOME": str(folder),
               "XDG_DATA_HOME": str(folder), "STPROFILER": f"127.0.0.1:{self.profiler}", "STNOUPGRADE": "1", "STMONITORED": "yes"}
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen([self.path, *map(str, words)], cwd=folder, env=env,
                                        stdin=subprocess.PIPE, stdout=self.log, stderr=self.log,
                                        preexec_fn=self._allow_cores)
        self.pid = self.process.pid
        try:
            self._await(port)
        except BaseException:
            self.__exit__()
            raise

    @staticmethod
    def _allow_cores():
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    def _await(self, port):
        if self.listener:
            self.listener.settimeout(30)
            self.connection, _ = self.listener.accept()
            return
        self._poll(lambda: all(map(self._listens, filter(None, (port, self.profiler)))))
        self._poll(lambda: self.count() >= RESTING[self.name])
        if self.name in QUIET:
            self._poll(lambda: self.waits() in QUIET[self.name])

    def _poll(self, ready):
        deadline = time.monotonic() + 120
        while not ready():
            assert self.process.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    @staticmethod
    def _listens(port):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            return False
        return True

    def count(self):
        """How many goroutines it has; 0 when there is no runtime yet."""
        result = run_unpark("dump", self.pid, "--json")
        return result.json()["summary"]["goroutines"] if result.code == 0 else 0

    def waits(self):
        """What its goroutines wait for, or else their status, sorted; none when it moved while it was read."""
        result = run_unpark("dump", self.pid, "--json", "--each")
        found = result.json()["goroutines"] if result.code == 0 else []
        return sorted(goroutine["wait_reason"] or goroutine["status"] for goroutine in found)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self.log.close()
        if self.listener:
            self.listener.close()

    def said(self):
        return (self.folder / "log").read_text(errors="surrogateescape")

    def text(self):
        """What its own pprof says of its goroutines."""
        url = f"http://127.0.0.1:{self.profiler}/debug/pprof/goroutine?debug=2"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as answer:
            return answer.read().decode(errors="surrogateescape")

    def crash(self):
        """Its core and its last words; skips where the kernel writes no core into the current folder."""
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
            if (pattern := file.read().strip()) != "core":
                pytest.skip(f"the kernel writes cores to {pattern}")
        self.process.send_signal(signal.SIGABRT)
        assert self.process.wait(60) == -signal.SIGABRT, self.said()
        cores = list(self.folder.glob("core*"))
        if not cores:
            pytest.skip("no core was written")
        return cores[0], self.said()


def without_time(blocks):
    """BLOCKS of goroutines() without how long each has waited."""
    return {number: re.sub(r", \d+ minutes", "", block, count=1) for number, block in blocks.items()}


def compare_profile(running):
    """Between two looks of its own, what had not moved is what Unpark says; how many goroutines these are. On a
    busy machine something may move there and back, hence some tries."""
    for _ in range(8):
        before = without_time(goroutines(running.text()))
        result = run_unpark("dump", running.pid, "--format", "go")
        after = without_time(goroutines(running.text()))
        if result.code == 5:
            continue  # one moved each time that it was read
        assert result.code == 0, result
        ours = without_time(goroutines(result.out))
        still = {number for number in before.keys() & after.keys()
                 if before[number] == after[number] and not is_running(before[number])}
        wrong = {number for number in still if ours.get(number) != before[number]}
        if not wrong:
            return len(still)
    assert result.code == 0, result
    return pytest.fail("\n\n".join(f"{before[number]}\n--- Unpark\n{ours.get(number)}" for number in wrong))


def compare_words(stacks, text):
    """The goroutines that were parked when the program printed TEXT and that are not as in STACKS, and how many
    were."""
    parked = {number: block for number, block in goroutines(text, repeats=True).items()
              if number > 0 and not is_running(block)}
    return {number: block for number, block in parked.items()
            if not is_stack(block, stacks.get(number, []))}, len(parked)


def every_stack(target, *words):
    for _ in range(8):
        result = run_unpark("dump", target, "--json", "--each", "--all", *words)
        if result.code != 5:
            break
    assert result.code == 0, result
    return full_stacks(result.json())


# How many goroutines at least rest in each when it does nothing.
RESTING = {"etcd": 25, "prometheus": 20, "syncthing": 30, "caddy": 6, "dlv": 3, "gops": 1, "esbuild": 3}

# What those wait for that have begun and do nothing any more: before that, some sleep for a while. The second
# form of dlv has the goroutine that awaits its child for telemetry.
QUIET = {"dlv": [["IO wait", "select", "syscall"], ["IO wait", "select", "syscall", "syscall"]],
         "gops": [["IO wait"]], "esbuild": [["IO wait", "chan receive", "syscall"]]}


@pytest.mark.parametrize("name", RESTING)
def test_program(name, tmp_path):
    with Running(name, tmp_path) as running:
        check_version(running)
        if running.profiler:
            assert compare_profile(running) >= RESTING[name]
        live = every_stack(running.pid)
        core, words = running.crash()
    wrong, count = compare_words(every_stack(core), words)
    assert not wrong, "\n\n".join(wrong.values())
    # all of the runtime's own rest, too
    assert count >= RESTING[name] + 3
    if not running.profiler:
        # nothing moves in these
        wrong, _ = compare_words(live, words)
        assert not wrong, "\n\n".join(wrong.values())
    core.unlink()


def check_version(running):
    """`ps` and `doctor` say of the program what go version says of its file."""
    row = next(row for row in run_unpark("ps", "--json").json() if row["pid"] == running.pid)
    assert row["reachable"] is True and row["goroutines"] >= RESTING[running.name], row
    if running.name == "esbuild":
        # it has no build info, so that only the runtime itself tells
        assert re.fullmatch(r"go1\.\d+(\.\d+)?", row["go"])
        assert row["go"].encode() in running.path.read_bytes() and row["module"] is None
    else:
        said = subprocess.run([toolchains()[-1].go, "version", "-m", running.path], capture_output=True, text=True,
                              check=True).stdout.splitlines()
        facts = {words[0]: words[1:] for words in (line.split() for line in said[1:]) if words[0] in ("path", "mod")}
        assert row["go"] == said[0].rsplit(": ", 1)[1]
        assert [row["path"]] == facts["path"]
        assert row["module"] == (facts["mod"][0] if "mod" in facts else None)
        assert row["version"] == (facts["mod"][1] if "mod" in facts else None)
    items = run_unpark("doctor", running.pid, "--json").json()
    assert {item["level"] for item in items} <= {"ok", "note", "limit"}
    assert next(item["text"] for item in items if item["subject"] == "Go program").split(",")[0] == row["go"]
