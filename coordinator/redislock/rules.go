package redislock

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// maxPrefixes is how many invalidated prefixes are remembered, in Redis and in
// each process. One more, and everything counts as invalidated.
const maxPrefixes = 256

// rules are the newest invalidations by tag, by prefix and of everything, as
// Redis has them too. Those of keys are not here: they end what Redis has of the
// key before anybody is told (L5).
//
// A tag has one of 2^16 places, the same in every process: a collision
// invalidates too much, never too little.
type rules struct {
	all      uint64
	tags     map[uint16]uint64
	prefixes map[string]uint64
}

func newRules() rules {
	return rules{tags: map[uint16]uint64{}, prefixes: map[string]uint64{}}
}

// slot is where a tag's revision stands, in every process and every release.
func slot(tag string) uint16 {
	h := fnv.New32a()
	h.Write([]byte(tag))
	sum := h.Sum32()
	return uint16(sum>>16) ^ uint16(sum)
}

// last is the newest invalidation that concerns a value, those of its key apart.
func (r *rules) last(key string, tags []string) uint64 {
	last := r.all
	for prefix, revision := range r.prefixes {
		if revision > last && strings.HasPrefix(key, prefix) {
			last = revision
		}
	}
	for _, tag := range tags {
		last = max(last, r.tags[slot(tag)])
	}
	return last
}

func (r *rules) tag(slot uint16, revision uint64) { r.tags[slot] = max(r.tags[slot], revision) }

func (r *rules) prefix(prefix string, revision uint64) {
	r.prefixes[prefix] = max(r.prefixes[prefix], revision)
	if len(r.prefixes) <= maxPrefixes {
		return
	}
	for _, revision := range r.prefixes {
		r.all = max(r.all, revision)
	}
	clear(r.prefixes)
}

// read takes in what Redis remembers: the fields of its state, as it answers
// HGETALL. What this process knows already stays: Redis may have lost it.
func (r *rules) read(all uint64, state []string) {
	r.all = max(r.all, all)
	for i := 0; i+1 < len(state); i += 2 {
		kind, name, found := strings.Cut(state[i], ":")
		revision, err := strconv.ParseUint(state[i+1], 10, 64)
		if !found || err != nil {
			continue
		}
		switch kind {
		case "t":
			if at, err := strconv.ParseUint(name, 10, 16); err == nil {
				r.tag(uint16(at), revision)
			}
		case "p":
			r.prefix(name, revision)
		}
	}
}
