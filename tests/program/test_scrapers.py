"""unpark pprof as continuous profilers scrape it, and over TLS.

Parca and Grafana Alloy (which scrapes for Pyroscope) as whole servers cannot be had from the Go module proxy. SCRAPER asks
as they do: Go's own client, one request that is made once and sent for every scrape, their headers, and what they refuse:

- Parca: pkg/scrape/scrape.go (targetScraper.scrape, processScrapeResp) and pkg/normalizer/validate.go
  (ValidatePprofProfile) of github.com/parca-dev/parca; client settings (bearer token, CA) are those of
  github.com/prometheus/common/config.
- Alloy: internal/component/pyroscope/scrape/scrape_loop.go (fetchProfile) and validate.go (validateProfileData) of
  github.com/grafana/alloy.

Both read the profile with github.com/google/pprof/profile, which is what go tool pprof is made of."""

import collections
import gzip
import http.client
import json
import shutil
import ssl
import subprocess

import pytest

from endpoints import Endpoint, Served

SCRAPER = """
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// scrape URL AGENT FILE TOKEN CA: three scrapes with one request; the last profile goes to FILE.
func main() {
	address, agent, file, token, ca := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			panic(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(text)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	client := &http.Client{Transport: transport}
	request, err := http.NewRequest("GET", address, nil)
	if err != nil {
		panic(err)
	}
	request.Header.Set("User-Agent", agent)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < 3; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		response, err := client.Do(request.WithContext(ctx))
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		var copied bytes.Buffer
		body, err := io.ReadAll(io.TeeReader(response.Body, &copied))
		response.Body.Close()
		cancel()
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.WriteFile(file, body, 0600)
		text, _ := json.Marshal(map[string]any{"status": response.StatusCode, "size": len(body), "length": response.ContentLength,
			"type": response.Header.Get("Content-Type"), "encoding": response.Header.Get("Content-Encoding"),
			"uncompressed": response.Uncompressed, "protocol": response.Proto})
		fmt.Println(string(text))
	}
}
"""


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


@pytest.fixture
def scrape(newest, tmp_path):
    """Scrapes a URL; gives what was answered to each of the three requests, and the file of the last."""
    binary = newest.build_source(SCRAPER)

    def scrape_url(url, agent, token="", authority=""):
        path = tmp_path / "scraped"
        done = subprocess.run([binary, url, agent, path, token, str(authority)], capture_output=True, text=True,
                              timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()], path

    return scrape_url


# ---- profile.proto, as far as validation looks ----


def fields(data):
    """(number, value) of each field of a message; value is an integer or bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        assert key & 7 in (0, 2), "only varints and bytes occur in a profile"
        value = varint()
        if key & 7 == 2:
            assert at + value <= len(data)
            value, at = data[at:at + value], at + value
        yield key >> 3, value


def message(data):
    """The fields of a message by number, lists."""
    result = collections.defaultdict(list)
    for number, value in fields(data):
        result[number].append(value)
    return result


def integers(values):
    """Repeated integers, packed or not."""
    result = []
    for value in values:
        if isinstance(value, int):
            result.append(value)
            continue
        at = 0
        while at < len(value):
            number = shift = 0
            while True:
                byte = value[at]
                at += 1
                number |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            result.append(number)
    return result


def validate(data):
    """What Parca's ValidatePprofProfile refuses; gives the message."""
    profile = message(data)
    strings = profile[6]
    assert strings and strings[0] == b""

    def string(owner, number):
        for index in owner[number]:
            assert index < len(strings)

    tables = {"mapping": [message(one) for one in profile[3]], "location": [message(one) for one in profile[4]],
              "function": [message(one) for one in profile[5]]}
    for table in tables.values():
        assert [one[1] for one in table] == [[index + 1] for index in range(len(table))]
    for mapping in tables["mapping"]:
        string(mapping, 5)
        string(mapping, 6)
    for function in tables["function"]:
        for number in (2, 3, 4):
            string(function, number)
    for location in tables["location"]:
        assert all(0 < number <= len(tables["mapping"]) for number in location[2])
        for line in map(message, location[4]):
            assert all(0 < number <= len(tables["function"]) for number in line[1])
    assert profile[1] or not profile[2]
    for sample in map(message, profile[2]):
        assert len(integers(sample[2])) == len(profile[1])
        assert all(0 < number <= len(tables["location"]) for number in integers(sample[1]))
        for label in map(message, sample[3]):
            assert label[1] and 0 < label[1][0] < len(strings)
            string(label, 2)
    return profile, strings


def check_scraped(answers, path, toolchain, tmp_path):
    """What the scrapers check of an answer, and the profile by those who read it."""
    body = path.read_bytes()
    for answer in answers:
        assert answer["status"] == 200 and answer["size"] > 0
        assert answer["type"].startswith("application/octet-stream")
        assert answer["length"] == answer["size"]
        # a profile is gzip by itself: one more layer would be taken off by the client, or not at all
        assert answer["encoding"] == "" and not answer["uncompressed"]
    assert answers[-1]["size"] == len(body) and body[:2] == b"\x1f\x8b"
    profile, strings = validate(gzip.decompress(body))
    types = [strings[message(one)[1][0]] for one in profile[1]]
    env = toolchain.environment({"PPROF_TMPDIR": str(tmp_path)})
    done = subprocess.run([toolchain.go, "tool", "pprof", "-raw", path], capture_output=True, text=True, env=env,
                          check=False)
    assert done.returncode == 0 and "main.leak.func1" in done.stdout, done.stderr
    return types


@pytest.mark.parametrize("agent", ["conprof/0.24.0", "Alloy/v1.12.0 (linux; linux)"])
@pytest.mark.parametrize("name", ["goroutine", "goroutineleak"])
def test_scraped(served, endpoint, scrape, newest, tmp_path, agent, name):
    ours = endpoint(served.pid, "--max-stop", "0")
    answers, path = scrape(f"{ours.url}/debug/pprof/{name}", agent)
    assert check_scraped(answers, path, newest, tmp_path) == [name.encode()]


def test_what_is_not_served_is_an_error(served, endpoint, scrape):
    """What scrapers ask by default and nobody can answer from outside must not look like a profile."""
    ours = endpoint(served.pid)
    for path in ("/debug/pprof/allocs", "/debug/pprof/block", "/debug/pprof/mutex", "/debug/pprof/profile?seconds=10",
                 "/debug/pprof/delta_heap?seconds=14", "/debug/fgprof?seconds=10"):
        answers, _ = scrape(ours.url + path, "conprof/0.24.0")
        assert {answer["status"] for answer in answers} == {404}, path
        assert {answer["type"].split(";")[0] for answer in answers} == {"text/plain"}, path
    answers, _ = scrape(f"{ours.url}/debug/pprof/goroutine?seconds=5", "conprof/0.24.0")
    assert {answer["status"] for answer in answers} == {400}


# ---- TLS ----

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")


def certify(folder, kind="ec"):
    """A certificate for this machine and its key, self-signed."""
    algorithm = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["rsa:2048"]}[kind]
    certificate, key = folder / f"{kind}.pem", folder / f"{kind}.key"
    subprocess.run([OPENSSL, "req", "-x509", "-newkey", *algorithm, "-nodes", "-days", "2", "-subj", "/CN=unpark",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:box.example", "-keyout", key, "-out",
                    certificate], check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def secured(served, endpoint, tmp_path):
    """Starts an endpoint with a certificate; its .authority is what a client must trust."""

    def start_secured(*words, kind="ec", **options):
        certificate, key = certify(tmp_path, kind)
        ours = endpoint(served.pid, "--cert", certificate, "--key", key, *words, **options)
        ours.authority = certificate
        ours.tls = ssl.create_default_context(cafile=str(certificate))
        return ours

    return start_secured


@needs_openssl
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_served_over_tls(secured, kind):
    ours = secured(kind=kind)
    assert ours.url.startswith("https://") and ours.token is None
    status, headers, body = ours.get("/debug/pprof/goroutine?debug=1")
    assert status == 200 and b"main.leak.func1" in body
    assert headers["X-Content-Type-Options"] == "nosniff"
    for origin, expected in ((f"https://127.0.0.1:{ours.port}", 200), (f"http://127.0.0.1:{ours.port}", 403)):
        assert ours.get("/debug/pprof/", Origin=origin)[0] == expected, origin
    ours.tls = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        ours.get("/debug/pprof/goroutine")
    assert ours.end() == (0, "")


@needs_openssl
def test_old_versions_of_tls_are_refused(secured):
    ours = secured()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        ours.tls.minimum_version = ours.tls.maximum_version = version
        assert ours.get("/debug/pprof/goroutine")[0] == 200, version
        ours.tls.minimum_version, ours.tls.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    fresh, ours.tls = ours.tls, old
    with pytest.raises(OSError):
        ours.get("/debug/pprof/goroutine")
    ours.tls = fresh
    assert ours.get("/debug/pprof/goroutine")[0] == 200


@needs_openssl
def test_plain_requests_to_tls(secured):
    """They get nothing, and the next one is answered."""
    ours = secured()
    trusted, ours.tls = ours.tls, None
    with pytest.raises((OSError, http.client.HTTPException)):
        ours.get("/debug/pprof/goroutine")
    ours.tls = trusted
    assert ours.get("/debug/pprof/goroutine")[0] == 200


@needs_openssl
def test_token_and_host_over_tls(secured):
    """On other than loopback addresses there is a token; names are those of --host."""
    ours = secured("--host", "box.example", listen="0.0.0.0:0")
    path = "/debug/pprof/goroutine?debug=1"
    assert len(ours.token) == 32
    bearer = f"Bearer {ours.token}"
    assert ours.get(path)[0] == 401
    assert ours.get(path, Authorization=bearer)[0] == 200
    assert ours.get(path, Authorization=bearer, Host=f"box.example:{ours.port}")[0] == 200
    for host in (f"evil.example:{ours.port}", "box.example", f"box.example.evil:{ours.port}"):
        assert ours.get(path, Authorization=bearer, Host=host)[0] == 421, host


@needs_openssl
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_over_tls(secured, unpark, tmp_path):
    ours = secured("--token", "0123456789abcdef", "--host", "box.example")
    call = ["curl", "-sS", "--noproxy", "*", "--fail", "--cacert", ours.authority, "-H", "Authorization: Bearer 0123456789abcdef",
            "--resolve", f"box.example:{ours.port}:127.0.0.1"]
    for host in ("127.0.0.1", "box.example"):
        done = subprocess.run([*call, f"https://{host}:{ours.port}/debug/pprof/goroutine?debug=2", "-o", tmp_path / host],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert unpark("dump", tmp_path / host, "--json").json()["summary"]["goroutines"] > 7
    refused = subprocess.run([*call[:4], f"https://127.0.0.1:{ours.port}/"], capture_output=True, text=True, check=False)
    assert refused.returncode == 60, refused.stderr
    result = unpark("dump", f"{ours.url}/debug/pprof/goroutine?debug=2")
    assert result.code != 0 and "not trusted" in result.err and "--cacert" in result.err, result


@needs_openssl
def test_scraped_over_tls(secured, scrape, newest, tmp_path):
    ours = secured("--token", "0123456789abcdef")
    answers, path = scrape(f"{ours.url}/debug/pprof/goroutine", "conprof/0.24.0", "0123456789abcdef", ours.authority)
    assert check_scraped(answers, path, newest, tmp_path) == [b"goroutine"]
    answers, _ = scrape(f"{ours.url}/debug/pprof/goroutine", "conprof/0.24.0", "0123456789abcdeX", ours.authority)
    assert {answer["status"] for answer in answers} == {401}


@needs_openssl
def test_certificates_that_cannot_serve(served, unpark, tmp_path):
    """Each is refused before anything listens, in one line that says which file is wrong."""
    certificate, key = certify(tmp_path)
    _, other = certify(tmp_path, "rsa")
    (tmp_path / "empty").write_text("")
    (tmp_path / "garbage").write_bytes(bytes(range(256)) * 8)
    half = tmp_path / "half.pem"
    half.write_text(certificate.read_text()[:300])
    locked = tmp_path / "locked.key"
    subprocess.run([OPENSSL, "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked], check=True,
                   capture_output=True)
    for words, named in (((certificate, other), "--key"), ((certificate, locked), "--key"), ((certificate, tmp_path / "empty"), "--key"),
                         ((certificate, tmp_path / "garbage"), "--key"), ((half, key), "--cert"),
                         ((tmp_path / "empty", key), "--cert"), ((tmp_path / "garbage", key), "--cert"),
                         ((key, certificate), "--cert"), ((tmp_path / "none", key), "none"), ((certificate, tmp_path), str(tmp_path))):
        result = unpark("pprof", served.pid, "--listen", "127.0.0.1:0", "--cert", words[0], "--key", words[1])
        assert result.code != 0 and result.out == "" and len(result.err.splitlines()) == 1, (words, result)
        assert named in result.err, (words, result)
    for one in (("--cert", certificate), ("--key", key)):
        result = unpark("pprof", served.pid, "--listen", "127.0.0.1:0", *one)
        assert result.code == 2 and "belong together" in result.err, result
