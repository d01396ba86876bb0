package redislock

import (
	"fmt"
	"testing"
)

func TestTheNewestInvalidationThatConcernsAValueIsFound(t *testing.T) {
	r := newRules()
	r.tag(slot("x"), 5)
	r.tag(slot("x"), 3) // told late
	r.prefix("a/", 7)
	r.prefix("a/b", 6)
	for _, row := range []struct {
		key  string
		tags []string
		want uint64
	}{
		{"c", nil, 0}, {"c", []string{"y"}, 0}, {"c", []string{"y", "x"}, 5}, {"a/b", nil, 7}, {"a", nil, 0}, {"a/", []string{"x"}, 7},
	} {
		if got := r.last(row.key, row.tags); got != row.want {
			t.Errorf("%q with %v: %d, want %d", row.key, row.tags, got, row.want)
		}
	}
	r.read(4, []string{fmt.Sprint("t:", slot("y")), "9", "t:bad", "9", "id", "x", "revision", "99", "p:c", "8", "p:z", "bad", "t:1"})
	if all, tag, prefix := r.last("z", nil), r.last("z", []string{"y"}), r.last("cc", nil); all != 4 || tag != 9 || prefix != 8 {
		t.Errorf("read: %d, %d, %d; want 4, 9, 8", all, tag, prefix)
	}
}

func TestOnePrefixTooManyInvalidatesEverything(t *testing.T) {
	r := newRules()
	for i := range maxPrefixes {
		r.prefix(fmt.Sprint("p", i, "/"), uint64(i+1))
	}
	if got := r.last("q", nil); got != 0 {
		t.Fatalf("with %d prefixes another key counts as invalidated at %d", maxPrefixes, got)
	}
	r.prefix("one more/", 1000)
	if got := r.last("q", nil); got != 1000 || len(r.prefixes) != 0 {
		t.Fatalf("got %d with %d prefixes left, want 1000 and none", got, len(r.prefixes))
	}
}

func TestATagHasTheSamePlaceInEveryProcess(t *testing.T) {
	for tag, want := range map[string]uint16{"": 0x811c ^ 0x9dc5, "a": 0xe40c ^ 0x292c} {
		if got := slot(tag); got != want {
			t.Errorf("slot(%q) is %#x, want %#x", tag, got, want)
		}
	}
}
