//go:build go1.23

package main

import (
	"iter"
	"unique"
)

func init() { features = append(features, coroutines, handles) }

// coroutines touches coro.
func coroutines() {
	next, stop := iter.Pull(iter.Seq[int](func(yield func(int) bool) { yield(1) }))
	defer stop()
	next()
}

// handles touches the weak handles.
func handles() {
	if unique.Make("probe").Value() == "" {
		panic("empty")
	}
}
