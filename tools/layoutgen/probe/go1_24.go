//go:build go1.24

package main

import (
	"runtime"
	"weak"
)

func init() { features = append(features, cleanups) }

// cleanups touches specialCleanup and the cleanup queue.
func cleanups() {
	o := &object{}
	w := weak.Make(o)
	runtime.AddCleanup(o, func(int) {}, 1).Stop()
	runtime.KeepAlive(w.Value())
}
