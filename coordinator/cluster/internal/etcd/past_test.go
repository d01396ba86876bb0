package etcd

import (
	"errors"
	"reflect"
	"strconv"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// past collects what a client tells of a key's past.
func past(t *testing.T, c *Client, key string, from uint64, most int) (values []string, since uint64) {
	t.Helper()
	since, err := c.Past(t.Context(), key, from, func(kv KV) bool {
		values = append(values, string(kv.Value))
		return len(values) < most
	})
	if err != nil {
		t.Fatal(err)
	}
	return values, since
}

func TestThePastOfAKeyIsToldFromTheNewest(t *testing.T) {
	_, c := one(t)
	put(t, c, "other", "")
	first := put(t, c, "a", "1")
	put(t, c, "other", "")
	second := put(t, c, "a", "2")
	put(t, c, "other", "")
	third := put(t, c, "a", "3")
	last := put(t, c, "other", "")
	for name, row := range map[string]struct {
		key   string
		from  uint64
		most  int
		want  []string
		since uint64
	}{
		"all of it":                  {"a", last, 9, []string{"3", "2", "1"}, 0},
		"from the newest itself on":  {"a", third, 9, []string{"3", "2", "1"}, 0},
		"from right before it":       {"a", third - 1, 9, []string{"2", "1"}, 0},
		"from the oldest":            {"a", first, 9, []string{"1"}, 0},
		"from before the oldest":     {"a", first - 1, 9, nil, 0},
		"as much as is wanted":       {"a", last, 2, []string{"3", "2"}, second - 1},
		"a key that was not written": {"b", last, 9, nil, 0},
	} {
		got, since := past(t, c, row.key, row.from, row.most)
		if !reflect.DeepEqual(got, row.want) || since != row.since {
			t.Errorf("%s: got %q and all since %d, want %q since %d", name, got, since, row.want, row.since)
		}
	}
}

func TestThePastOfAKeyEndsWhereEtcdIsCompacted(t *testing.T) {
	_, c := one(t)
	var revisions []uint64
	for i := range 5 {
		revisions = append(revisions, put(t, c, "a", strconv.Itoa(i)))
		put(t, c, "other", "")
	}
	// Compaction leaves what the key was then, which is all that followed the one before.
	if _, err := c.endpoints.all[0].client.Compact(t.Context(), int64(revisions[2])+1, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	got, since := past(t, c, "a", revisions[4], 9)
	if want := []string{"4", "3", "2"}; !reflect.DeepEqual(got, want) || since != revisions[2]-1 {
		t.Fatalf("got %q and all since %d, want %q since %d", got, since, want, revisions[2]-1)
	}
	if got, since := past(t, c, "a", revisions[1], 9); got != nil || since != revisions[1] {
		t.Fatalf("from a compacted revision: got %q and all since %d, want nothing since %d", got, since, revisions[1])
	}
}

func TestAnInterruptedPastSaysHowFarItCame(t *testing.T) {
	s, c := one(t)
	put(t, c, "a", "1")
	last := put(t, c, "a", "2")
	since, err := c.Past(t.Context(), "a", last, func(KV) bool { s.Stop(); return true })
	if !errors.Is(err, ErrUnknown) || since != last-1 {
		t.Fatalf("got all since %d, %v; want %d and ErrUnknown", since, err, last-1)
	}
}
