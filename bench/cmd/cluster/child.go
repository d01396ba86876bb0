package main

import (
	"fmt"
	"io"

	"github.com/corralcache/corral/bench/internal/child"
)

// serveChild is main in a process of this program that serves another one.
func serveChild(log io.Writer) int {
	switch role := child.Role(); role {
	case "node":
		return child.Serve(new(Member), log)
	case "nats":
		return child.Serve(new(Exchange), log)
	case "etcd":
		return child.Serve(new(Registry), log)
	default:
		fmt.Fprintf(log, "role %q: there is no such child\n", role)
		return 1
	}
}

// Nothing is what a method of a child takes or gives that takes or gives
// nothing.
type Nothing = child.Nothing
