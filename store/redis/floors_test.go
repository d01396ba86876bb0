package redis

import (
	"fmt"
	"testing"

	"github.com/corralcache/corral"
)

func TestWhatHasNoRoomAmongThePrefixesIsNotForgotten(t *testing.T) {
	var f floors
	for i := range uint64(maxPrefixes) {
		f.raise(corral.Invalidation{Revision: 10 + i, Target: corral.Target{Prefixes: []string{fmt.Sprint(i, "/")}}})
	}
	if f.above("other", nil, 9) {
		t.Fatal("a key that nothing concerns is invalid while there is room")
	}
	f.raise(corral.Invalidation{Revision: 100, Target: corral.Target{Prefixes: []string{"new/"}}})
	rows := []struct {
		key      string
		revision uint64
		want     bool
	}{
		{"0/a", 9, true}, // the one that was let go of counts for all
		{"other", 9, true},
		{"other", 10, false},
		{"1/a", 10, true},
		{"1/a", 11, false},
		{"new/a", 99, true},
		{"new/a", 100, false},
	}
	for _, row := range rows {
		if got := f.above(row.key, nil, row.revision); got != row.want {
			t.Errorf("%q of revision %d: invalid %v, want %v", row.key, row.revision, got, row.want)
		}
	}
	if len(f.prefixes) > maxPrefixes {
		t.Errorf("%d prefixes", len(f.prefixes))
	}
}

func TestFloorsOnlyRise(t *testing.T) {
	var f floors
	for _, revision := range []uint64{5, 3} {
		f.raise(corral.Invalidation{Revision: revision, Target: corral.Target{Tags: []string{"x"}, Prefixes: []string{"p"}}})
	}
	if !f.above("p", nil, 4) || !f.above("a", slotsOf([]string{"x"}), 4) {
		t.Fatal("a lower invalidation took a higher one back")
	}
	f.raise(corral.Invalidation{Revision: 9, Target: corral.Target{All: true}})
	f.raise(corral.Invalidation{Revision: 8, Target: corral.Target{All: true}})
	if !f.above("a", nil, 8) || f.above("a", nil, 9) {
		t.Fatal("a lower invalidation of everything took a higher one back")
	}
}
