// Orders is a small web shop back end that leaks goroutines the way real services do. Nothing in it is
// contrived: every leak is a mistake found in production code, noted where it happens. It drives itself
// with a few hundred requests, prints "ready ADDRESS PID" and serves until stdin ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

type order struct {
	id    int
	items []string
}

// ---- prices: the result channel has no buffer, and the caller gives up after a timeout ----

type quote struct {
	cents int
	err   error
}

func askSupplier(id int) quote {
	time.Sleep(3 * time.Millisecond)
	return quote{cents: 100 * id}
}

// price returns the supplier's price, or an error after a millisecond. The goroutine that asks then
// sends to a channel that nobody receives from any more.
func price(ctx context.Context, o order) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	result := make(chan quote)
	go func() {
		result <- askSupplier(o.id)
	}()
	select {
	case q := <-result:
		return q.cents, q.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// ---- stock: the first error returns early, and the other senders stay ----

func checkStock(o order) error {
	failures := make(chan error)
	for i := range o.items {
		go func(i int) {
			failures <- fmt.Errorf("item %d of order %d is out of stock", i, o.id)
		}(i)
	}
	for range o.items {
		if err := <-failures; err != nil {
			return err
		}
	}
	return nil
}

// ---- mail: an early return skips Done, so that Wait never ends ----

var errNoAddress = errors.New("no address")

func notify(o order, done *sync.WaitGroup) error {
	if o.id%3 == 0 {
		return errNoAddress
	}
	done.Done()
	return nil
}

func notifyAll(orders []order) {
	var done sync.WaitGroup
	for _, o := range orders {
		done.Add(1)
		go notify(o, &done)
	}
	done.Wait()
}

// ---- sessions: every session starts a janitor, and closing a session forgets to stop it ----

type session struct {
	mu      sync.Mutex
	values  map[string]string
	expired chan string
}

func newSession() *session {
	s := &session{values: map[string]string{}, expired: make(chan string)}
	go s.janitor()
	return s
}

func (s *session) janitor() {
	for key := range s.expired {
		s.mu.Lock()
		delete(s.values, key)
		s.mu.Unlock()
	}
}

// ---- accounts: two locks taken in two orders ----

type account struct {
	mu      sync.Mutex
	balance int
}

func transfer(from, to *account, cents int, meet *sync.WaitGroup) {
	from.mu.Lock()
	defer from.mu.Unlock()
	meet.Done()
	meet.Wait()
	to.mu.Lock()
	defer to.mu.Unlock()
	from.balance -= cents
	to.balance += cents
}

func settleAccounts() {
	a, b := &account{balance: 100}, &account{balance: 100}
	var meet sync.WaitGroup
	meet.Add(2)
	go transfer(a, b, 10, &meet)
	go transfer(b, a, 20, &meet)
}

// ---- export: the reader gives up, and nobody closes the pipe ----

func export(o order) error {
	r, w := io.Pipe()
	go func() {
		for i := 0; i < 100; i++ {
			fmt.Fprintf(w, "order %d line %d\n", o.id, i)
		}
		w.Close()
	}()
	head := make([]byte, 8)
	_, err := io.ReadFull(r, head)
	return err
}

// ---- feed: a subscriber whose channel was never made ----

type feed struct{ updates chan order }

func (f *feed) follow() {
	for o := range f.updates {
		fmt.Fprintln(io.Discard, o.id)
	}
}

// ---- work that is healthy, so that there is something to tell apart ----

func workers(n int, queue <-chan order) {
	for i := 0; i < n; i++ {
		go func() {
			for o := range queue {
				price(context.Background(), o)
			}
		}()
	}
}

func heartbeat() {
	for range time.Tick(time.Second) {
	}
}

var queue = make(chan order, 16)

func place(w http.ResponseWriter, r *http.Request) {
	o := order{id: time.Now().Nanosecond() % 1000, items: []string{"pen", "ink", "paper"}}
	price(r.Context(), o)
	checkStock(o)
	export(o)
	newSession()
	fmt.Fprintln(w, "ok")
}

// drive sends N requests to the service and reads every answer.
func drive(address string, n int) {
	for i := 0; i < n; i++ {
		answer, err := http.Get("http://" + address + "/orders")
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/orders", place)
	go http.Serve(listener, nil)
	go heartbeat()
	workers(4, queue)
	drive(listener.Addr().String(), 60)
	go notifyAll([]order{{id: 1}, {id: 2}, {id: 3}})
	settleAccounts()
	go (&feed{}).follow()
	time.Sleep(20 * time.Millisecond) // the suppliers answer; their callers are long gone
	fmt.Println("ready", listener.Addr(), os.Getpid())
	io.Copy(io.Discard, os.Stdin)
}
