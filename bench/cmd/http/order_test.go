package main

import (
	"bytes"
	"net/url"
	"testing"
	"time"
)

func TestAnOrderIsReadAsItWasWritten(t *testing.T) {
	for _, o := range []order{
		{path: "/a"},
		{path: "/b", size: 1 << 20, wait: 120 * time.Millisecond, over: 2 * time.Second, private: true, unsized: true, fault: cuts},
	} {
		u, err := url.Parse(o.uri())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := orderOf(u); got != o || err != nil {
			t.Errorf("orderOf(%s) = %+v, %v; want %+v", u, got, err, o)
		}
	}
	for _, bad := range []string{"/?size=-1", "/?size=x", "/?wait=1", "/?over=soon"} {
		u, _ := url.Parse(bad)
		if o, err := orderOf(u); err == nil {
			t.Errorf("orderOf(%s) = %+v, want an error", bad, o)
		}
	}
}

func TestBodiesOfDifferentPathsAndSizesDiffer(t *testing.T) {
	a, again, b := order{path: "/a", size: 1000}.body(), order{path: "/a", size: 1000}.body(), order{path: "/b", size: 1000}.body()
	if len(a) != 1000 || !bytes.Equal(a, again) || bytes.Equal(a, b) || bytes.HasPrefix(a, order{path: "/a", size: 500}.body()) {
		t.Error("a body is not determined by its path and size, or not by both")
	}
}
