"""A headless Chromium for tests of pages, driven through ChromeDriver's WebDriver protocol with what Python has.

`open_browser()` is a context manager that gives a Browser, or skips the test when Chromium or ChromeDriver
(Debian packages chromium, chromium-driver) is not there."""

import base64
import contextlib
import json
import pathlib
import re
import selectors
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest

KEYS = {"Escape": "\ue00c", "Enter": "\ue007", "Down": "\ue015", "Up": "\ue013", "Control": "\ue009"}


class Browser:
    """One browser session; every method fails the test when the browser complains."""

    def __init__(self, port, session):
        self.port = port
        self.session = session

    def call(self, method, path, body=None):
        """One WebDriver command of this session; its value."""
        return command(self.port, method, f"/session/{self.session}{path}", body)

    def open(self, path, fragment=""):
        """Loads the file at PATH, through file:// as a reader of a ticket does."""
        self.requests()
        self.complaints()
        self.call("POST", "/url", {"url": pathlib.Path(path).resolve().as_uri() + fragment})

    def run(self, script, *arguments):
        """The result of a function body in the page."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script, timeout=120):
        """Waits until the function body is true."""
        deadline = time.monotonic() + timeout
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"never true in the page: {script}"
            time.sleep(0.02)
        return value

    def find(self, selector):
        """The first element that fits the CSS selector."""
        return next(iter(self.call("POST", "/element", {"using": "css selector", "value": selector}).values()))

    def click(self, selector):
        self.call("POST", f"/element/{self.find(selector)}/click", {})

    def type(self, selector, text):
        """Clicks and types, key by key: WebDriver's own way of sending text loses it in XML documents."""
        self.click(selector)
        self.keys(*text)

    def keys(self, *names, held=()):
        """Presses keys by name or character, with HELD ones down."""
        down = [{"type": "keyDown", "value": KEYS.get(name, name)} for name in held]
        strokes = [{"type": kind, "value": KEYS.get(name, name)} for name in names for kind in ("keyDown", "keyUp")]
        up = [{"type": "keyUp", "value": KEYS.get(name, name)} for name in held]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": down + strokes + up}]})

    def hover(self, selector):
        origin = {"element-6066-11e4-a52e-4f735466cecf": self.find(selector)}
        self.call("POST", "/actions", {"actions": [{
            "type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"},
            "actions": [{"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": origin}]}]})

    def screenshot(self, path):
        pathlib.Path(path).write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def resize(self, width, height):
        self.call("POST", "/window/rect", {"width": width, "height": height})

    def scheme(self, name):
        """Lets pages believe that the reader prefers the "light" or "dark" scheme."""
        self.call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {
            "features": [{"name": "prefers-color-scheme", "value": name}]}})

    def complaints(self):
        """What the console said since it was last asked: errors, policy violations, warnings."""
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]

    def requests(self):
        """The addresses that were requested since it was last asked, but for the browser's own first page, and what
        fetches nothing."""
        messages = [json.loads(entry["message"])["message"]
                    for entry in self.call("POST", "/se/log", {"type": "performance"})]
        return [message["params"]["request"]["url"] for message in messages
                if message["method"] == "Network.requestWillBeSent"
                and not message["params"]["request"]["url"].startswith(("chrome", "data:"))]


def command(port, method, path, body=None):
    """One WebDriver command; its value."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, method=method,
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        pytest.fail(f"browser: {path}: {error.read().decode(errors='replace')[:500]}")


def read_port(driver):
    """The port that the driver says it listens on."""
    text = ""
    with selectors.DefaultSelector() as selector:
        selector.register(driver.stdout, selectors.EVENT_READ)
        while not (found := re.search(r"successfully on port (\d+)", text)):
            assert selector.select(60), f"chromedriver does not answer: {text}"
            line = driver.stdout.readline()
            assert line, f"chromedriver ended: {text}"
            text += line
    return int(found[1])


@contextlib.contextmanager
def open_browser():
    """A Browser without a network and with an empty profile."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("chromium and chromium-driver are not installed")
    with tempfile.TemporaryDirectory(prefix="unpark-browser-", ignore_cleanup_errors=True) as profile:
        driver = subprocess.Popen([chromedriver, "--port=0"], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        try:
            port = read_port(driver)
            switches = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
                        "--disable-background-networking", "--disable-component-update", "--disable-sync",
                        "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1280,900",
                        f"--user-data-dir={profile}"]
            wish = {"browserName": "chrome", "goog:chromeOptions": {"binary": chromium, "args": switches},
                    "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
            made = command(port, "POST", "/session", {"capabilities": {"alwaysMatch": wish}})
            browser = Browser(port, made["sessionId"])
            try:
                yield browser
            finally:
                browser.call("DELETE", "")
        finally:
            driver.terminate()
            try:
                driver.wait(120)
            except subprocess.TimeoutExpired:
                driver.kill()
                driver.wait()
