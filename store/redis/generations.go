package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redisconn"
)

// Generations say which records of a sequence still count: what has been
// invalidated by tag, by prefix or altogether is not looked for, but is older
// than its generation. They are one hash in Redis:
//
//	field    what
//	i        its identity, random
//	m        the highest revision of any record or invalidation
//	a        everything older is invalid
//	p, q     the prefixes that were invalidated, packed; how often p changed
//	t<slot>  what has a tag of the slot and is older is invalid
//	w        how often any t changed
//
// Each record carries the identity of the generations that it was written
// under, and counts under no others:
//
//	G1. When Redis loses the hash (evicted, FLUSHALL, its TTL), what was
//	    invalidated does not come back: with the hash all records of before are
//	    lost, for the next has another identity.
//	G2. A record whose revision is above m does not count: the hash has fallen
//	    back, in a failover, behind what was written.
//	G3. What this process has invalidated it does not return again, whatever
//	    Redis says. own only rises.
//	G4. A record is judged by tags and prefixes as they are in Redis at or after
//	    the moment at which q and w were read: parts that were read under other
//	    numbers are read again.
//
// Get has i, m, a, q and w by a tracked read: they cost nothing until they
// change, and then Redis says so. While its word is on the way, a record may be
// returned that another process has just invalidated: whoever uses this store
// checks records by its own rule (T1, T2), which that invalidation has reached
// before it was acknowledged. What this process has invalidated is exact (G3).
type generations struct {
	client *redisconn.Client
	key    string
	ttl    time.Duration // of the hash: twice that of any record

	mu      sync.Mutex
	own     floors            // what this process invalidated, and all it has seen
	id      string            // under which the following was read
	highest uint64            // m
	q       uint64            // of the prefixes in own
	seen    map[uint16]uint64 // w of each slot in own that was read
	touched time.Time         // when the TTL was last renewed
}

// view is what Get reads of the generations.
type view struct {
	id         string // "" when there are none
	m, a, q, w uint64
}

const (
	trackedFor = 10 * time.Second // at most, then it is read again, so that it does not look idle to an LRU
	renewed    = 4                // the TTL of the hash is looked after when this part of it has passed
)

// look reads the generations as they are. A tracked read goes in a transaction,
// which a full Redis refuses.
func (g *generations) look(ctx context.Context) (view, error) {
	fields, err := g.client.DoCache(ctx, g.client.B().Hmget().Key(g.key).Field(five...).Cache(), trackedFor).ToArray()
	if errors.Is(redisconn.Explain(err), redisconn.ErrFull) {
		return g.lookNow(ctx)
	}
	if err != nil {
		return view{}, err
	}
	return g.take(fields)
}

// five are the fields of a view.
var five = []string{"i", "m", "a", "q", "w"}

// lookNow reads the generations from Redis itself.
func (g *generations) lookNow(ctx context.Context) (view, error) {
	fields, err := g.client.Do(ctx, g.client.B().Hmget().Key(g.key).Field(five...).Build()).ToArray()
	if err != nil {
		return view{}, err
	}
	return g.take(fields)
}

// take reads the five fields, and remembers them.
func (g *generations) take(fields []rueidis.RedisMessage) (v view, err error) {
	if len(fields) != 5 {
		return view{}, fmt.Errorf("%w: generations of %d fields", errCorrupt, len(fields))
	}
	if fields[0].IsNil() {
		g.forget()
		return view{}, nil
	}
	if v.id, err = fields[0].ToString(); err != nil || len(v.id) != idSize {
		return view{}, fmt.Errorf("%w: generations with the identity %q", errCorrupt, v.id)
	}
	for i, to := range []*uint64{&v.m, &v.a, &v.q, &v.w} {
		if *to, err = number(fields[i+1]); err != nil {
			return view{}, err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.enterLocked(v.id)
	g.highest = max(g.highest, v.m)
	g.own.raiseAll(v.a)
	return v, nil
}

func number(m rueidis.RedisMessage) (uint64, error) {
	if m.IsNil() {
		return 0, nil
	}
	text, err := m.ToString()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: generations with the number %q", errCorrupt, text)
	}
	return n, nil
}

// enterLocked goes over to generations of another identity: what was read under
// the last says nothing of them.
func (g *generations) enterLocked(id string) {
	if g.id == id {
		return
	}
	g.id, g.highest, g.q, g.seen, g.touched = id, 0, 0, nil, time.Time{}
}

func (g *generations) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.enterLocked("")
}

// count reports whether an object counts under a view (G1–G4). One that is newer
// than the view, as far as can be told, is judged by Redis itself: what it has
// just been given may be here before the word of it.
func (g *generations) count(ctx context.Context, v view, key string, o object) (counts bool, err error) {
	if o.id != v.id || o.revision > v.m {
		if v, err = g.lookNow(ctx); err != nil {
			return false, err
		}
	}
	if v.id == "" || o.id != v.id {
		return false, nil // G1
	}
	tags := slotsOf(o.record.Tags)
	if err := g.complete(ctx, v, tags); err != nil {
		return false, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.id != v.id || o.revision > g.highest {
		return false, nil // G1: others have come meanwhile; G2
	}
	return !g.own.above(key, tags, o.revision), nil // G3
}

// complete reads what is not known of prefixes and slots under a view (G4).
func (g *generations) complete(ctx context.Context, v view, tags []uint16) error {
	g.mu.Lock()
	same := g.id == v.id
	prefixes := v.q > 0 && !(same && g.q >= v.q)
	var missing []uint16
	if v.w > 0 {
		for _, slot := range tags {
			if !same || g.seen[slot] < v.w {
				missing = append(missing, slot)
			}
		}
	}
	g.mu.Unlock()
	if !prefixes && len(missing) == 0 {
		return nil
	}
	return g.fetch(ctx, missing)
}

func (g *generations) fetch(ctx context.Context, tags []uint16) error {
	fields := []string{"i", "q", "w", "p"}
	for _, slot := range tags {
		fields = append(fields, "t"+strconv.Itoa(int(slot)))
	}
	answer, err := g.client.Do(ctx, g.client.B().Hmget().Key(g.key).Field(fields...).Build()).ToArray()
	if err != nil {
		return err
	}
	if len(answer) != len(fields) || answer[0].IsNil() {
		g.forget()
		return nil // gone meanwhile: whoever asks sees by id
	}
	id, _ := answer[0].ToString()
	q, err1 := number(answer[1])
	w, err2 := number(answer[2])
	packed, _ := answer[3].ToString()
	list, err3 := unpack(packed)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return err
		}
	}
	revisions := make([]uint64, len(tags))
	for i := range tags {
		if revisions[i], err = number(answer[4+i]); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.enterLocked(id)
	for _, p := range list {
		g.own.raisePrefix(p)
	}
	g.q = max(g.q, q)
	if g.seen == nil {
		g.seen = make(map[uint16]uint64)
	}
	for i, slot := range tags {
		g.own.raiseSlot(slot, revisions[i])
		g.seen[slot] = max(g.seen[slot], w)
	}
	return nil
}

// unpack reads the list of prefixes.
func unpack(packed string) (list []prefixFloor, err error) {
	const numbers = 25
	for rest := packed; rest != ""; {
		if len(rest) < numbers {
			return nil, fmt.Errorf("%w: a list of prefixes", errCorrupt)
		}
		revision, err1 := strconv.ParseUint(rest[:20], 10, 64)
		length, err2 := strconv.Atoi(rest[20:numbers])
		if err1 != nil || err2 != nil || length < 0 || length > len(rest)-numbers {
			return nil, fmt.Errorf("%w: a list of prefixes", errCorrupt)
		}
		list = append(list, prefixFloor{revision, rest[numbers : numbers+length]})
		rest = rest[numbers+length:]
	}
	return list, nil
}

// identity is that of the generations, made if there are none, with m at least
// at a revision.
func (g *generations) identity(ctx context.Context, revision uint64) (string, error) {
	v, err := g.look(ctx)
	if err != nil {
		return "", err
	}
	g.mu.Lock()
	ready := v.id != "" && v.id == g.id && g.highest >= revision && time.Since(g.touched) < g.ttl/renewed
	g.mu.Unlock()
	if ready {
		return v.id, nil
	}
	fields, err := raise.exec.Exec(ctx, g.client, []string{g.key}, g.args(corral.Invalidation{Revision: revision})).ToArray()
	if err != nil {
		return "", err
	}
	if v, err = g.raised(fields); err != nil {
		return "", err
	}
	return v.id, nil
}

// raised takes what raise has returned.
func (g *generations) raised(fields []rueidis.RedisMessage) (view, error) {
	v, err := g.take(fields)
	if err == nil {
		g.mu.Lock()
		g.touched = time.Now()
		g.mu.Unlock()
	}
	return v, err
}

// args are those of raise.
func (g *generations) args(inv corral.Invalidation) []string {
	all := "0"
	if inv.All {
		all = "1"
	}
	args := []string{
		newID(), strconv.FormatInt(g.ttl.Milliseconds(), 10), digits(inv.Revision), all,
		strconv.Itoa(len(inv.Prefixes)), strconv.Itoa(maxPrefixes),
	}
	for _, prefix := range inv.Prefixes {
		args = append(args, cut(prefix))
	}
	for _, slot := range slotsOf(inv.Tags) {
		args = append(args, strconv.Itoa(int(slot)))
	}
	return args
}

// invalidate makes what an invalidation concerns by tag, by prefix or
// altogether count no more in this process (G3).
func (g *generations) invalidate(inv corral.Invalidation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.own.raise(inv)
}

// concerned reports whether this process knows an invalidation that concerns a record.
func (g *generations) concerned(key string, r *corral.Record) bool {
	tags := slotsOf(r.Tags)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.own.above(key, tags, r.Revision)
}

// reached reports whether m is known to be at a revision.
func (g *generations) reached(revision uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.id != "" && g.highest >= revision
}

func digits(n uint64) string { return fmt.Sprintf("%020d", n) }

// revision is m, as it is in Redis.
func (g *generations) revision(ctx context.Context) (uint64, error) {
	text, err := g.client.Do(ctx, g.client.B().Hget().Key(g.key).Field("m").Build()).ToString()
	if rueidis.IsRedisNil(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	m, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: generations with the number %q", errCorrupt, text)
	}
	return m, nil
}
