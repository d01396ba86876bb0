package corral

import "time"

// A FlightState says how far a load is.
type FlightState uint8

const (
	FlightQueued  FlightState = iota // waits for its turn
	FlightLoading                    // its loader, store or coordinator is at work
	FlightBody                       // its value is out, the body still arrives
	FlightEnding                     // its callers are answered; its goroutine has not returned
	FlightZombie                     // past its deadline, and its loader has not returned
)

func (s FlightState) String() string {
	return [...]string{"queued", "loading", "body", "ending", "zombie"}[s%5]
}

// FlightInfo is a look at one load.
type FlightInfo struct {
	ID       uint64
	Key      string
	State    FlightState
	Waiters  int
	Refresh  bool // began behind a value
	Apart    bool // for one caller only, after a pass
	Detached bool // an invalidation or a Set has parted it from its key
	Started  time.Time
	Age      time.Duration
	Deadline time.Duration // until the key is freed; negative when it has been
	Parent   string        // the key of the load that it runs inside, if any
}

// EntryInfo is a look at what is kept under one key.
type EntryInfo struct {
	Bytes    int64         // counted against MaxBytes; zero while nothing is kept
	Value    bool          // there is a value
	ForLoads bool          // there is one that Validate kept, for loads only
	Loading  bool          // there is a flight
	Age      time.Duration // of the value
	TTL      time.Duration // remaining; negative when stale
	Revision uint64
	Version  uint64
	Tags     []string
	Paused   time.Duration // for how long the last failure still answers
	Passing  time.Duration // for how long callers load for themselves
	Err      error         // the last failure
}

// describe is a look at a flight. ok is false for what is not one of its own.
func (f *flight[V]) describe() (info FlightInfo, ok bool) {
	c := f.c
	age := time.Since(f.started)
	info = FlightInfo{
		ID: f.id, Key: f.key, State: FlightQueued, Refresh: f.refresh, Apart: f.alone,
		Started: f.started, Age: age, Deadline: c.o.LoadTimeout - age,
	}
	if f.parent != nil {
		info.Parent = f.parent.key
	}
	if f.phase.Load() == inUser {
		info.State = FlightLoading
	}
	zombie := c.roster.isZombie(&f.run)
	f.e.mu.Lock()
	defer f.e.mu.Unlock()
	info.Waiters = f.waiters
	info.Detached = !f.settled && !f.alone && f.e.flight != f
	switch {
	case zombie:
		info.State = FlightZombie
	case f.settled && f.out.record != nil && f.out.record.body() != nil:
		info.State = FlightBody
	case f.settled:
		info.State = FlightEnding
	}
	if f.settled {
		info.Waiters = 0
	}
	return info, true
}

func (e *entry[V]) describe(c *Cache[V]) EntryInfo {
	now := c.now()
	var info EntryInfo
	e.mu.Lock()
	info.Loading = e.flight != nil
	e.mu.Unlock()
	c.table.Update(e, func() { info.Bytes = e.node.Weight() })
	if r := e.value.Load(); r != nil {
		r = c.softened(r)
		info.Value, info.Age, info.TTL = true, time.Duration(now-r.born), remaining(r.expiry, now)
		info.Revision, info.Version = r.revision, r.version()
		if r.more != nil {
			info.Tags = r.more.tags
		}
	}
	if m := e.mark.Load(); m != nil {
		info.ForLoads = m.kept != nil
		left := max(0, time.Duration(m.until-now))
		if m.pass {
			info.Passing = left
		} else {
			info.Paused, info.Err = left, m.err
		}
	}
	return info
}
