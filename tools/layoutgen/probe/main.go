// Command probe makes the linker keep the runtime types that Unpark reads. It is built, never run:
// layoutgen reads its DWARF.
package main

import (
	"context"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

// features holds what only some releases can do; files with build tags add to it.
var features []func()

type object struct {
	value *int
	words [4]uintptr
}

// channels touches hchan, sudog and waitq.
func channels() {
	c := make(chan *object, 2)
	d := make(chan struct{})
	go func() { c <- &object{} }()
	go close(d)
	for i := 0; i < 2; i++ {
		select {
		case o := <-c:
			runtime.KeepAlive(o)
		case <-d:
			d = nil
		}
	}
}

// locks touches the semaphore table and notifyList.
func locks() {
	var mu sync.Mutex
	var rw sync.RWMutex
	var group sync.WaitGroup
	var once sync.Once
	cond := sync.NewCond(&mu)
	group.Add(1)
	go func() {
		defer group.Done()
		mu.Lock()
		defer mu.Unlock()
		cond.Wait()
	}()
	rw.RLock()
	once.Do(rw.RUnlock)
	cond.Broadcast()
	group.Wait()
}

// timers touches timer, timers and p.
func timers() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	defer time.AfterFunc(time.Hour, func() {}).Stop()
	select {
	case <-ticker.C:
	case <-ctx.Done():
	}
	time.Sleep(time.Microsecond)
}

// poll touches pollDesc and internal/poll.FD.
func poll() {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	defer r.Close()
	defer w.Close()
	if err := r.SetReadDeadline(time.Now()); err != nil {
		panic(err)
	}
	if n, err := r.Read(make([]byte, 1)); err != nil {
		runtime.KeepAlive(n)
	}
}

// heap touches mheap, mspan, the specials, _defer and _panic.
func heap() {
	defer func() { runtime.KeepAlive(recover()) }()
	o := &object{}
	runtime.SetFinalizer(o, func(o *object) { o.value = nil })
	runtime.GC()
	labels := pprof.Labels("kind", "probe")
	pprof.Do(context.Background(), labels, func(context.Context) { runtime.LockOSThread() })
	if p := pprof.Lookup("goroutine"); p != nil {
		runtime.KeepAlive(p.Count())
	}
	panic(o)
}

func main() {
	features = append(features, channels, locks, timers, poll, heap)
	for _, feature := range features {
		feature()
	}
}
