package etcd

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestATransactionIsCarriedOutWholeOrNotAtAll(t *testing.T) {
	_, c := one(t)
	first := write(t, c, Txn{
		Require: map[string]uint64{"table": 0},
		Put:     map[string][]byte{"table": []byte("1"), "node/a": []byte("a")},
		Read:    []string{"node/a", "node/b"},
	})
	want := Result{OK: true, Revision: first.Revision, Keys: map[string]KV{
		"node/a": {Value: []byte("a"), Revision: first.Revision}, "node/b": {},
	}}
	if !reflect.DeepEqual(first, want) {
		t.Fatalf("the first write: got %+v, want %+v", first, want)
	}

	refused := write(t, c, Txn{
		Require: map[string]uint64{"table": 0, "node/a": first.Revision},
		Put:     map[string][]byte{"table": []byte("2")},
		Delete:  []string{"node/a"},
		Read:    []string{"node/b"},
	})
	want = Result{Revision: first.Revision, Keys: map[string]KV{
		"table": {Value: []byte("1"), Revision: first.Revision}, "node/a": {Value: []byte("a"), Revision: first.Revision}, "node/b": {},
	}}
	if !reflect.DeepEqual(refused, want) {
		t.Fatalf("a write whose requirement does not hold: got %+v, want %+v", refused, want)
	}

	second := write(t, c, Txn{
		Require: map[string]uint64{"table": first.Revision},
		Put:     map[string][]byte{"table": []byte("2")},
		Delete:  []string{"node/a"},
	})
	if !second.OK || second.Revision != first.Revision+1 {
		t.Fatalf("a write whose requirement holds: got %+v, want OK at revision %d", second, first.Revision+1)
	}
	all, err := c.Read(t.Context())
	if wantAll := (Snapshot{Revision: second.Revision, Keys: map[string]KV{"table": {Value: []byte("2"), Revision: second.Revision}}}); err != nil || !reflect.DeepEqual(all, wantAll) {
		t.Fatalf("Read: got %+v, %v, want %+v", all, err, wantAll)
	}
}

func TestClientsOfTwoPrefixesDoNotSeeEachOther(t *testing.T) {
	s, c := one(t)
	other := dial(t, Config{Endpoints: []string{s.Client()}, Prefix: "/corral/other/"})
	put(t, other, "table", "theirs")
	r := put(t, dial(t, Config{Endpoints: []string{s.Client()}, Prefix: "/corral0/"}), "table", "the next prefix in order")
	all, err := other.Read(t.Context())
	if err != nil || len(all.Keys) != 1 || all.Revision != r {
		t.Fatalf("Read below its own prefix: got %+v, %v, want one key as of %d", all, err, r)
	}
	changes, _ := watched(t, other, 1)
	if got := next(t, changes); string(got.Put["table"].Value) != "theirs" {
		t.Fatalf("a watch below its own prefix: got %+v", got)
	}
	mine := put(t, c, "table", "mine")
	for {
		got := wait(t, changes, "progress")
		if got.Put != nil || got.Deleted != nil {
			t.Fatalf("a watch below its own prefix: got %+v", got)
		}
		if got.Revision == mine {
			return
		}
	}
}

func TestATransactionOverItsLimitsIsRefused(t *testing.T) {
	_, c := one(t)
	keys := make([]string, MaxTxnKeys+1)
	for i := range keys {
		keys[i] = strings.Repeat("k", i+1)
	}
	for name, test := range map[string]struct {
		txn     Txn
		refused bool
	}{
		"as many keys as are allowed":      {Txn{Read: keys[1:]}, false},
		"one more":                         {Txn{Read: keys}, true},
		"as many bytes as are allowed":     {Txn{Put: map[string][]byte{"k": make([]byte, MaxTxnBytes-1)}}, false},
		"one byte more":                    {Txn{Put: map[string][]byte{"k": make([]byte, MaxTxnBytes)}}, true},
		"a key put and deleted":            {Txn{Put: map[string][]byte{"k": nil}, Delete: []string{"k"}}, true},
		"a key deleted that is not there":  {Txn{Delete: []string{"none"}}, false},
		"nothing":                          {Txn{}, false},
		"a requirement and nothing to do":  {Txn{Require: map[string]uint64{"none": 0}}, false},
		"a requirement at a later time":    {Txn{Require: map[string]uint64{"none": 1 << 40}}, false},
		"a requirement twice is one":       {Txn{Require: map[string]uint64{"none": 0}, Read: []string{"none", "none"}}, false},
		"an empty key is the prefix's own": {Txn{Read: []string{""}}, false},
	} {
		_, err := c.Write(t.Context(), test.txn)
		if got := errors.Is(err, ErrRefused); got != test.refused || err != nil && !got {
			t.Errorf("%s: got %v, want refused: %v", name, err, test.refused)
		}
	}
}

func TestAClientThatIsClosedRefuses(t *testing.T) {
	_, c := one(t)
	_, ended := watched(t, c, 1)
	c.Close()
	if _, err := c.Write(t.Context(), Txn{}); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrRefused) {
		t.Errorf("Write after Close: got %v, want ErrClosed", err)
	}
	if _, err := c.Read(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Read after Close: got %v, want ErrClosed", err)
	}
	if err := wait(t, ended, "the watch to end"); !errors.Is(err, ErrClosed) {
		t.Errorf("Watch after Close: got %v, want ErrClosed", err)
	}
}
