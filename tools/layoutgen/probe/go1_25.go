//go:build go1.25

package main

import (
	"testing"
	"testing/synctest"
	"time"
)

func init() { features = append(features, bubbles) }

// bubbles touches synctestBubble.
func bubbles() {
	testing.Main(func(_, _ string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: "bubble",
		F: func(t *testing.T) {
			synctest.Test(t, func(*testing.T) {
				time.Sleep(time.Second)
				synctest.Wait()
			})
		},
	}}, nil, nil)
}
