package placement

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/dchest/siphash"
)

// Partition returns the partition that key belongs to, from 0 to partitions-1:
// its SipHash-2-4 under hashKey, modulo partitions (P1). The hash is keyed so that
// nobody who chooses keys can have them all fall to one owner. It panics if
// partitions is not positive.
func Partition(hashKey [16]byte, key string, partitions int) int {
	if partitions <= 0 {
		panic(fmt.Sprintf("placement: partition of %q: partitions is %d: a cluster has at least 1", key, partitions))
	}
	k0, k1 := binary.LittleEndian.Uint64(hashKey[:8]), binary.LittleEndian.Uint64(hashKey[8:])
	return int(siphash.Hash(k0, k1, bytesOf(key)) % uint64(partitions))
}

// bytesOf returns the bytes of s themselves, to be read only: a conversion
// copies what is longer than 32 bytes to the heap, for every request.
func bytesOf(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s))
}
