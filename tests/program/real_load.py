"""Real programs under load on loopback: etcd, prometheus, syncthing and caddy as Debian packages them, and Go's
own tool chain while it builds. Each runs in a scratch folder of its own, and none talks to anybody else."""

import base64
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request

import programs

READY_SECONDS = 60
CLIENTS = 4


def free_port():
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Load:
    """Clients that keep asking until they are told to end: a context manager. .answers counts, .failures are
    what went wrong. Each of REQUESTS is called with the number of the round and a connection, in turn; it
    raises when the answer is not what it should be. Every fourth client opens a connection per request."""

    def __init__(self, port, requests):
        self.port, self.requests = port, requests
        self.answers, self.failures = 0, []
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number):
        connection, turn = None, number
        while not self._over.is_set():
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                self.requests[turn % len(self.requests)](turn, connection)
                with self._lock:
                    self.answers += 1
            except (OSError, http.client.HTTPException, AssertionError, ValueError) as problem:
                with self._lock:
                    self.failures.append(f"{self.requests[turn % len(self.requests)].__name__}: {problem!r}")
                connection.close()
                connection = None
            if number % 4 == 3 and connection is not None:
                connection.close()
                connection = None
            turn += 1
        if connection is not None:
            connection.close()


def ask(connection, method, path, body=None, headers=None):
    """The body of the answer, which must be 200."""
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, (path, answer.status, text[:200])
    return text


def ask_json(connection, path, fields, headers=None):
    """POSTs FIELDS as JSON; the answer, decoded."""
    return json.loads(ask(connection, "POST", path, json.dumps(fields), headers))


class Server:
    """One server and what asks it: .port, .process, .requests (for Load); a context manager that starts it and
    waits until it answers."""

    name = None

    def __init__(self, folder):
        self.folder, self.port, self.process = pathlib.Path(folder), free_port(), None
        self.log = open(self.folder / "log", "wb")

    @classmethod
    def program(cls):
        """The path of the program; skips the test when it cannot be had."""
        return programs.find(cls.name)

    def __enter__(self):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder),
                       "XDG_CONFIG_HOME": str(self.folder)}
        self.process = subprocess.Popen([self.program(), *self.arguments()], cwd=self.folder, env=environment,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.ready}", timeout=10) as answer:
                    answer.read()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise AssertionError(self.words()) from None
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def words(self):
        """The end of what it said."""
        return (self.folder / "log").read_bytes()[-2000:].decode(errors="replace")


class Etcd(Server):
    """Puts, ranges, leases, and a watch for each."""

    name, ready = "etcd", "/health"

    def arguments(self):
        client, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{free_port()}"
        return ["--data-dir", "data", "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"default={peer}"]

    @property
    def requests(self):
        def put(turn, connection):
            ask_json(connection, "/v3/kv/put", {"key": key(turn), "value": base64.b64encode(b"v" * 200).decode()})

        def get(turn, connection):
            assert "header" in ask_json(connection, "/v3/kv/range", {"key": key(turn - 1)})

        def lease(turn, connection):
            granted = ask_json(connection, "/v3/lease/grant", {"TTL": 1})
            assert "ID" in granted

        def watch(turn, connection):
            connection.request("POST", "/v3/watch", json.dumps({"create_request": {"key": key(turn)}}))
            answer = connection.getresponse()
            assert b"created" in answer.readline()
            connection.close()

        def key(turn):
            return base64.b64encode(b"key %d" % (turn % 100)).decode()

        return [put, get, put, get, lease, watch]


class Prometheus(Server):
    """Scrapes itself ten times a second, while being asked for ranges, series and its own metrics."""

    name, ready = "prometheus", "/-/ready"

    def arguments(self):
        (self.folder / "configuration").write_text(
            "global: {scrape_interval: 100ms, evaluation_interval: 200ms}\n"
            "rule_files: [rules]\n"
            f"scrape_configs: [{{job_name: self, static_configs: [{{targets: ['127.0.0.1:{self.port}']}}]}}]\n")
        (self.folder / "rules").write_text(
            "groups: [{name: g, rules: [{record: r, expr: 'sum(rate(go_gc_duration_seconds_count[1m]))'}]}]\n")
        return ["--config.file", "configuration", "--storage.tsdb.path", "data", "--web.listen-address",
                f"127.0.0.1:{self.port}", "--web.enable-lifecycle"]

    @property
    def requests(self):
        def query(turn, connection):
            now = time.time()
            path = f"/api/v1/query_range?query=rate(go_goroutines[1m])&start={now - 300}&end={now}&step=1"
            assert json.loads(ask(connection, "GET", path))["status"] == "success"

        def metrics(_, connection):
            assert b"go_goroutines" in ask(connection, "GET", "/metrics")

        def series(_, connection):
            ask(connection, "GET", "/api/v1/series?match[]=up")

        def reload(_, connection):
            ask(connection, "POST", "/-/reload")

        return [query, metrics, series, query, query, metrics, query, reload]


class Syncthing(Server):
    """Scans of a folder that changes, events and the state of everything."""

    name, ready = "syncthing", "/"

    def arguments(self):
        (self.folder / "Sync").mkdir(exist_ok=True)
        subprocess.run([self.program(), "generate", "--home", str(self.folder / "home")], check=True,
                       stdout=self.log, stderr=self.log, env={"HOME": str(self.folder)})
        path = self.folder / "home" / "config.xml"
        text = path.read_text()
        for name in ("globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled",
                     "crashReportingEnabled"):
            text = re.sub(f"<{name}>true<", f"<{name}>false<", text)
        text = re.sub("<listenAddress>.*?<", f"<listenAddress>tcp://127.0.0.1:{free_port()}<", text)
        path.write_text(text)
        return ["serve", "--home", str(self.folder / "home"), "--no-browser", "--no-restart",
                "--no-upgrade", f"--gui-address=127.0.0.1:{self.port}", "--gui-apikey=key"]

    @property
    def requests(self):
        key = {"X-API-Key": "key"}

        def status(_, connection):
            assert b"goroutines" in ask(connection, "GET", "/rest/system/status", headers=key)

        def events(_, connection):
            ask(connection, "GET", "/rest/events?limit=3&timeout=1", headers=key)

        def scan(turn, connection):
            (self.folder / "Sync" / str(turn % 50)).write_text("x" * turn)
            ask(connection, "POST", "/rest/db/scan?folder=default", headers=key)

        def configuration(_, connection):
            ask(connection, "GET", "/rest/config", headers=key)

        return [status, scan, configuration, status, events]


class Caddy(Server):
    """Files, compressed and whole, behind a reverse proxy of its own, with reloads meanwhile."""

    name, ready = "caddy", "/file"

    def arguments(self):
        (self.folder / "files").mkdir(exist_ok=True)
        (self.folder / "files" / "file").write_bytes(b"text " * 40000)
        self.admin, back = free_port(), free_port()
        (self.folder / "Caddyfile").write_text(
            f"{{\n admin 127.0.0.1:{self.admin}\n}}\n"
            f"http://127.0.0.1:{self.port} {{\n encode gzip\n reverse_proxy 127.0.0.1:{back}\n}}\n"
            f"http://127.0.0.1:{back} {{\n root * files\n file_server browse\n}}\n")
        return ["run", "--config", "Caddyfile", "--adapter", "caddyfile"]

    @property
    def requests(self):
        def plain(_, connection):
            assert len(ask(connection, "GET", "/file")) == 200000

        def compressed(_, connection):
            ask(connection, "GET", "/file", headers={"Accept-Encoding": "gzip"})

        def listing(_, connection):
            assert b"file" in ask(connection, "GET", "/")

        def settings(turn, _):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/config/", timeout=60) as answer:
                assert b"reverse_proxy" in answer.read()

        return [plain, compressed, listing, plain, settings]


SERVERS = [Etcd, Prometheus, Syncthing, Caddy]


class Build:
    """Go's tool chain at work: .alive(), .pids() of the go command and of what it started; a context manager.
    It builds GOROOT's own tools over and over into a cache that is thrown away; .failures is what failed."""

    def __init__(self, toolchain, folder):
        self.toolchain, self.folder = toolchain, pathlib.Path(folder)
        self.process, self.failures, self.answers = None, [], 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        process = self.process
        if process is not None and process.poll() is None:
            for pid in reversed(self.pids()):
                try:
                    os.kill(pid, 15)
                except ProcessLookupError:
                    pass
        self._thread.join()

    def _work(self):
        number = 0
        while not self._over.is_set():
            cache = self.folder / f"cache-{number}"
            number += 1
            environment = self.toolchain.environment({"GOCACHE": str(cache), "CGO_ENABLED": "0"})
            self.process = subprocess.Popen(
                [str(self.toolchain.go), "build", "-o", os.devnull, "cmd/gofmt"], cwd=self.toolchain.goroot / "src",
                env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            words, _ = self.process.communicate()
            if self.process.returncode == 0:
                self.answers += 1
            elif not self._over.is_set():
                self.failures.append(words.decode(errors="replace")[-2000:])
            shutil.rmtree(cache, ignore_errors=True)

    def pids(self):
        """The go command, and its children now."""
        process = self.process
        if process is None or process.poll() is not None:
            return []
        found = [process.pid]
        try:
            for task in os.listdir(f"/proc/{process.pid}/task"):
                with open(f"/proc/{process.pid}/task/{task}/children") as children:
                    found += map(int, children.read().split())
        except OSError:
            pass
        return found
