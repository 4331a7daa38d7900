"""Goroutine profiles: read (pprof, debug=1), fetched by URL, and served for a program that has none."""

import collections
import concurrent.futures
import gzip
import http.server
import re
import signal
import socket
import subprocess
import threading

import pytest

from endpoints import Endpoint, Served

@pytest.fixture
def served(start, newest):
    return Served(start, newest)


@pytest.fixture
def endpoint():
    started = []

    def start_endpoint(*words, **options):
        started.append(Endpoint(*words, **options))
        return started[-1]

    yield start_endpoint
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def is_serving(functions):
    """Whether a stack is that of a server, whose goroutines move while they are asked."""
    return any(name.startswith("net/http.") for name in functions)


def file_groups(result):
    """What dump --json says, as a count of (function, file, line) stacks without runtime.goexit, which no
    profile has."""
    groups = collections.Counter()
    for group in result.json()["groups"]:
        stack = group["stack"] or []
        frames = tuple((frame["function"], frame["file"], frame["line"]) for frame in stack
                       if frame["function"] not in (None, "runtime.goexit"))
        if not is_serving([frame[0] for frame in frames]) and frames:
            groups[frames] += group["count"]
    return groups


def raw_samples(toolchain, path, tmp_path):
    """What go tool pprof -raw reads: a count of (functions with lines, labels)."""
    env = toolchain.environment({"PPROF_TMPDIR": str(tmp_path)})
    done = subprocess.run([toolchain.go, "tool", "pprof", "-raw", path], capture_output=True, text=True,
                          env=env)
    assert done.returncode == 0, done.stderr
    samples, locations = done.stdout.split("\nLocations\n")
    places = {}
    for line in locations.split("\nMappings\n")[0].splitlines():
        head = re.match(r" *(\d+): 0x[0-9a-f]+ M=\d+ (.*)", line)
        if head:
            places[head[1]] = [head[2]]
            number = head[1]
        else:
            places[number].append(line.strip())
    counted = collections.Counter()
    lines = samples.split("/count\n", 1)[1].splitlines()
    for index, line in enumerate(lines):
        sample = re.match(r" +(\d+): ([\d ]*)$", line)
        if not sample:
            continue
        labels = lines[index + 1].strip() if index + 1 < len(lines) and lines[index + 1].endswith("]") else ""
        frames = tuple(re.sub(r"(:\d+)?( s=\d+)?(\(inline\))?$", "", call)
                       for place in sample[2].split() for call in places[place])
        if not is_serving([frame.split(" ")[0] for frame in frames]) and frames:
            counted[frames, labels] += int(sample[1])
    return counted


def counted_blocks(text):
    """What a debug=1 text says, without addresses: a count of (labels, calls)."""
    counted = collections.Counter()
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if "profile: total" not in line]
        head = re.match(r"(\d+) @", lines[0]) if lines else None
        if not head:
            continue
        labels = "".join(line for line in lines if line.startswith("# labels"))
        calls = tuple(re.sub(r"^#\t0x[0-9a-f]+\t+", "", line) for line in lines if line.startswith("#\t"))
        calls = tuple(re.sub(r"\+0x[0-9a-f]+\t+", " ", call) for call in calls)
        if calls and not is_serving([call.split(" ")[0] for call in calls]):
            counted[labels, calls] += int(head[1])
    return counted


def test_every_source_gives_the_same_groups(start, toolchain, unpark, tmp_path):
    """The program's own profile, as pprof and as text, and a look from outside."""
    served = Served(start, toolchain)
    own = tmp_path / "own.pb.gz"
    own.write_bytes(served.get("/debug/pprof/goroutine"))
    plain = tmp_path / "own.pb"
    plain.write_bytes(gzip.decompress(own.read_bytes()))
    live = file_groups(unpark("dump", served.pid, "--json"))
    assert sum(live.values()) >= 11
    assert file_groups(unpark("dump", own, "--json")) == live
    assert file_groups(unpark("dump", plain, "--json")) == live
    text = tmp_path / "own.txt"
    text.write_bytes(served.get("/debug/pprof/goroutine?debug=1"))
    user = collections.Counter()
    for frames, count in live.items():
        while frames[0][0].startswith(("runtime.", "internal/runtime/")):
            frames = frames[1:]
        user[frames] += count
    assert file_groups(unpark("dump", text, "--json")) == user


def test_served_as_the_program_serves(start, toolchain, endpoint, tmp_path):
    """Frame by frame, label by label what the program's own endpoint says; read by go tool pprof."""
    served = Served(start, toolchain)
    ours = endpoint(served.pid)
    for name, get in (("own", served.get), ("ours", lambda path: ours.get(path)[2])):
        (tmp_path / name).write_bytes(get("/debug/pprof/goroutine"))
    own = raw_samples(toolchain, tmp_path / "own", tmp_path)
    assert sum(own.values()) >= 11
    assert raw_samples(toolchain, tmp_path / "ours", tmp_path) == own
    path = "/debug/pprof/goroutine?debug=1"
    assert counted_blocks(ours.get(path)[2].decode()) == counted_blocks(served.get(path).decode())
    text = ours.get("/debug/pprof/goroutine?debug=2")[2].decode()
    assert text.startswith("goroutine 1 [") and "main.leak.func1" in text


def test_leaks_are_served(served, endpoint, toolchain, tmp_path, unpark):
    ours = endpoint(served.pid, "--max-stop", "0")
    path = tmp_path / "leak.pb.gz"
    for _ in range(5):  # a stale word on a thread's stack may hide one leak from one of two looks
        path.write_bytes(ours.get("/debug/pprof/goroutineleak")[2])
        text = ours.get("/debug/pprof/goroutineleak?debug=2")[2].decode()
        counted = ours.get("/debug/pprof/goroutineleak?debug=1")[2]
        proved = unpark("leaks", served.pid, "--max-stop", "0", "--json").json()["summary"]["proved"]
        samples = raw_samples(toolchain, path, tmp_path)
        if sum(samples.values()) == proved == text.count("(leaked)"):
            break
    leaked = sum(count for (frames, _), count in samples.items() if "main.leak.func1" in str(frames))
    assert sum(samples.values()) == proved and leaked >= 5
    result = unpark("leaks", path, "--json")
    assert result.code == 1, result
    assert result.json()["summary"]["proved"] == sum(samples.values())
    assert result.json()["findings"][0]["goroutines"] is None
    assert text.count("(leaked)") == sum(samples.values())
    assert counted.startswith(b"goroutineleak profile: total %d\n" % sum(samples.values()))


def test_top_of_a_url(served, endpoint, newest, tmp_path):
    ours = endpoint(served.pid)
    env = newest.environment({"PPROF_TMPDIR": str(tmp_path)})
    done = subprocess.run([newest.go, "tool", "pprof", "-top", f"{ours.url}/debug/pprof/goroutine"],
                          capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert "Type: goroutine\n" in done.stdout and "main.leak.func1" in done.stdout


def test_what_a_count_cannot_tell(served, unpark, tmp_path):
    own = tmp_path / "own.pb.gz"
    own.write_bytes(served.get("/debug/pprof/goroutine"))
    data = unpark("dump", own, "--json", "--each").json()
    assert {goroutine["id"] for goroutine in data["goroutines"]} == {None}
    assert {goroutine["status"] for goroutine in data["goroutines"]} == {"unknown"}
    assert sum(goroutine["count"] for goroutine in data["goroutines"]) == data["summary"]["goroutines"]
    assert {group["goroutine_ids"] for group in unpark("dump", own, "--json").json()["groups"]} == {None}
    text = unpark("dump", own).out
    assert "7 goroutines: state unknown\n" in text and "ids " not in text
    for words in (["--format", "go"], ["--goroutine", "1"]):
        result = unpark("dump", own, *words)
        assert result.code != 0 and "ids" in result.err and len(result.err.splitlines()) == 1, result
    assert unpark("dump", own, "--label", "tenant=t0", "--json").json()["summary"]["selected"] == 2


def test_other_profiles_are_named(served, unpark, tmp_path):
    path = tmp_path / "heap.pb.gz"
    path.write_bytes(served.get("/debug/pprof/heap"))
    result = unpark("dump", path)
    assert result.code != 0 and "inuse_space" in result.err and "goroutine" in result.err
    assert len(result.err.splitlines()) == 1


def test_urls_as_targets(served, unpark, newest):
    whole = unpark("dump", f"{served.url}/debug/pprof/goroutine?debug=2", "--json").json()
    assert whole["summary"]["goroutines"] >= 12
    assert {goroutine for group in whole["groups"] for goroutine in group["goroutine_ids"]} >= {1}
    counted = unpark("dump", f"{served.url}/debug/pprof/goroutine", "--json").json()
    assert {group["goroutine_ids"] for group in counted["groups"]} == {None}
    for address in (served.url, f"{served.url}/", f"{served.url}/debug/pprof"):
        result = unpark("leaks", address, "--json")
        if newest.minor >= 27:
            assert result.code == 1, result
            assert result.json()["summary"]["proved"] >= 7
        else:
            assert "goroutineleak" in unpark("dump", address).out


class Strange(http.server.BaseHTTPRequestHandler):
    """Answers as servers should not."""

    def do_GET(self):
        if self.path.startswith("/redirect/"):
            self.send_response(302)
            self.send_header("Location", {"file": "file:///etc/passwd", "ftp": "ftp://127.0.0.1/x",
                                          "loop": self.path}[self.path.split("/")[2]])
            self.end_headers()
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"goroutine 1 [running]:\n")
        elif self.path == "/hostile":
            self.send_response(500)
            self.end_headers()
            self.wfile.write(b"\x1b[31mno\x1b]0;title\x07")
        elif self.path == "/forbidden":
            self.send_response(403)
            self.end_headers()
        else:
            self.send_response(404)
            self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def strange():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strange)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path, code, word", [
    ("/nothing", 3, "404"),
    ("/redirect/file", 4, "another protocol"),
    ("/redirect/ftp", 4, "another protocol"),
    ("/redirect/loop", None, "redirect"),
    ("/short", None, "transfer closed"),
    ("/hostile", None, "500"),
    ("/forbidden", 4, "403"),
    ("", 3, "404"),
])
def test_strange_servers(strange, unpark, path, code, word):
    result = unpark("dump", strange + path)
    assert result.code != 0 and (code is None or result.code == code), result
    assert word in result.err and len(result.err.splitlines()) == 1 and "\x1b" not in result.err
    assert "root:" not in result.out


def test_no_server(strange, unpark):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        refused = unpark("dump", f"http://127.0.0.1:{held.getsockname()[1]}")
    assert refused.code == 3 and "nothing answers" in refused.err, refused
    secure = unpark("dump", strange.replace("http:", "https:"))
    assert secure.code != 0 and len(secure.err.splitlines()) == 1, secure
    user = unpark("dump", strange.replace("//", "//me:secret@") + "/nothing")
    assert user.code == 3 and "secret" not in user.err, user
    assert unpark("dump", "http://").code == 2
    for address in ("127.0.0.1:6060", "localhost:6060/debug/pprof/goroutine?debug=2"):
        bare = unpark("dump", address)
        assert bare.code == 3 and "http://" in bare.err and len(bare.err.splitlines()) == 1, bare


def test_a_proxy_is_not_asked_for_loopback(served, unpark):
    result = unpark("dump", served.url, "--json", env={"http_proxy": "http://127.0.0.1:1"})
    assert result.code == 0, result


def test_who_may_ask(served, endpoint):
    ours = endpoint(served.pid)
    path = "/debug/pprof/goroutine?debug=1"
    for host in (f"127.0.0.1:{ours.port}", f"localhost:{ours.port}", f"LOCALHOST:{ours.port}",
                 f"[::1]:{ours.port}"):
        assert ours.get(path, Host=host)[0] == 200, host
    for host in (None, "", "127.0.0.1", "localhost", f"localhost.evil.com:{ours.port}",
                 f"127.0.0.1:{ours.port + 1}", f"evil.com:{ours.port}", f"127.0.0.1:{ours.port}.evil.com",
                 f"127.0.0.1:{ours.port}@evil.com", f"127.0.0.2:{ours.port}", f"127.0.0.1:0{ours.port}"):
        assert ours.get(path, Host=host)[0] in (400, 421), host
    for headers in ({"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
                    {"Origin": "http://evil.com"}, {"Origin": "null"},
                    {"Origin": f"https://127.0.0.1:{ours.port}"}):
        assert ours.get(path, **headers)[0] == 403, headers
    for headers in ({"Sec_Fetch_Site": "none"}, {"Sec_Fetch_Site": "same-origin"},
                    {"Origin": f"http://127.0.0.1:{ours.port}"}):
        assert ours.get(path, **headers)[0] == 200, headers
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "X"):
        assert ours.get(path, method=method)[0] in (405, 400), method
    status, headers, body = ours.get(path, method="HEAD")
    assert status == 200 and body == b""
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy",
                 "Cross-Origin-Resource-Policy", "Cache-Control"):
        assert headers[name], name
    assert "Access-Control-Allow-Origin" not in headers


def test_only_these_paths(served, endpoint):
    ours = endpoint(served.pid)
    for path in ("/debug/pprof/", "/debug/pprof", "/"):
        status, headers, body = ours.get(path)
        assert status == 200 and headers["Content-Type"].startswith("text/html")
        assert b"goroutineleak" in body and b"<script" not in body
    for path in ("/debug/pprof/heap", "/debug/pprof/profile", "/debug/pprof/cmdline", "/x",
                 "/debug/pprof/goroutine/", "/debug/pprof/../pprof/goroutine", "/debug/pprof/goroutine%00",
                 "//debug/pprof/goroutine", "/debug/pprof/goroutin%65", "/../../etc/passwd"):
        assert ours.get(path)[0] == 404, path
    assert ours.get("/debug/pprof/goroutine?seconds=5")[0] == 400
    for debug in ("-1", "x", "", "99999999999999999999"):
        assert ours.get(f"/debug/pprof/goroutine?debug={debug}")[0] == 200, debug


def test_hostile_requests(served, endpoint):
    """Broken and endless requests end with an error or nothing; the next one is answered."""
    ours = endpoint(served.pid)
    host = f"Host: 127.0.0.1:{ours.port}\r\n".encode()
    for request in (b"\0" * 4096, b"GET", b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"/" * 70000 + b" HTTP/1.1\r\n",
                    b"GET / HTTP/1.1\r\n" + host + b"X: " + b"y" * 70000 + b"\r\n\r\n",
                    b"GET / HTTP/1.1\r\n" + host + b"A: b\r\n" * 9000 + b"\r\n",
                    b"GET / HTTP/1.1\r\n" + host + host + b"\r\n",
                    b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 99999999999\r\n\r\n" + b"z" * 100000,
                    b"GET / HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", ours.port), timeout=60) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(4096)
            except OSError:
                answer = b""
            assert not answer.startswith(b"HTTP/1.1 200"), request[:40]
        assert ours.get("/debug/pprof/goroutine?debug=1")[0] == 200


def test_tokens(served, endpoint, tmp_path):
    token = "0123456789abcdef-X"
    path = tmp_path / "token"
    path.write_text(token + "\n")
    ours = endpoint(served.pid, "--token", f"@{path}")
    profile = "/debug/pprof/goroutine"
    assert ours.token == token
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": token},
                    {"Authorization": "Basic " + token}, {"Authorization": f"Bearer {token}x"},
                    {"Authorization": f"Bearer {token[:-1]}"}):
        status, answer, body = ours.get(profile, **headers)
        assert status == 401 and answer["WWW-Authenticate"] == "Bearer", headers
        assert token.encode() not in body
    assert ours.get(f"{profile}?token={token}x")[0] == 401
    assert ours.get(profile, Authorization=f"Bearer {token}")[0] == 200
    assert ours.get(f"{profile}?debug=1&token={token}")[0] == 200
    page = ours.get(f"/debug/pprof/?token={token}")[2].decode()
    link = re.search(r'href="(/debug/pprof/goroutine\?debug=2&amp;token=[^"]*)"', page)[1]
    assert ours.get(link.replace("&amp;", "&"))[0] == 200


def test_other_machines(served, endpoint, unpark):
    refused = unpark("pprof", served.pid, "--listen", "0.0.0.0:0")
    assert refused.code == 2 and "--insecure" in refused.err, refused
    ours = endpoint(served.pid, "--insecure", "--host", "box.example", listen="0.0.0.0:0")
    assert len(ours.token) == 32
    query = f"/debug/pprof/goroutine?debug=1&token={ours.token}"
    for host in (f"box.example:{ours.port}", f"10.1.2.3:{ours.port}", f"127.0.0.1:{ours.port}"):
        assert ours.get(query, Host=host)[0] == 200, host
    for host in (f"evil.example:{ours.port}", f"10.1.2.3:{ours.port + 1}", "box.example"):
        assert ours.get(query, Host=host)[0] == 421, host
    assert ours.get("/debug/pprof/goroutine")[0] == 401
    for listen in ("example.com:1", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", "[::1]", ""):
        assert unpark("pprof", served.pid, "--listen", listen).code == 2, listen
    taken = unpark("pprof", served.pid, "--listen", f"127.0.0.1:{ours.port}")
    assert taken.code != 0 and len(taken.err.splitlines()) == 1, taken


def test_many_at_once(served, endpoint):
    ours = endpoint(served.pid, "--max-stop", "0")
    paths = ["/debug/pprof/goroutine", "/debug/pprof/goroutine?debug=2", "/debug/pprof/goroutineleak"] * 8
    with concurrent.futures.ThreadPoolExecutor(len(paths)) as pool:
        answers = list(pool.map(ours.get, paths))
    assert {status for status, _, _ in answers} == {200}
    assert ours.end(signal.SIGINT) == (0, "")


def test_an_end_that_tells(start, newest, endpoint):
    served = Served(start, newest)
    ours = endpoint(served.pid)
    assert ours.get("/debug/pprof/goroutine")[0] == 200
    served.program.end()
    code, err = ours.finish()
    assert code == 3 and "has ended" in err and len(err.splitlines()) == 1, err


def test_scrubbed(served, endpoint):
    ours = endpoint(served.pid, "--scrub")
    for debug in (1, 2):
        text = ours.get(f"/debug/pprof/goroutine?debug={debug}")[2].decode()
        assert "main.leak.func1" in text and "tenant" not in text and "(0x" not in text


def test_a_file_is_served_too(served, endpoint, tmp_path):
    """A profile that was saved gets an endpoint as well; what it cannot tell is refused with a reason."""
    own = tmp_path / "own.pb.gz"
    own.write_bytes(served.get("/debug/pprof/goroutine"))
    ours = endpoint(own)
    assert b"main.leak.func1" in ours.get("/debug/pprof/goroutine?debug=1")[2]
    for path in ("/debug/pprof/goroutine?debug=2", "/debug/pprof/goroutineleak"):
        status, _, body = ours.get(path)
        assert status == 503 and body, path
