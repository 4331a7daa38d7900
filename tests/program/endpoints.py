"""Programs that serve pprof themselves, and unpark pprof for those that do not."""

import http.client
import re
import signal
import subprocess

from conftest import UNPARK

PROGRAM = """
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime/pprof"
	"sync"
)

//go:noinline
func leak(count int) {
	for i := 0; i < count; i++ {
		go func() { <-make(chan int) }()
	}
}

func deep(depth int, end func()) {
	if depth == 0 {
		end()
		return
	}
	deep(depth-1, end)
}

var held sync.Mutex

func main() {
	leak(7)
	held.Lock()
	for _, tenant := range []string{"t0", "t1", "t0"} {
		pprof.Do(context.Background(), pprof.Labels("tenant", tenant, "op", "a \\"b\\"\\t"), func(context.Context) {
			go func() { held.Lock() }()
		})
	}
	go func() { deep(20, func() { select {} }) }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, nil)
	fmt.Println("ready", listener.Addr())
	os.Stdin.Read(make([]byte, 1))
}
"""


class Served:
    """A running fixture that serves pprof itself."""

    def __init__(self, start, toolchain, kind="default"):
        self.toolchain = toolchain
        self.program = start(toolchain.build_source(PROGRAM, kind))
        self.pid = self.program.pid
        self.address = self.program.words[0]
        self.url = f"http://{self.address}"
        while b"[runnable]" in self.get("/debug/pprof/goroutine?debug=2"):
            pass  # not every goroutine has come to where it stays

    def get(self, path):
        host, port = self.address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        assert response.status == 200, (path, body)
        return body


class Endpoint:
    """unpark pprof, running: .port, .url, .token; .tls is the ssl context to ask with, when it serves HTTPS."""

    def __init__(self, *words, listen="127.0.0.1:0"):
        self.process = subprocess.Popen([str(UNPARK), "pprof", *map(str, words), "--listen", listen],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, text=True)
        self.line = self.process.stdout.readline()
        if not self.line:
            raise RuntimeError(self.process.stderr.read())
        match = re.search(r" at (https?)://(\S+):(\d+)/debug/pprof/(?:\?token=(\S+))?$", self.line)
        assert match, self.line
        self.port = int(match[3])
        self.token = match[4]
        self.url = f"{match[1]}://127.0.0.1:{self.port}"
        self.tls = None

    def get(self, path, method="GET", **headers):
        """(status, headers, body); a header may be given as None to leave it out."""
        if self.tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=self.tls)
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            if value is not None:
                connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, response.headers, body

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.finish()

    def finish(self):
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, err
