package main

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"
)

// An order is what a URL asks of the origin. It travels in the query, so that
// contenders need no rules.
type order struct {
	path    string
	size    int           // bytes of the body
	wait    time.Duration // before the header
	over    time.Duration // in which the body arrives, in pieces
	private bool          // an answer that must not be shared, and differs each time
	unsized bool          // without Content-Length
	fault   fault
}

// A fault is what goes wrong.
type fault string

const (
	none  fault = ""
	fails fault = "500"  // the first call is answered with 500
	cuts  fault = "cut"  // the first answer ends in the middle of its body
	hangs fault = "hang" // no call is answered until the origin is healed; those made before never are
)

// pieces is the number of pieces in which a body arrives that takes its time.
const pieces = 20

func (o order) uri() string {
	q := url.Values{"size": {strconv.Itoa(o.size)}}
	set := func(yes bool, name, value string) {
		if yes {
			q.Set(name, value)
		}
	}
	set(o.wait > 0, "wait", o.wait.String())
	set(o.over > 0, "over", o.over.String())
	set(o.private, "private", "1")
	set(o.unsized, "unsized", "1")
	set(o.fault != none, "fault", string(o.fault))
	return o.path + "?" + q.Encode()
}

func orderOf(u *url.URL) (order, error) {
	q := u.Query()
	o := order{path: u.Path, private: q.Has("private"), unsized: q.Has("unsized"), fault: fault(q.Get("fault"))}
	for name, d := range map[string]*time.Duration{"wait": &o.wait, "over": &o.over} {
		if !q.Has(name) {
			continue
		}
		var err error
		if *d, err = time.ParseDuration(q.Get(name)); err != nil {
			return o, fmt.Errorf("order %q: %w", u, err)
		}
	}
	if q.Has("size") {
		var err error
		if o.size, err = strconv.Atoi(q.Get("size")); err != nil || o.size < 0 {
			return o, fmt.Errorf("order %q: size must be a number of bytes", u)
		}
	}
	return o, nil
}

// body is what the origin answers with: noise that depends on the path, so that
// another URL's body is never taken for this one's.
func (o order) body() []byte {
	hash := fnv.New64a()
	hash.Write([]byte(o.path))
	noise := rand.NewPCG(hash.Sum64(), uint64(o.size))
	body := make([]byte, 0, o.size+7)
	for len(body) < o.size {
		n := noise.Uint64()
		body = append(body, byte(n), byte(n>>8), byte(n>>16), byte(n>>24), byte(n>>32), byte(n>>40), byte(n>>48), byte(n>>56))
	}
	return body[:o.size]
}
