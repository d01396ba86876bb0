package upstream

import (
	"math"
	"slices"
	"time"
)

// A member is a server as the choice sees it.
type member struct {
	index    int // among the pool's servers
	weight   int
	inFlight int
	turns    int    // how far it is behind its share of turns, in weights
	seed     uint64 // what it hashes keys with
	standing standing
}

// A roster chooses among members. It has no clock and no lock: its pool has.
//
// Invariants:
//
//	C1. A member with limit requests is not chosen.
//	C2. One that is not available is not chosen while at least minHealthy of the
//	    members are, and one at least.
//	C3. One that was tried is not chosen while another may be.
//	C4. If one may be chosen, one is.
//	C5. By Hash, a key's member depends on nothing but the key and on which
//	    members may be chosen.
//	C6. When a member comes back and no other is healthy, the time of the others'
//	    ejections is over: what failed together may be well together, and all
//	    requests would go to the first.
type roster struct {
	members    []*member
	policy     Policy
	limit      int     // of requests at one member; negative: none
	hashBound  float64 // 0: none
	minHealthy float64

	candidates []*member // scratch of choose
}

// choose gives a member for a request, or nil if none has room.
func (r *roster) choose(now time.Time, key uint64, tried []*member) *member {
	from := r.eligible(now)
	if slices.ContainsFunc(from, func(m *member) bool { return !slices.Contains(tried, m) }) {
		from = slices.DeleteFunc(from, func(m *member) bool { return slices.Contains(tried, m) })
	}
	from = slices.DeleteFunc(from, func(m *member) bool { return r.limit >= 0 && m.inFlight >= r.limit })
	switch {
	case len(from) == 0:
		return nil
	case len(from) == 1:
		return from[0]
	case r.policy == Hash:
		return rendezvous(r.unburdened(from), key)
	case r.policy == LeastRequests:
		from = least(from)
	}
	return turn(from)
}

// eligible are the members whose health lets them be chosen.
func (r *roster) eligible(now time.Time) []*member {
	from := r.candidates[:0]
	for _, m := range r.members {
		if m.standing.available(now) {
			from = append(from, m)
		}
	}
	if len(from) == 0 || float64(len(from)) < r.minHealthy*float64(len(r.members)) {
		from = append(from[:0], r.members...)
	}
	r.candidates = from
	return from
}

// returned is for when a member came back (C6).
func (r *roster) returned(now time.Time, back *member) {
	for _, m := range r.members {
		if m != back && m.standing.healthy() {
			return
		}
	}
	for _, m := range r.members {
		m.standing.parole(now)
	}
}

// nextTrial is how long it takes until time alone makes a member available; 0
// if it does for none.
func (r *roster) nextTrial(now time.Time) time.Duration {
	var next time.Duration
	for _, m := range r.members {
		if d := m.standing.untilTrial(now); d > 0 && (next == 0 || d < next) {
			next = d
		}
	}
	return next
}

// unburdened are those that would not have more than hashBound times their
// share of the requests in flight with one more. There is always one, since
// hashBound is above 1: shares add up to the whole.
func (r *roster) unburdened(from []*member) []*member {
	if r.hashBound == 0 {
		return from
	}
	requests, weights := 1, 0
	for _, m := range from {
		requests += m.inFlight
		weights += m.weight
	}
	return slices.DeleteFunc(from, func(m *member) bool {
		share := float64(requests) * float64(m.weight) / float64(weights)
		return float64(m.inFlight+1) > math.Ceil(r.hashBound*share)
	})
}

// least are those with the fewest requests for their weight.
func least(from []*member) []*member {
	fewest := from[0]
	for _, m := range from {
		if lessBusy(m, fewest) {
			fewest = m
		}
	}
	// fewest may move while others are deleted before it
	requests, weight := fewest.inFlight, fewest.weight
	return slices.DeleteFunc(from, func(m *member) bool { return m.inFlight*weight != requests*m.weight })
}

func lessBusy(a, b *member) bool { return a.inFlight*b.weight < b.inFlight*a.weight }

// turn gives the next by weight, spread as evenly as weights allow: a, b, a for
// weights 2 and 1, not a, a, b (nginx's smooth weighted round robin).
func turn(from []*member) *member {
	sum, next := 0, from[0]
	for _, m := range from {
		m.turns += m.weight
		sum += m.weight
		if m.turns > next.turns {
			next = m
		}
	}
	next.turns -= sum
	return next
}

// rendezvous gives the member with the highest score for a key. A member's
// chance to have it is its part of the weights.
func rendezvous(from []*member, key uint64) *member {
	var best *member
	highest := math.Inf(-1)
	for _, m := range from {
		// A number in (0, 1) from the upper 52 bits: its logarithm is below 0.
		part := (float64(mix(key^m.seed)>>12) + 0.5) / (1 << 52)
		if score := float64(m.weight) / -math.Log(part); score > highest {
			highest, best = score, m
		}
	}
	return best
}

// hash is FNV-1a of texts, each with a zero byte at its end: it must be the same
// in every process, which maphash is not.
func hash(texts ...string) uint64 {
	const basis, prime = 0xcbf29ce484222325, 0x100000001b3
	h := uint64(basis)
	for _, text := range texts {
		for i := range len(text) {
			h = (h ^ uint64(text[i])) * prime
		}
		h *= prime
	}
	return h
}

// mix spreads each bit of a number over all (the finaliser of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
