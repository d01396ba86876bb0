package main

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// An answer is what a client got. Times count from the moment at which its
// request was due.
type answer struct {
	status int           // 0: no header came
	first  time.Duration // to the first byte of the body
	took   time.Duration // to the end
	length int64
	whole  bool   // its framing says that it is all there
	right  bool   // it is, byte by byte, what the origin must have sent
	lead   []byte // its first bytes
	closes bool   // the connection cannot be used again
	err    error
}

// leadBytes is how much of a body an answer keeps.
const leadBytes = 16

// A verdict is what an answer is worth.
type verdict string

const (
	good      verdict = "good"
	failed    verdict = "error"     // a status that says so
	broken    verdict = "broken"    // a 200 whose end is missing, as the client can see
	truncated verdict = "truncated" // a 200 that looks whole and is not what the origin sent
	unheard   verdict = "none"      // nothing, or not in time
)

func (a answer) verdict() verdict {
	switch {
	case a.status == 0:
		return unheard
	case a.status != http.StatusOK:
		return failed
	case !a.whole:
		return broken
	case !a.right:
		return truncated
	}
	return good
}

// must is an error unless the answer to an order is good.
func (a answer) must(o order) error {
	if a.verdict() == good {
		return nil
	}
	return errors.Join(fmt.Errorf("GET %s: status %d, %s", o.uri(), a.status, a.verdict()), a.err)
}
