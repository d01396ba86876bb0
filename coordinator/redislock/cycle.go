package redislock

import (
	"strings"
	"sync"
)

// maxHops is how many processes a search for a ring goes through.
const maxHops = 16

// searching are the Joins of this process, of all its caches, that wait for a
// lease: loads of one cache ask the others.
//
// A Join that others wait behind sends a probe to the holder of the lease that
// it waits for. Whoever is sent one looks which of its own Joins that lease's
// load waits for, and sends it on to the holders of theirs. A probe that comes
// home has gone round a ring.
var searching struct {
	sync.Mutex
	joins map[*waiter]struct{}
}

// search makes w one that probes find, and sends one if a load waits for it.
func (w *waiter) search() (leave func()) {
	searching.Lock()
	if searching.joins == nil {
		searching.joins = map[*waiter]struct{}{}
	}
	searching.joins[w] = struct{}{}
	searching.Unlock()
	if w.request.Behind != nil && len(w.request.Behind()) > 0 {
		go w.probe(w.token, maxHops)
	}
	return func() {
		searching.Lock()
		defer searching.Unlock()
		delete(searching.joins, w)
	}
}

// probe asks the holder of the lease that w waits for, on behalf of the Join
// that is named by its token.
func (w *waiter) probe(origin string, hops uint64) {
	w.c.mu.Lock()
	behind := w.behind
	w.c.mu.Unlock()
	if holder := holderOf(behind); holder != "" && hops > 0 {
		w.c.send(holder, letterProbe, behind, hops, origin)
	}
}

// probed sees to a probe: l.token is the lease that its sender waits for.
func probed(l letter) {
	for _, w := range behindLease(l.token) {
		if w.token == l.rest {
			select {
			case w.mail <- letter{kind: letterProbe}:
			default:
			}
			continue
		}
		w.probe(l.rest, l.fence-min(l.fence, 1))
	}
}

// behindLease are the Joins that the load under a lease waits for.
func behindLease(token string) (joins []*waiter) {
	searching.Lock()
	all := make([]*waiter, 0, len(searching.joins))
	for w := range searching.joins {
		all = append(all, w)
	}
	searching.Unlock()
	for _, w := range all {
		for _, behind := range w.request.Behind() {
			if held, ok := behind.(*lease); ok && held.token == token {
				joins = append(joins, w)
				break
			}
		}
	}
	return joins
}

// holderOf is the process that a token names.
func holderOf(token string) string {
	process, _, _ := strings.Cut(token, ".")
	return process
}
