package bench

import (
	"bufio"
	"compress/gzip"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
)

// A trace is a sequence of accesses to keys 0, 1, 2 …, numbered as they first occur.
type trace struct {
	name       string
	accesses   []int32
	weights    []int64 // of the keys
	unweighted bool    // all weights are 1
}

func newTrace(name string, keys []int64) trace {
	numbers := map[int64]int32{}
	accesses := make([]int32, len(keys))
	for i, key := range keys {
		number, ok := numbers[key]
		if !ok {
			number = int32(len(numbers))
			numbers[key] = number
		}
		accesses[i] = number
	}
	return trace{name, accesses, slices.Repeat([]int64{1}, len(numbers)), true}
}

// weigh gives the keys sizes in bytes that have nothing to do with their popularity.
func (t *trace) weigh() {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range t.weights {
		t.weights[i] = 50 + int64(math.Exp(7+1.7*r.NormFloat64()))
	}
	t.unweighted = false
}

// readTrace reads testdata/<name>.txt.gz; its README says what the traces are.
func readTrace(t testing.TB, name string) trace {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var keys []int64
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		key, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			t.Fatalf("%s: line %d: %v", name, len(keys)+1, err)
		}
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return newTrace(name, keys)
}

// syntheticLength is how many accesses a synthetic trace has.
const syntheticLength = 400_000

// Key spaces of a synthetic trace that has more than one.
const (
	second int64 = 1 << 32
	third  int64 = 2 << 32
)

// synthetic returns workloads that no trace was chosen for: popularity of two
// steepnesses, scans, moving working sets, loops, and mixtures.
func synthetic() []trace {
	var all []trace
	add := func(name string, next func(r *rand.Rand) func(i int) int64) {
		r := rand.New(rand.NewPCG(7, 7))
		access := next(r)
		keys := make([]int64, syntheticLength)
		for i := range keys {
			keys[i] = access(i)
		}
		all = append(all, newTrace(name, keys))
	}
	add("zipf 0.8", func(r *rand.Rand) func(int) int64 {
		z := newZipf(r, 30_000, 0.8)
		return func(int) int64 { return z() }
	})
	add("zipf 1.01", func(r *rand.Rand) func(int) int64 {
		z := newZipf(r, 30_000, 1.01)
		return func(int) int64 { return z() }
	})
	add("zipf, scans of new keys", func(r *rand.Rand) func(int) int64 {
		z := newZipf(r, 20_000, 0.9)
		return func(i int) int64 {
			if i%25_000 < 20_000 {
				return z()
			}
			return second + int64(i)
		}
	})
	add("zipf, the same scan", func(r *rand.Rand) func(int) int64 {
		z := newZipf(r, 20_000, 0.9)
		return func(i int) int64 {
			if i%30_000 < 20_000 {
				return z()
			}
			return second + int64(i%30_000)
		}
	})
	add("zipf, jumping", func(r *rand.Rand) func(int) int64 {
		z := newZipf(r, 10_000, 0.9)
		return func(i int) int64 { return int64(i/50_000*3_000) + z()*7919%10_000 }
	})
	add("zipf, drifting", func(r *rand.Rand) func(int) int64 {
		z := newZipf(r, 20_000, 0.9)
		return func(i int) int64 { return int64(i/20) + z() }
	})
	add("loop", func(r *rand.Rand) func(int) int64 {
		return func(i int) int64 { return int64(i % 3_000) }
	})
	add("loop and zipf", func(r *rand.Rand) func(int) int64 {
		z := newZipf(r, 10_000, 0.9)
		turn := int64(-1)
		return func(int) int64 {
			if r.IntN(2) == 0 {
				return z()
			}
			turn++
			return second + turn%5_000
		}
	})
	add("zipf, then a loop", func(r *rand.Rand) func(int) int64 {
		z := newZipf(r, 3_000, 0.9)
		return func(i int) int64 {
			if i < 60_000 {
				return z()
			}
			return second + int64(i%6_000)
		}
	})
	add("zipf, loop, recency by turns", func(r *rand.Rand) func(int) int64 {
		z := newZipf(r, 8_000, 0.9)
		return func(i int) int64 {
			switch i / 50_000 % 3 {
			case 0:
				return z()
			case 1:
				return second + int64(i%4_000)
			default:
				return third + int64(i/4) - int64(r.ExpFloat64()*300)
			}
		}
	})
	add("short lives", func(r *rand.Rand) func(int) int64 {
		due := map[int]int64{}
		born := int64(0)
		return func(i int) int64 {
			key, ok := due[i]
			delete(due, i)
			if !ok {
				born++
				key = born
			}
			if r.Float64() < 0.7 {
				again := i + 1 + int(math.Exp(6+1.8*r.NormFloat64()))
				for due[again] != 0 {
					again++
				}
				due[again] = key
			}
			return key
		}
	})
	add("written, read once", func(r *rand.Rand) func(int) int64 {
		return func(i int) int64 {
			if i%2 == 0 {
				return int64(i / 2)
			}
			return max(0, int64(i/2)-4_000-r.Int64N(200))
		}
	})
	add("read once, among zipf", func(r *rand.Rand) func(int) int64 {
		z := newZipf(r, 10_000, 0.9)
		return func(i int) int64 {
			switch i % 4 {
			case 0:
				return int64(i / 4)
			case 1:
				return max(0, int64(i/4)-2_000-r.Int64N(100))
			default:
				return second + z()
			}
		}
	})
	add("two pools", func(r *rand.Rand) func(int) int64 {
		return func(i int) int64 {
			if i%2 == 0 {
				return r.Int64N(300)
			}
			return second + r.Int64N(10_000)
		}
	})
	add("files", func(r *rand.Rand) func(int) int64 {
		z := newZipf(r, 600, 0.8)
		size := make([]int64, 600)
		for i := range size {
			size[i] = 1 + int64(math.Exp(3+1.2*r.NormFloat64()))
		}
		file, block := int64(0), int64(-1)
		return func(int) int64 {
			if block++; block == size[file] {
				file, block = z(), 0
			}
			return file*second + block
		}
	})
	add("loops", func(r *rand.Rand) func(int) int64 {
		length, base, at, left := int64(1), int64(0), int64(-1), 0
		return func(int) int64 {
			if at++; at == length {
				at = 0
				if left--; left < 0 {
					length = []int64{200, 800, 1_500, 4_000}[r.IntN(4)]
					base, left = r.Int64N(3)*10_000, r.IntN(4)
				}
			}
			return base + at
		}
	})
	return all
}

// newZipf draws from 0 … n-1, i with a probability in proportion to 1/(i+1)^s,
// also for s up to 1, which math/rand's does not do.
func newZipf(r *rand.Rand, n int, s float64) func() int64 {
	sums := make([]float64, n)
	sum := 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -s)
		sums[i] = sum
	}
	return func() int64 {
		u := r.Float64() * sum
		low, high := 0, n-1
		for low < high {
			if mid := (low + high) / 2; sums[mid] < u {
				low = mid + 1
			} else {
				high = mid
			}
		}
		return int64(low)
	}
}
