package httpcache

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestAPackedHeaderIsTheSameHeader(t *testing.T) {
	for _, h := range []http.Header{
		{},
		{"A": {""}},
		{"": {"x"}},
		{"A": {"1"}, "B": {"2"}},
		{"A": {"1", "", "3"}, "Aa": {"4"}},
		{"A": {"1"}, "a": {"2"}},
		{"A\nB": {"1"}},
		{"A": {"x"}, "B": {"y"}}, // whose names, joined, are those before
		{"A\n": {"1"}, "": {"2"}},
	} {
		f := pack(h)
		if got := f.header(); !reflect.DeepEqual(got, h) {
			t.Errorf("%q packed is %q", h, got)
		}
		for name := range h {
			if got := f.get(name); got != h[name][0] {
				t.Errorf("%q: %q = %q, want %q", h, name, got, h[name][0])
			}
		}
		if f.get("Missing") != "" {
			t.Errorf("%q has a field that is not there", h)
		}
	}
	none := pack(http.Header{"A": nil, "B": {}})
	if h := none.header(); len(h) != 0 {
		t.Errorf("fields without a value are %q, want none", h)
	}
}

// What is given out is for many: whoever adds to it adds to a copy.
func TestWhatIsAppendedToAGivenHeaderIsNotInTheStoredOne(t *testing.T) {
	f, want := pack(http.Header{"A": {"1", "2"}, "B": {"3"}, "C": {"4"}}), http.Header{"A": {"1", "2"}, "B": {"3"}, "C": {"4"}}
	for range 2 {
		h := f.header()
		for name := range h {
			h.Add(name, "mine")
			h[name] = append(h[name], "also mine")
		}
		h.Set("A", "other")
		h.Del("B")
	}
	if got := f.header(); !reflect.DeepEqual(got, want) {
		t.Errorf("the stored header is %q, want %q", got, want)
	}
}

// A header costs what is counted for it, also when its names are like no
// other's.
func TestWhatAPackedHeaderCostsIsCounted(t *testing.T) {
	for _, h := range []http.Header{
		{"A": {strings.Repeat("x", 10_000)}},
		{strings.Repeat("N", 10_000): {"x"}},
	} {
		if f := pack(h); f.size() < 10_000 {
			t.Errorf("a header of 10,000 bytes is counted as %d", f.size())
		}
	}
}

// An origin that makes up names can neither fill the table nor break it.
func TestSetsOfNamesAreSharedUpToALimit(t *testing.T) {
	var table shapeTable
	for i := range maxShapes + 100 {
		names := []string{"A", fmt.Sprint("B", i)}
		if got, shared := table.intern(names); !slices.Equal(got, names) || shared != (i < maxShapes) {
			t.Fatalf("%q is interned as %q", names, got)
		}
	}
	if len(table.known) != maxShapes {
		t.Errorf("%d sets are kept, want %d", len(table.known), maxShapes)
	}
	a, _ := table.intern([]string{"A", "B0"})
	b, _ := table.intern([]string{"A", "B0"})
	if &a[0] != &b[0] {
		t.Error("a known set is not shared")
	}
	long := []string{strings.Repeat("x", maxShapeBytes+1)}
	small := shapeTable{}
	if small.intern(long); len(small.known) != 0 {
		t.Error("a set of names longer than maxShapeBytes is kept for ever")
	}
}

func FuzzAnyHeaderSurvivesPacking(f *testing.F) {
	f.Add("A: 1\nB: 2\nA: 3")
	f.Add("\n:\n::")
	f.Add("A\x00: 1\r\nA: ")
	f.Fuzz(func(t *testing.T, text string) {
		h := http.Header{}
		for line := range strings.SplitSeq(text, "\n") {
			name, value, _ := strings.Cut(line, ":")
			h[strings.ReplaceAll(name, "\x00", "\n")] = append(h[strings.ReplaceAll(name, "\x00", "\n")], value)
		}
		packed := pack(h)
		if got := packed.header(); !reflect.DeepEqual(got, h) {
			t.Errorf("%q packed is %q", h, got)
		}
		if !slices.IsSorted(packed.names) || len(packed.names) != len(packed.values) {
			t.Errorf("%q is packed under the names %q", h, packed.names)
		}
	})
}

func TestTheOldestVariantMakesRoom(t *testing.T) {
	var v variants
	for i := range 3 {
		if gone := v.add(fmt.Sprint(i), 3); gone != "" {
			t.Errorf("%s has to go when there is room", gone)
		}
	}
	for i := 3; i < 20; i++ {
		if gone := v.add(fmt.Sprint(i), 3); gone != fmt.Sprint(i-3) {
			t.Errorf("for %d %q has to go, want %d", i, gone, i-3)
		}
		if gone := v.add(fmt.Sprint(i-1), 3); gone != "" { // it is there
			t.Errorf("for one that is there %q has to go", gone)
		}
	}
	if gone := v.add("more", 100); gone != "" { // the limit has been raised
		t.Errorf("%q has to go when there is room", gone)
	}
	if gone := v.add("again", 2); gone == "" { // and lowered: it gets no longer
		t.Error("nothing has to go over the limit")
	}
	if len(v.names) != 4 {
		t.Errorf("%d variants, want 4", len(v.names))
	}
}
