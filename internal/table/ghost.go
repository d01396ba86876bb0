package table

import "math/bits"

// ghosts remembers keys whose value the policy has taken: for each a
// fingerprint, from which queue it went, and its stamp.
//
// A bucket is a queue of the youngest slotsPerBucket ghosts whose hash leads to
// it, so 2 slots for each value that is there now remember about two cache
// contents, in 8 bytes a value, without pointers. The hash is seeded: who can
// choose keys cannot choose buckets or fingerprints. A false match, one lookup
// in 8,000, admits one value as if it had been seen before.
//
// Invariants:
//
//	G1. There are at most 2.5 slots for each value that was there at the last add,
//	    or 1.25 times those of minBuckets if that is more, rounded up to a bucket.
//	G2. A bucket holds its ghosts from the youngest to the oldest, then zeros.
type ghosts struct {
	buckets []bucket
}

type bucket [slotsPerBucket]ghost

const (
	slotsPerBucket = 16 // a cache line
	minBuckets     = 16 // 1 KiB
)

// A ghost is, from the top: 17 bits of the key's hash, never all zero; one bit
// for the queue; 14 bits of the stamp.
type ghost uint32

const (
	stampBits = 14
	stampMask = 1<<stampBits - 1
	mainBit   = 1 << stampBits
	printBits = 32 - stampBits - 1
	printMask = (1<<printBits - 1) << (stampBits + 1)
)

func (g ghost) fromMain() bool { return g&mainBit != 0 }

// age returns the ticks from the ghost's stamp to now.
func (g ghost) age(now uint16) uint16 { return (now - uint16(g)) & stampMask }

// fingerprint returns the top bits of a ghost with this hash.
func fingerprint(hash uint64) ghost {
	return ghost(max(hash&(1<<printBits-1), 1) << (stampBits + 1))
}

// take forgets the ghost of hash and returns it, 0 if there is none.
func (gs *ghosts) take(hash uint64) ghost {
	if len(gs.buckets) == 0 {
		return 0
	}
	b := gs.bucket(hash)
	print := fingerprint(hash)
	for i, g := range b {
		if g&printMask == print {
			copy(b[i:], b[i+1:])
			b[slotsPerBucket-1] = 0
			return g
		}
	}
	return 0
}

// add remembers that a key with this hash went age ticks after its stamp,
// while there are values of them left.
func (gs *ghosts) add(hash uint64, fromMain bool, age, now uint16, values int) {
	gs.fit(values)
	g := fingerprint(hash) | ghost(now-min(age, stampMask))&stampMask
	if fromMain {
		g |= mainBit
	}
	b := gs.bucket(hash)
	copy(b[1:], b[:])
	b[0] = g
}

// bucket spreads the hashes evenly over any number of buckets by their top bits;
// fingerprints are made of the lowest.
func (gs *ghosts) bucket(hash uint64) *bucket {
	i, _ := bits.Mul64(hash, uint64(len(gs.buckets)))
	return &gs.buckets[i]
}

// fit keeps between 2 and 2.5 slots a value (G1), so that resizing is rare.
func (gs *ghosts) fit(values int) {
	want := max(minBuckets, (2*values+slotsPerBucket-1)/slotsPerBucket)
	switch have := len(gs.buckets); {
	case have == 0:
		gs.buckets = make([]bucket, want)
	case have < want || have > want*5/4:
		gs.resize(want * 9 / 8)
	}
}

// resize moves the ghosts to n buckets. A bucket covers a range of hashes of
// which the ghosts do not tell the part, so each new bucket inherits from all
// old ones that overlap its range, the youngest first; those that do not belong
// there are never matched and leave at the end of the queue.
func (gs *ghosts) resize(n int) {
	old := gs.buckets
	gs.buckets = make([]bucket, n)
	for i := range gs.buckets {
		first, last := i*len(old)/n, ((i+1)*len(old)-1)/n
		gs.buckets[i].inherit(old[first : last+1])
	}
}

// inherit fills b with the youngest of the parents' ghosts, in rounds.
func (b *bucket) inherit(parents []bucket) {
	filled := 0
	for rank := range slotsPerBucket {
		for i := range parents {
			if g := parents[i][rank]; g != 0 && filled < slotsPerBucket {
				b[filled] = g
				filled++
			}
		}
	}
}
