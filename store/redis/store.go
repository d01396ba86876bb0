package redis

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redisconn"
	"github.com/corralcache/corral/internal/stored"
)

// ErrTooLarge says that a value and its body are longer than
// Options.MaxValueBytes. An older one of the key is taken out.
var ErrTooLarge = errors.New("redis: too large to be stored")

// tombstoneTTL is how long a Delete of a key is remembered, so that a write that
// was under way when it came does not come after it.
const tombstoneTTL = 15 * time.Second

// quiet is for how long nothing must have been broken before the log is told
// again that something is.
const quiet = time.Minute

// A Store keeps records in Redis. See the package on what it promises.
//
// Invariants:
//
//	S1. What is under a key is a whole record or a tombstone, or is taken for
//	    nothing, counted and removed.
//	S2. A record is returned only if the generations say that it counts (G1–G4).
//	S3. A write does not replace what has a higher revision, a tombstone included.
//	S4. Delete returns nil only when Redis has said so, and as many replicas as
//	    were asked for.
//	S5. Every key has a TTL.
//	S6. No call keeps its caller longer than its timeout, and at most MaxCalls
//	    are under way.
type Store struct {
	o       Options
	client  *redisconn.Client
	breaker redisconn.Breaker
	// disconnect ends the client with the store.
	disconnect func()
	seats      chan struct{}
	running    sync.WaitGroup
	life       context.Context // ends with Close
	end        context.CancelFunc

	sequence string
	values   string // prefix of the keys of records
	gens     *generations
	highest  atomic.Uint64 // revision that was seen here
	refusing atomic.Bool   // Redis has refused the last write
	// saidBroken is when something could last not be read, in nanoseconds.
	saidBroken atomic.Int64
	n          counts
}

type counts struct {
	gets, hits, puts, deletes, errors, corrupt, refused atomic.Uint64
}

var (
	_ corral.Store      = (*Store)(nil)
	_ corral.Revisioned = (*Store)(nil)
	_ corral.Bound      = (*Store)(nil)
	_ corral.Browser    = (*Store)(nil)
)

// Open makes a store. Redis need not be there: the store is done without until
// it is.
func Open(o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	client, err := redisconn.Open(o.Redis, nil)
	if err != nil {
		return nil, err
	}
	return over(client, o, client.Close), nil
}

// over is a store on a client, which disconnect ends.
func over(client *redisconn.Client, o Options, disconnect func()) *Store {
	s := &Store{o: o, client: client, disconnect: disconnect, seats: make(chan struct{}, o.MaxCalls)}
	s.life, s.end = context.WithCancel(context.Background())
	s.Bind("")
	return s
}

// Close ends what is under way and the connections.
func (s *Store) Close() error {
	s.end()
	s.disconnect()
	s.running.Wait()
	return nil
}

// Bind keeps what belongs to different sequences apart: their keys differ.
func (s *Store) Bind(sequence string) error {
	prefix := s.o.Prefix
	if sequence != "" {
		prefix += "s." + url.PathEscape(sequence) + ":"
	}
	s.sequence, s.values = sequence, prefix+"v:"
	s.gens = &generations{client: s.client, key: prefix + "g", ttl: 2 * s.o.MaxTTL}
	return nil
}

// Get returns the record of a key, or nil. It answers within SoftTimeout.
func (s *Store) Get(ctx context.Context, key string) (*corral.Record, error) {
	s.n.gets.Add(1)
	record, err := call(ctx, s, s.o.SoftTimeout, func(ctx context.Context) (*corral.Record, error) { return s.get(ctx, key) })
	if err != nil {
		return nil, s.failed("get", key, err)
	}
	if record != nil {
		s.n.hits.Add(1)
	}
	return record, nil
}

func (s *Store) get(ctx context.Context, key string) (*corral.Record, error) {
	began := time.Now()
	v, err := s.gens.look(ctx)
	if err != nil {
		return nil, s.broken(ctx, s.gens.key, err)
	}
	answer, err := read.exec.Exec(ctx, s.client, []string{s.values + key}, nil).ToArray()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	if err != nil {
		return nil, s.broken(ctx, s.values+key, err)
	}
	o, err := opened(key, answer)
	if err != nil {
		return nil, s.broken(ctx, s.values+key, err)
	}
	if o.record == nil {
		return nil, nil // a tombstone, or of a later release
	}
	if counts, err := s.gens.count(ctx, v, key, o.object); !counts || err != nil {
		return nil, s.broken(ctx, s.gens.key, err)
	}
	// The way back counts as time that has passed: the record is rather taken
	// for a little older than it is.
	stored.Pass(o.record, o.object.ttl-o.left+time.Since(began))
	if o.hasBody {
		o.record.Body = io.NopCloser(bytes.NewReader(o.body))
	}
	return o.record, nil
}

// found is an object with what is left of its key's TTL.
type found struct {
	object
	left time.Duration
}

// opened reads an answer of the read script.
func opened(key string, answer []rueidis.RedisMessage) (f found, err error) {
	if len(answer) != 2 {
		return found{}, fmt.Errorf("%w: an answer of %d parts", errCorrupt, len(answer))
	}
	left, err := answer[0].AsInt64()
	if err != nil {
		return found{}, err
	}
	data, err := answer[1].AsBytes()
	if err != nil {
		return found{}, err
	}
	if f.object, err = unseal(key, data); err != nil || f.record == nil {
		return f, err
	}
	if left < 0 {
		return found{}, fmt.Errorf("%w: its key has no TTL", errCorrupt)
	}
	if f.left = time.Duration(left) * time.Millisecond; f.left > f.object.ttl {
		f.record = nil // the server's clock has gone back: nobody knows how old it is
	}
	return f, nil
}

// broken removes what is under a key and cannot be read, and takes it for
// nothing (S1). Other errors stay.
func (s *Store) broken(ctx context.Context, key string, err error) error {
	if errors.Is(err, stored.ErrVersion) {
		s.n.corrupt.Add(1)
		return nil // a later release may still read it
	}
	if err = redisconn.Explain(err); !unreadable(err) {
		return err
	}
	s.n.corrupt.Add(1)
	if now := time.Now(); now.Sub(time.Unix(0, s.saidBroken.Swap(now.UnixNano()))) > quiet {
		s.o.Logger.Warn("redis: what is stored cannot be read, and is removed; more of it is only counted", "key", key, "cause", err)
	}
	return s.client.Do(ctx, s.client.B().Unlink().Key(key).Build()).Error()
}

// unreadable reports whether an error is of what is stored, not of the server.
func unreadable(err error) bool {
	return errors.Is(err, errCorrupt) || errors.Is(err, stored.ErrCorrupt) || errors.Is(err, redisconn.ErrWrongType)
}

// Put stores a record, unless what is there has a higher revision: then it does
// nothing.
func (s *Store) Put(ctx context.Context, key string, record *corral.Record) error {
	s.n.puts.Add(1)
	if err := context.Cause(ctx); err != nil {
		return s.failed("put", key, err)
	}
	s.saw(record.Revision)
	body, err := s.bodyOf(record)
	if err != nil {
		return s.notStored(ctx, key, record, err)
	}
	ttl := lifetime(record, s.o.MaxTTL)
	if ttl == 0 || s.gens.concerned(key, record) {
		return nil
	}
	kept := *record
	if record.Body != nil {
		kept.BodySize = int64(len(body))
	}
	err = s.do(ctx, func(ctx context.Context) error {
		id, err := s.gens.identity(ctx, record.Revision)
		if err != nil {
			return s.broken(ctx, s.gens.key, err)
		}
		args := []string{digits(record.Revision), id, rueidis.BinaryString(seal(key, &kept, body, ttl, id)), strconv.FormatInt(ttl.Milliseconds(), 10)}
		return write.exec.Exec(ctx, s.client, []string{s.values + key}, args).Error()
	})
	s.took(err)
	return s.failed("put", key, err)
}

// bodyOf reads a record's body to its end.
func (s *Store) bodyOf(r *corral.Record) (body []byte, err error) {
	room := s.o.MaxValueBytes - int64(len(r.Value))
	if room < 0 || r.Body != nil && r.BodySize > room {
		return nil, fmt.Errorf("%w: more than Options.MaxValueBytes, %d", ErrTooLarge, s.o.MaxValueBytes)
	}
	if r.Body == nil {
		return nil, nil
	}
	var read bytes.Buffer
	if r.BodySize > 0 {
		read.Grow(int(r.BodySize) + bytes.MinRead)
	}
	if _, err := read.ReadFrom(io.LimitReader(r.Body, room+1)); err != nil {
		return nil, err
	}
	if int64(read.Len()) > room {
		return nil, fmt.Errorf("%w: more than Options.MaxValueBytes, %d", ErrTooLarge, s.o.MaxValueBytes)
	}
	return read.Bytes(), nil
}

// notStored ends a Put whose record cannot be stored. One that is too large
// takes the place of what is older, as nothing.
func (s *Store) notStored(ctx context.Context, key string, r *corral.Record, why error) error {
	if !errors.Is(why, ErrTooLarge) {
		return s.failed("put", key, why)
	}
	s.n.refused.Add(1)
	err := s.do(ctx, func(ctx context.Context) error {
		return remove.exec.Exec(ctx, s.client, []string{s.values + key}, s.removal(r.Revision)).Error()
	})
	return fmt.Errorf("redis: put %q: %w", key, errors.Join(why, err))
}

// Delete makes what an invalidation concerns unavailable (S4).
func (s *Store) Delete(ctx context.Context, inv corral.Invalidation) error {
	s.n.deletes.Add(1)
	if err := context.Cause(ctx); err != nil {
		return s.failed("delete", "", err)
	}
	if !inv.Forget {
		s.saw(inv.Revision)
		s.gens.invalidate(inv)
	}
	err := s.do(ctx, func(ctx context.Context) error { return s.delete(ctx, inv) })
	if err != nil || concerns(inv) { // a Delete of keys succeeds in a full Redis too
		s.took(err)
	}
	return s.failed("delete", "", err)
}

// saw notes a revision.
func (s *Store) saw(revision uint64) {
	for {
		highest := s.highest.Load()
		if revision <= highest || s.highest.CompareAndSwap(highest, revision) {
			return
		}
	}
}

// took says once when Redis begins to refuse writes, and once when it takes
// them again.
func (s *Store) took(err error) {
	switch {
	case err == nil:
		if s.refusing.CompareAndSwap(true, false) {
			s.o.Logger.Info("redis: it takes writes again")
		}
	case redisconn.RefusesWrites(err):
		if s.refusing.CompareAndSwap(false, true) {
			s.o.Logger.Warn("redis: it refuses writes", "cause", err)
		}
	}
}

func (s *Store) failed(operation, key string, err error) error {
	if err == nil {
		return nil
	}
	s.n.errors.Add(1)
	if key == "" {
		return fmt.Errorf("redis: %s: %w", operation, err)
	}
	return fmt.Errorf("redis: %s %q: %w", operation, key, err)
}

// Revision is the highest that Redis or this store has seen.
func (s *Store) Revision(ctx context.Context) (uint64, error) {
	m, err := call(ctx, s, s.o.HardTimeout, s.gens.revision)
	if err != nil {
		return 0, s.failed("revision", "", err)
	}
	s.saw(m)
	return s.highest.Load(), nil
}

func newID() string {
	var id [idSize / 2]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}
