package redislock

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redisconn"
)

// ErrLost is what ending a lease comes to that is void: what was computed is
// kept by nobody.
var ErrLost = errors.New("redislock: the lease is void")

var (
	errEnded  = errors.New("redislock: the lease has ended before")
	errClosed = errors.New("redislock: the coordinator is closed")
)

// A Coordinator is one cache's share of what Redis decides, in one process.
type Coordinator struct {
	conf   Config
	client *redisconn.Client
	me     string // who this is in Redis, in this life
	tokens atomic.Uint64
	n      counters

	ctx    context.Context // ends with Close
	stop   context.CancelCauseFunc
	chores sync.WaitGroup
	closed sync.Once
	poke   chan struct{} // a call has failed: look at once whether Redis is there
	broken chan error    // the session has a gap

	mu      sync.Mutex
	up      bool          // a session stands: what is heard is all there is
	turned  chan struct{} // closed and made anew when up changes
	downAt  time.Time     // since when it is not up
	rising  time.Time     // since when Redis is told what it has missed; zero: it is not
	session uint64        // the number of the session whose messages count
	syncing bool          // subscribed, and not yet told what was before
	backlog []notice      // what came meanwhile
	history string        // which history of revisions this is
	rules   rules
	heard   uint64 // what rules show
	seen    uint64 // the newest that Redis has said
	applied uint64 // up to which Watch's callback has returned

	opened          time.Time
	begun, watching bool
	early           bool          // a Join was answered before the first Watch
	broke           bool          // the last Watch's callback has panicked
	missed          uint64        // the newest Missed, or first word, that Watch is told
	moved           chan struct{} // closed and made anew when that is applied
	queue           []told
	queued          chan struct{} // something is in queue

	asking map[*waiter]struct{}            // Joins whose question is under way
	parked map[string]map[*waiter]struct{} // Joins that wait, by token of the lease
	held   map[string]*lease               // leases of this process, by token
	awaits map[*await]struct{}             // Invalidates that wait for others

	acks    map[string]uint64 // who is to be told up to where this process has applied
	acked   chan struct{}     // something is in acks
	pending *corral.Target    // what was invalidated and Redis has not been told of
}

var (
	_ corral.Coordinator = (*Coordinator)(nil)
	_ corral.Setter      = (*Coordinator)(nil)
)

// Open makes a Coordinator. It waits for Redis, for a few seconds or until ctx
// ends: a server that refuses (its password, its release) is an error; one that
// cannot be reached is not, for it may come later.
func Open(ctx context.Context, conf Config) (*Coordinator, error) {
	conf, err := conf.withDefaults()
	if err != nil {
		return nil, err
	}
	client, err := redisconn.Open(conf.Redis, func(o *rueidis.ClientOption) { o.DisableCache = true })
	if err != nil {
		return nil, fmt.Errorf("redislock: %w", err)
	}
	var id [8]byte
	rand.Read(id[:])
	c := &Coordinator{
		conf: conf, client: client, me: hex.EncodeToString(id[:]),
		poke: make(chan struct{}, 1), broken: make(chan error, 1),
		turned: make(chan struct{}), downAt: time.Now(), moved: make(chan struct{}), opened: time.Now(),
		rules: newRules(), heard: 1, applied: 1,
		queued: make(chan struct{}, 1), acked: make(chan struct{}, 1),
		asking: map[*waiter]struct{}{}, parked: map[string]map[*waiter]struct{}{}, held: map[string]*lease{},
		awaits: map[*await]struct{}{}, acks: map[string]uint64{},
	}
	c.ctx, c.stop = context.WithCancelCause(context.Background())
	first := make(chan error, 1)
	c.chores.Go(func() { c.run(first) })
	c.chores.Go(c.acknowledge)
	select {
	case err = <-first:
	case <-ctx.Done():
	}
	for _, fatal := range []error{redisconn.ErrAuth, redisconn.ErrTooOld, redisconn.ErrForbidden, redisconn.ErrTLS} {
		if errors.Is(err, fatal) {
			c.Close()
			return nil, fmt.Errorf("redislock: %w", err)
		}
	}
	return c, nil
}

// Close ends the connections. Leases that are held run out. Close the cache first.
func (c *Coordinator) Close() error {
	c.closed.Do(func() {
		c.stop(errClosed)
		c.chores.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), c.conf.Timeout)
		defer cancel()
		if c.client.Mode() != "" { // nobody is to wait for this process
			c.client.Do(ctx, c.client.B().Hdel().Key(c.global()[1]).Field(c.me).Build())
		}
		c.client.Close()
	})
	return nil
}

// Sequence names what revisions count. They go on where they were also when
// Redis has lost its data (L6), so it is the prefix that tells one from another.
func (c *Coordinator) Sequence() string { return "redislock " + c.conf.Prefix }

// Names in Redis.
//
//	prefix k: key    a key's hash
//	{prefix}state    revision, and the newest invalidations: lua/history.lua
//	{prefix}live     processes: until when they count as there, what they have applied
//	prefix i         channel to everybody
//	prefix c: id     channel to one process
func (c *Coordinator) hash(key string) []string { return []string{c.conf.Prefix + "k:" + key} }

func (c *Coordinator) global() []string {
	tag := "{" + c.conf.Prefix + "}"
	return []string{tag + "state", tag + "live"}
}

func (c *Coordinator) everybody() string { return c.conf.Prefix + "i" }

func (c *Coordinator) channels() string { return c.conf.Prefix + "c:" }

func (c *Coordinator) nextToken() string {
	return c.me + "." + strconv.FormatUint(c.tokens.Add(1), 36)
}

// call runs a script of one key, in Config.Timeout, whatever its caller does:
// what it comes to must be known.
func (c *Coordinator) call(s script, key string, args ...string) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(context.Background(), c.conf.Timeout)
	defer cancel()
	result := s.on(ctx, c.client, c.hash(key), args...)
	c.note(result.Error())
	return result
}

// note counts an error, and lets the session look whether Redis is there.
func (c *Coordinator) note(err error) {
	if err == nil || rueidis.IsRedisNil(err) || errors.Is(err, context.Canceled) || errors.Is(err, rueidis.ErrClosing) {
		return
	}
	c.n.errors.Add(1)
	if redisconn.Outage(err) {
		select {
		case c.poke <- struct{}{}:
		default:
		}
		return
	}
	c.n.warn(c.conf.Log, "Redis does not take a step of the protocol", redisconn.Explain(err))
}

// send gives a letter to one process. One that is lost is made good by a
// deadline of whoever waits for it.
func (c *Coordinator) send(process string, kind byte, token string, fence uint64, rest string) {
	ctx, cancel := context.WithTimeout(c.ctx, c.conf.Timeout)
	defer cancel()
	text := string(kind) + "\n" + token + "\n" + strconv.FormatUint(fence, 10) + "\n" + rest
	c.note(c.client.Do(ctx, c.client.B().Publish().Channel(c.channels()+process).Message(text).Build()).Error())
}

// micro writes a duration or an instant as the scripts do.
func micro(d time.Duration) string { return strconv.FormatInt(int64(d/time.Microsecond), 10) }

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// counters are what Stats shows.
type counters struct {
	joins, values, leases, waits, polls, lost, errors, corrupt, tooLarge, outages, sessions, gaps atomic.Uint64

	mu     sync.Mutex
	warned time.Time
}

// Stats are counts since Open.
type Stats struct {
	Up       bool   // Redis is there
	Pending  int    // invalidated keys, prefixes and tags that Redis has not been told of; 1 for everything
	Joins    uint64 // questions to Redis
	Values   uint64 // answered by a value that Redis has
	Leases   uint64 // answered by a lease
	Waits    uint64 // parked behind another's lease
	Polls    uint64 // asked again because a lease had run out unheard
	Lost     uint64 // leases that were void before they were ended
	Errors   uint64 // calls that failed
	Corrupt  uint64 // values in Redis that could not be read
	TooLarge uint64 // values over Config.MaxValueBytes
	Outages  uint64 // Joins answered while Redis was away
	Sessions uint64 // connections that stood
	Gaps     uint64 // sessions ended because a message was missing
}

// Stats says what has happened.
func (c *Coordinator) Stats() Stats {
	c.mu.Lock()
	up, pending := c.up, 0
	if p := c.pending; p != nil {
		pending = max(len(p.Keys)+len(p.Prefixes)+len(p.Tags), 1)
	}
	c.mu.Unlock()
	n := &c.n
	return Stats{
		up, pending, n.joins.Load(), n.values.Load(), n.leases.Load(), n.waits.Load(), n.polls.Load(), n.lost.Load(),
		n.errors.Load(), n.corrupt.Load(), n.tooLarge.Load(), n.outages.Load(), n.sessions.Load(), n.gaps.Load(),
	}
}

// warnPause is how often the same kind of trouble is told.
const warnPause = 10 * time.Second

func (n *counters) warn(log *slog.Logger, text string, err error) {
	n.mu.Lock()
	now := time.Now()
	quiet := now.Sub(n.warned) < warnPause
	if !quiet {
		n.warned = now
	}
	n.mu.Unlock()
	if !quiet {
		log.Warn("redislock: "+text, slog.Any("error", err))
	}
}
