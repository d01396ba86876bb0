package placement

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

var paperKey = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// The hashes are those of Aumasson and Bernstein: SipHash, a fast short-input PRF
// (2012), appendix A, and of the vectors that they published with it: a message is
// the bytes 0, 1, 2, … under the key 0 to 15.
func TestAPartitionIsTheSipHashOfThePaper(t *testing.T) {
	message := ""
	for i := range 63 {
		message += string([]byte{byte(i)})
	}
	for _, v := range []struct {
		length int
		hash   uint64
	}{
		{0, 0x726fdb47dd0e0e31},
		{1, 0x74f839c593dc67fd},
		{7, 0xab0200f58b01d137},
		{8, 0x93f5f5799a932462},
		{15, 0xa129ca6149be45e5},
		{63, 0x958a324ceb064572},
	} {
		for _, partitions := range []int{1, 2, 1000, 1024, math.MaxInt} {
			got := Partition(paperKey, message[:v.length], partitions)
			if want := int(v.hash % uint64(partitions)); got != want {
				t.Errorf("Partition of %d bytes in %d: got %d, want %d", v.length, partitions, got, want)
			}
		}
	}
}

func TestAKeyStaysInItsPartitionForEver(t *testing.T) {
	hashKey := [16]byte{'a', ' ', 'c', 'l', 'u', 's', 't', 'e', 'r', '\'', 's', ' ', 'k', 'e', 'y'}
	for _, v := range []struct {
		key  string
		want int
	}{
		{"", 689},
		{"products\x0042", 660},
		{"products\x0043", 218},
		{"products\x0042 ", 594},
		{"pages\x00https://example.org/" + strings.Repeat("é", 4096), 680},
	} {
		if got := Partition(hashKey, v.key, 1024); got != v.want {
			t.Errorf("Partition(%.40q) = %d, want %d", v.key, got, v.want)
		}
	}
}

func TestKeysSpreadEvenlyOverPartitions(t *testing.T) {
	const keys, partitions = 1 << 18, 1024
	var count [partitions]float64
	for i := range keys {
		count[Partition(paperKey, fmt.Sprint("user:", i), partitions)]++
	}
	chi2 := 0.0
	for _, n := range count {
		chi2 += (n - keys/partitions) * (n - keys/partitions) / (keys / partitions)
	}
	// With 1,023 degrees of freedom, a fair hash is above 1,168 once in 1,000
	// times. The keys are always the same, and so is the outcome.
	if chi2 > 1168 {
		t.Errorf("chi² of %d keys over %d partitions is %.0f, want at most 1168", keys, partitions, chi2)
	}
}

func TestAnotherHashKeyScattersTheKeysAnew(t *testing.T) {
	const keys, partitions = 10_000, 100
	other := paperKey
	other[15]++
	same := 0
	for i := range keys {
		key := fmt.Sprint("user:", i)
		if Partition(paperKey, key, partitions) == Partition(other, key, partitions) {
			same++
		}
	}
	if same < 60 || same > 140 {
		t.Errorf("%d of %d keys have the same of %d partitions under both hash keys, want about 100", same, keys, partitions)
	}
}

func TestAPartitionIsFoundWithoutAllocation(t *testing.T) {
	for _, key := range []string{"", "k", strings.Repeat("k", 33), strings.Repeat("k", 8192)} {
		if n := testing.AllocsPerRun(100, func() { Partition(paperKey, key, 1024) }); n != 0 {
			t.Errorf("Partition of %d bytes allocates %v times, want 0", len(key), n)
		}
	}
}

func TestThereIsNoPartitionOfNone(t *testing.T) {
	for _, partitions := range []int{0, -1} {
		want := fmt.Sprintf(`placement: partition of "k": partitions is %d: a cluster has at least 1`, partitions)
		if got := panicOf(func() { Partition(paperKey, "k", partitions) }); got != want {
			t.Errorf("Partition in %d: panic %q, want %q", partitions, got, want)
		}
	}
}

// panicOf returns what f panics with, as text, "" if it does not.
func panicOf(f func()) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprint(p)
		}
	}()
	f()
	return ""
}

var sink int

func BenchmarkPartition(b *testing.B) {
	for _, length := range []int{16, 64, 1024} {
		key := strings.Repeat("k", length)
		b.Run(fmt.Sprintf("bytes=%d", length), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = Partition(paperKey, key, 1024)
			}
		})
	}
}
