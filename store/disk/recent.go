package disk

import "sync/atomic"

// recent remembers which keys were read since eviction passed them last: a bit
// for each of as many hashes, whatever is on disk. Two keys with one bit save each
// other once in a while.
type recent struct {
	bits [recentBits / 64]atomic.Uint64
}

const recentBits = 1 << 20

func recentBit(key string) (word uint32, mask uint64) {
	h := hash(key)
	bit := uint32(h^h>>32) % recentBits
	return bit / 64, 1 << (bit % 64)
}

func (r *recent) note(key string) {
	word, mask := recentBit(key)
	if r.bits[word].Load()&mask == 0 { // the line is shared by readers most of the time
		r.bits[word].Or(mask)
	}
}

// take reports whether a key was read, and forgets it.
func (r *recent) take(key string) bool {
	word, mask := recentBit(key)
	return r.bits[word].And(^mask)&mask != 0
}
