"""Go programs that leak or do not, and what tests ask of unpark leaks about them."""

import json

import pytest
from conftest import ROOT, run_unpark

HELPERS = """
// await returns when N goroutines have a state of STATES (by "|") and FUNCTION on the stack.
func await(n int, states, function string) {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		buffer := make([]byte, 1<<20)
		count := 0
		for _, record := range strings.Split(string(buffer[:runtime.Stack(buffer, true)]), "\\n\\n") {
			for _, state := range strings.Split(states, "|") {
				if strings.Contains(record, "["+state) && strings.Contains(record, function) {
					count++
					break
				}
			}
		}
		if count >= n {
			return
		}
		if time.Now().After(deadline) {
			panic("not parked: " + function)
		}
	}
}

func end() {
	// the first collection notes when, the second since when goroutines wait
	runtime.GC()
	runtime.GC()
	fmt.Println("ready", os.Getpid())
	io.Copy(io.Discard, os.Stdin)
}
"""

IMPORTS = """package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)
"""

# One goroutine stuck for ever while it holds a lock, and twenty that want the lock.
QUEUE = IMPORTS + HELPERS + """
type account struct {
	mu      sync.Mutex
	changes chan int
}

//go:noinline
func (a *account) apply() {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprint(io.Discard, <-a.changes)
}

//go:noinline
func (a *account) read() {
	a.mu.Lock()
	a.mu.Unlock()
}

func open() {
	a := &account{changes: make(chan int)}
	go a.apply()
	await(1, "chan receive", "main.(*account).apply")
	for i := 0; i < 20; i++ {
		go a.read()
	}
}

func main() {
	done := make(chan bool)
	go func() { open(); close(done) }()
	<-done
	await(20, "sync.Mutex.Lock|semacquire", "main.(*account).read")
	end()
}
"""

# Healthy: a worker that a global variable reaches, and main in select {} (its stdin ends the program).
SERVICE = IMPORTS + HELPERS + """
var jobs = make(chan int)

//go:noinline
func work() {
	for range jobs {
	}
}

func main() {
	var unused sync.Mutex
	unused.Lock()
	go work()
	await(1, "chan receive", "main.work")
	go func() { end(); os.Exit(0) }()
	select {}
}
"""

# Healthy and never at rest.
BUSY = IMPORTS + HELPERS + """
type request struct {
	n      int
	answer chan int
}

func serve(requests <-chan request) {
	for r := range requests {
		r.answer <- r.n + 1
	}
}

func ask(requests chan<- request, mu *sync.Mutex, total *int) {
	for i := 0; ; i++ {
		r := request{i, make(chan int)}
		requests <- r
		n := <-r.answer
		mu.Lock()
		*total += n
		mu.Unlock()
		var group sync.WaitGroup
		for j := 0; j < 3; j++ {
			group.Add(1)
			go func() { defer group.Done(); time.Sleep(time.Millisecond) }()
		}
		group.Wait()
	}
}

func main() {
	requests := make(chan request)
	var mu sync.Mutex
	total := 0
	for i := 0; i < 4; i++ {
		go serve(requests)
	}
	for i := 0; i < 16; i++ {
		go ask(requests, &mu, &total)
	}
	await(0, "", "")
	end()
}
"""

# Each line on stdin leaks one more goroutine that a global variable still reaches: no proof, but growth.
HOARD = IMPORTS + HELPERS + """
var hoard []chan int

//go:noinline
func keep(c chan int) { <-c }

func main() {
	var mu sync.Mutex
	mu.Lock()
	fmt.Println("ready", os.Getpid())
	line := make([]byte, 1)
	for n := 1; ; n++ {
		c := make(chan int)
		hoard = append(hoard, c)
		go keep(c)
		await(n, "chan receive", "main.keep")
		fmt.Println("kept", n)
		if _, err := io.ReadFull(os.Stdin, line); err != nil {
			return
		}
	}
}
"""


# Leaks eight goroutines at one place, and eight at another for each line on stdin.
LATE = IMPORTS + HELPERS + """
//go:noinline
func early(c chan int) { <-c }

//go:noinline
func late(c chan int) { c <- 1 }

func leak(site func(chan int)) {
	done := make(chan bool)
	go func() {
		for i := 0; i < 8; i++ {
			go site(make(chan int))
		}
		close(done)
	}()
	<-done
}

func main() {
	var unused sync.Mutex
	unused.Lock()
	leak(early)
	await(8, "chan receive", "main.early")
	runtime.GC()
	fmt.Println("ready", os.Getpid())
	line := make([]byte, 1)
	for n := 8; ; n += 8 {
		if _, err := io.ReadFull(os.Stdin, line); err != nil {
			return
		}
		leak(late)
		await(n, "chan send", "main.late")
		fmt.Println("leaked", n)
	}
}
"""


def leaks(target, *words, **options):
    """The result of unpark leaks TARGET. A machine under load may stop a program for long."""
    if not any(str(word).startswith("--max-stop") for word in words):
        words = (*words, "--max-stop", "0")
    return run_unpark("leaks", target, *words, **options)


def leaks_json(target, *words, codes=(0, 1)):
    """The object of unpark leaks TARGET --json, which obeys the schema."""
    result = leaks(target, "--json", *words)
    assert result.code in codes, result
    data = result.json()
    check_schema(data)
    return data


_validator = []


def check_schema(data):
    """Asserts that DATA obeys docs/schema/leaks-1.json, and that it says nothing that is not documented."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "docs/schema/leaks-1.json").read_text())
    if not _validator:
        jsonschema.Draft202012Validator.check_schema(schema)
        _validator.append(jsonschema.Draft202012Validator(schema))
    _validator[0].validate(data)
    check_documented(schema, schema, data, "$")


def check_documented(schema, part, data, path):
    """Asserts that every member of DATA is a property of PART of SCHEMA."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rsplit("/", 1)[1]]
    if "oneOf" in part and data is not None:
        references = [choice for choice in part["oneOf"] if "$ref" in choice]
        if references:
            check_documented(schema, references[0], data, path)
    if isinstance(data, dict) and "properties" in part:
        for name, value in data.items():
            assert name in part["properties"], f"{path}.{name}"
            check_documented(schema, part["properties"][name], value, f"{path}.{name}")
    elif isinstance(data, list) and "items" in part:
        for value in data:
            check_documented(schema, part["items"], value, f"{path}[]")


def functions(finding):
    """The functions on the stack of FINDING."""
    return [frame["function"] for frame in finding["stack"]]


def finding_of(data, function):
    """The findings of DATA with FUNCTION on the stack."""
    return [finding for finding in data["findings"] if function in functions(finding)]
