package etcd

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestAWatchTellsEveryRevisionOnceAndWhole(t *testing.T) {
	_, c := one(t)
	before := write(t, c, Txn{Put: map[string][]byte{"a": []byte("1"), "b": []byte("2")}}).Revision
	changes, _ := watched(t, c, before)
	put(t, c, "a", "3")
	write(t, c, Txn{Put: map[string][]byte{"c": nil}, Delete: []string{"a", "b"}})
	write(t, c, Txn{Require: map[string]uint64{"a": 1}, Put: map[string][]byte{"a": nil}}) // changes nothing
	put(t, c, "c", "4")
	for _, want := range []Change{
		{Revision: before, Put: map[string]KV{"a": {[]byte("1"), before}, "b": {[]byte("2"), before}}},
		{Revision: before + 1, Put: map[string]KV{"a": {[]byte("3"), before + 1}}},
		{Revision: before + 2, Put: map[string]KV{"c": {nil, before + 2}}, Deleted: []string{"a", "b"}},
		{Revision: before + 3, Put: map[string]KV{"c": {[]byte("4"), before + 3}}},
	} {
		if got := next(t, changes); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

func TestAWatchEndsWithItsContext(t *testing.T) {
	_, c := one(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Watch(ctx, put(t, c, "a", ""), func(Change) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
}

func TestAWatchFromACompactedRevisionSaysSo(t *testing.T) {
	_, c := one(t)
	first := put(t, c, "a", "1")
	last := put(t, c, "a", "2")
	if _, err := c.endpoints.all[0].client.Compact(t.Context(), int64(last), clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	_, ended := watched(t, c, first)
	if err := wait(t, ended, "the watch to end"); !errors.Is(err, ErrCompacted) {
		t.Fatalf("a watch from %d, compacted up to %d: got %v, want ErrCompacted", first, last, err)
	}
	changes, _ := watched(t, c, last)
	if got := next(t, changes); got.Revision != last {
		t.Fatalf("a watch from %d: got %+v", last, got)
	}
}

func TestAWatchGoesOnOverARestartWithoutAGap(t *testing.T) {
	config := members(t, 1)[0]
	s := start(t, config)
	ready(t, s)
	log := new(logged)
	c := dial(t, Config{Endpoints: []string{s.Client()}, Log: log.logger()})
	first := put(t, c, "a", "0")
	changes, _ := watched(t, c, first)
	const each = 20
	for i := range 3 * each {
		if i%each == each-1 {
			s.Stop()
			if _, err := c.Write(t.Context(), Txn{Put: map[string][]byte{"a": nil}}); !errors.Is(err, ErrUnknown) {
				t.Fatalf("Write without a server: got %v, want ErrUnknown", err)
			}
			s = start(t, config)
			ready(t, s)
			untilDone(t, "Read after the restart", func(ctx context.Context) error { _, err := c.Read(ctx); return err })
		}
		put(t, c, "a", fmt.Sprint(i+1))
	}
	for i := range 3*each + 1 {
		got := next(t, changes)
		if want := fmt.Sprint(i); got.Revision != first+uint64(i) || string(got.Put["a"].Value) != want {
			t.Fatalf("change %d: got %+v, want %s at revision %d", i, got, want, first+uint64(i))
		}
	}
	if got := strings.Count(log.String(), "etcd watch lost"); got > 3 {
		t.Errorf("three restarts made %d lines:\n%s", got, log)
	}
}

// The bounds of a stream's pace, one nanosecond apart.
func TestAStreamThatIsSilentOrLagsIsLeft(t *testing.T) {
	began := time.Unix(1000, 0)
	for name, test := range map[string]struct {
		p          pace
		at         time.Duration
		next, seen uint64
		ask, left  bool
	}{
		"heard just now":               {pace{heard: began}, 0, 6, 5, false, false},
		"silent, not yet asked":        {pace{heard: began}, askAfter - 1, 6, 5, false, false},
		"silent, asked":                {pace{heard: began}, askAfter, 6, 5, true, false},
		"silent, nearly left":          {pace{heard: began}, silentFor - 1, 6, 5, true, false},
		"silent":                       {pace{heard: began}, silentFor, 6, 5, false, true},
		"behind from now on":           {pace{heard: began}, 0, 5, 5, true, false},
		"behind, nearly left":          {pace{heard: began.Add(mayLagFor), behind: began, mark: 5}, mayLagFor - 1, 5, 9, true, false},
		"behind":                       {pace{heard: began.Add(mayLagFor), behind: began, mark: 5}, mayLagFor, 5, 9, false, true},
		"came to what it was measured": {pace{heard: began.Add(mayLagFor), behind: began, mark: 5}, mayLagFor, 6, 9, true, false},
		"behind no more":               {pace{heard: began.Add(mayLagFor), behind: began, mark: 5}, mayLagFor, 10, 9, false, false},
	} {
		ask, err := test.p.look(began.Add(test.at), test.next, test.seen)
		if ask != test.ask || (err != nil) != test.left {
			t.Errorf("%s: got ask %v, %v, want ask %v, left: %v", name, ask, err, test.ask, test.left)
		}
	}
}
