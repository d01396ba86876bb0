package corral

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
	"unsafe"
)

type product struct {
	ID      int64
	Name    string
	Price   float64
	Updated time.Time
	Labels  []string
	parent  *product
}

type point struct{ X, Y int64 }

type ring struct {
	_    [100]byte
	next *ring
}

type nested []nested

func TestASizeCountsWhatIsReachableOnce(t *testing.T) {
	word := int64(unsafe.Sizeof(uintptr(0)))
	shared := &point{1, 2}
	loop := &ring{}
	loop.next = loop
	self := make([]any, 1)
	self[0] = self
	numbers := make([]int32, 3, 10)
	for _, test := range []struct {
		name string
		got  int64
		want int64
	}{
		{"a string", defaultSize[string]()("12345"), 5},
		{"bytes by their capacity", defaultSize[[]byte]()(make([]byte, 3, 10)), 10},
		{"no bytes", defaultSize[[]byte]()(nil), 0},
		{"a number", defaultSize[int64]()(7), 8},
		{"a flat struct", defaultSize[point]()(point{}), 16},
		{"a flat array", defaultSize[[4]point]()([4]point{}), 64},
		{"a pointer", defaultSize[*point]()(shared), word + 16},
		{"a nil pointer", defaultSize[*point]()(nil), word},
		{"a slice by its capacity", defaultSize[[]int32]()(numbers), 3*word + 40},
		{"an empty slice", defaultSize[[]int32]()([]int32{}), 3 * word},
		{"strings, each", defaultSize[[]string]()([]string{"ab", "ab"}), 3*word + 2*2*word + 4},
		{"an array of pointers, shared", defaultSize[[3]*point]()([3]*point{shared, shared, nil}), 3*word + 16},
		{"slices, shared", defaultSize[[2][]int32]()([2][]int32{numbers, numbers}), 6*word + 40},
		{"unexported fields", defaultSize[product]()(product{Name: "abc", parent: &product{Name: "de"}}), 2*int64(unsafe.Sizeof(product{})) + 5},
		{"a ring", defaultSize[*ring]()(loop), word + int64(unsafe.Sizeof(ring{}))},
		{"a slice in itself", defaultSize[[]any]()(self), 3*word + 2*word + 3*word},
		{"nil in an interface", defaultSize[any]()(nil), 2 * word},
		{"a number in an interface", defaultSize[any]()(int64(1000)), 2*word + 8},
		{"a pointer in an interface", defaultSize[any]()(shared), 2*word + 16},
		{"a string in an interface", defaultSize[any]()("abc"), 2*word + 2*word + 3},
		{"a nil map", defaultSize[map[string]int]()(nil), word},
		{"an empty map", defaultSize[map[string]int]()(map[string]int{}), word + mapHeader},
		{"a map of one group", defaultSize[map[int64]int64]()(map[int64]int64{1: 1}), word + mapHeader + 8*17},
		{"a map with text", defaultSize[map[int64]string]()(map[int64]string{1: "abc"}), word + mapHeader + 8*25 + 3},
		{"a map, shared", defaultSize[[2]map[int64]int64]()(twice(map[int64]int64{1: 1})), 2*word + mapHeader + 8*17},
		{"channels and functions", defaultSize[struct {
			c chan int
			f func()
		}]()(struct {
			c chan int
			f func()
		}{make(chan int, 100), func() {}}), 2 * word},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %d bytes, want %d", test.name, test.got, test.want)
		}
	}
}

func twice[T any](v T) [2]T { return [2]T{v, v} }

func TestTheSizeOfALongListOrADeepTreeNeedsNoDeepStack(t *testing.T) {
	const n = 1 << 15
	defer debug.SetMaxStack(debug.SetMaxStack(1 << 20))
	var first *ring
	for range n {
		first = &ring{next: first}
	}
	word := int64(unsafe.Sizeof(uintptr(0)))
	if got, want := defaultSize[*ring]()(first), word+n*int64(unsafe.Sizeof(ring{})); got != want {
		t.Errorf("the list: got %d, want %d", got, want)
	}
	var deep nested
	for range n {
		deep = nested{deep}
	}
	if got, want := defaultSize[nested]()(deep), (n+1)*3*word; got != want {
		t.Errorf("the tree: got %d, want %d", got, want)
	}
}

// The sum of sizes is compared with what the heap grew by. What is missing is
// the allocator's rounding up to size classes, and the tables of large maps.
func TestSizesAreThoseOfRealMemory(t *testing.T) {
	t.Run("products", func(t *testing.T) {
		heapAgainstSize(t, func(i int) *product {
			return &product{Name: strings.Repeat("n", 20+i%50), Labels: []string{fmt.Sprint("a", i), fmt.Sprint("b", i)}, parent: &product{}}
		})
	})
	t.Run("bytes", func(t *testing.T) {
		heapAgainstSize(t, func(i int) []byte { return make([]byte, 1000+i%3000) })
	})
	t.Run("interfaces", func(t *testing.T) {
		heapAgainstSize(t, func(i int) []any { return []any{int64(i + 1000), fmt.Sprint("text ", i), &point{}} })
	})
	for _, n := range []int{1, 7, 8, 9, 14, 15, 100, 2000} {
		t.Run(fmt.Sprintf("maps of %d", n), func(t *testing.T) {
			heapAgainstSize(t, func(int) map[string]int64 {
				m := map[string]int64{}
				for k := range n {
					m[fmt.Sprintf("key %08d", k)] = int64(k)
				}
				return m
			})
		})
	}
}

func heapAgainstSize[V any](t *testing.T, make1 func(i int) V) {
	const low, high = 0.80, 1.02
	size := defaultSize[V]()
	values := 10_000
	if size(make1(0)) > 3000 {
		values = 300
	}
	kept := make([]V, values)
	before := heap()
	for i := range kept {
		kept[i] = make1(i)
	}
	real := heap() - before
	own := int64(unsafe.Sizeof(kept[0])) // stands in kept, and the size of a []byte is without it
	if _, bytes := any(kept).([][]byte); bytes {
		own = 0
	}
	var counted int64
	for _, v := range kept {
		counted += size(v) - own
	}
	runtime.KeepAlive(kept)
	if part := float64(counted) / float64(real); part < low || part > high {
		t.Errorf("%d bytes were counted, the heap grew by %d: %.2f of it, want %.2f to %.2f", counted, real, part, low, high)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestSizesOfStringsBytesAndFlatValuesAllocateNothing(t *testing.T) {
	text, data, flat, list := defaultSize[string](), defaultSize[[]byte](), defaultSize[point](), defaultSize[[8]int]()
	b := make([]byte, 10)
	for name, f := range map[string]func(){
		"string": func() { text("abc") }, "[]byte": func() { data(b) }, "struct": func() { flat(point{1, 2}) }, "array": func() { list([8]int{}) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}
