package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A Plan is all that a run is made of, drawn from a seed. Its Acts can be left
// out one by one.
type Plan struct {
	Seed       uint64
	Theme      string
	Nodes      int
	Partitions int
	Keys       int
	Locks      bool // a restart proves with its directory's lock that its earlier life is over
	Compacted  bool // the log of invalidations is not kept for those who start
	Reborn     bool // who was taken for dead keeps what its caches have
	Resumes    bool // a watch that has stood still has missed what came meanwhile
	Unread     bool // nor can it be read by those who start: what was before is not known to them
	Store      bool
	Shared     bool          // the store is one for all nodes, else each machine has its own
	Latency    time.Duration // of the network, one way
	Jitter     time.Duration
	Loss       float64 // of messages, while a link is lossy
	EtcdTakes  time.Duration
	EtcdLoss   float64
	Lag        time.Duration // of watches
	LoadTime   time.Duration // a load's deadline
	LoadTakes  time.Duration // loads take up to this
	Shares     float64
	Passes     float64
	Errors     float64
	Hangs      float64
	Rest       time.Duration // a key rests for this after an error
	Fresh      time.Duration
	Stale      time.Duration
	Gaps       float64 // how often a caller stands still between two steps of a get
	Nested     int     // how many keys' loads get another key
	Tight      bool    // cores remember very little, and refuse the rest
	Client     bool    // the last node has no weight: it owns nothing
	Rates      []float64
	Start      int // nodes that are there from the beginning; the others join
	Acts       []Act
	End        time.Duration // when all faults are over

	names  []string
	healed bool
}

// An ActKind is something that a plan does.
type ActKind uint8

const (
	ActGet ActKind = iota
	ActInvalidate
	ActStart
	ActCrash
	ActPause
	ActOutage
	ActIsolate
	ActStall
	ActCut
	ActSplit
	ActReset
	ActLossy
	ActDrain
	ActUndrain
	ActSet
)

// An Act is one thing that happens in a run.
type Act struct {
	At      time.Duration
	Kind    ActKind
	Node    int
	Other   int
	Key     int
	Scope   int // of an invalidation: 0 a key, 1 a tag, 2 all
	For     time.Duration
	Fresh   bool
	NoStale bool
	OneWay  bool
	Stay    bool // of a drain: the node goes on as one that owns nothing
}

func (a Act) String() string {
	at := fmt.Sprintf("%9.3fs ", a.At.Seconds())
	node := string(rune('a' + a.Node))
	other := string(rune('a' + a.Other))
	switch a.Kind {
	case ActGet:
		flags := ""
		if a.Fresh {
			flags += " fresh"
		}
		if a.NoStale {
			flags += " no stale"
		}
		return at + fmt.Sprintf("get k%d at %s, for %v%s", a.Key, node, a.For, flags)
	case ActInvalidate:
		return at + fmt.Sprintf("invalidate %s at %s", [...]string{fmt.Sprintf("key k%d", a.Key), fmt.Sprintf("tag t%d", a.Key%2), "all"}[a.Scope], node)
	case ActStart:
		return at + "start " + node
	case ActCrash:
		return at + fmt.Sprintf("crash %s, start it again after %v", node, a.For)
	case ActPause:
		return at + fmt.Sprintf("pause %s for %v", node, a.For)
	case ActOutage:
		return at + fmt.Sprintf("etcd is out of reach for %v", a.For)
	case ActIsolate:
		return at + fmt.Sprintf("%s is cut from etcd for %v", node, a.For)
	case ActStall:
		return at + fmt.Sprintf("the watch of %s stands still for %v", node, a.For)
	case ActCut:
		if a.OneWay {
			return at + fmt.Sprintf("nothing goes from %s to %s for %v", node, other, a.For)
		}
		return at + fmt.Sprintf("nothing goes between %s and %s for %v", node, other, a.For)
	case ActSplit:
		return at + fmt.Sprintf("%s is cut from all others for %v", node, a.For)
	case ActReset:
		return at + fmt.Sprintf("the stream of %s and %s is reset", node, other)
	case ActLossy:
		return at + fmt.Sprintf("the stream of %s and %s loses messages for %v", node, other, a.For)
	case ActDrain:
		if a.Stay {
			return at + "drain " + node + ", which stays"
		}
		return at + "drain " + node
	case ActUndrain:
		return at + "undrain " + node
	case ActSet:
		return at + fmt.Sprintf("set k%d at %s", a.Key, node)
	}
	return at + "?"
}

// themes are what a plan is mostly about.
var themes = []string{"calm", "crash", "watch", "etcd", "network", "pause", "move", "invalidate", "set", "recover", "everything"}

// faults are the kinds that a theme draws from.
var faults = map[string][]ActKind{
	"calm":       {ActReset},
	"crash":      {ActCrash, ActCrash, ActReset},
	"watch":      {ActStall, ActStall, ActIsolate},
	"etcd":       {ActOutage, ActIsolate, ActStall},
	"network":    {ActCut, ActSplit, ActReset, ActLossy},
	"pause":      {ActPause, ActPause, ActReset},
	"move":       {ActDrain, ActCrash, ActReset, ActPause},
	"invalidate": {ActStall, ActReset, ActPause},
	"set":        {ActCrash, ActStall, ActReset, ActPause, ActDrain},
	"recover":    {ActCrash, ActCut, ActPause, ActDrain},
	"everything": {ActCrash, ActPause, ActOutage, ActIsolate, ActStall, ActCut, ActSplit, ActReset, ActLossy, ActDrain},
}

// NewPlan draws a plan.
func NewPlan(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 0x636f7272616c))
	p := Plan{
		Seed: seed, Theme: themes[r.IntN(len(themes))],
		Nodes: 3 + r.IntN(3), Partitions: 8 + r.IntN(9), Keys: 2 + r.IntN(5),
		Locks: chance(r, 0.8), Compacted: chance(r, 0.5), Unread: chance(r, 0.05), Reborn: chance(r, 0.8), Resumes: chance(r, 0.4), Store: chance(r, 0.3), Shared: chance(r, 0.5),
		Latency: pick(r, 100*time.Microsecond, time.Millisecond, 30*time.Millisecond),
		Jitter:  pick(r, 100*time.Microsecond, 2*time.Millisecond, 40*time.Millisecond),
		Loss:    0.05, EtcdTakes: pick(r, 2*time.Millisecond, 10*time.Millisecond, 40*time.Millisecond),
		EtcdLoss: pick(r, 0, 0, 0.02, 0.1), Lag: pick(r, time.Millisecond, 5*time.Millisecond, 60*time.Millisecond),
		LoadTime:  pick(r, 4*time.Second, 6*time.Second, 9*time.Second, 12*time.Second),
		LoadTakes: pick(r, 100*time.Millisecond, time.Second, 3*time.Second, 6*time.Second),
		Shares:    pick(r, 0, 0.1), Passes: pick(r, 0, 0, 0.1), Errors: pick(r, 0, 0.1), Hangs: pick(r, 0, 0.1),
		Rest: pick(r, 0, 500*time.Millisecond), Fresh: pick(r, time.Second, 5*time.Second, time.Hour),
		Stale: pick(r, 0, 3*time.Second), Gaps: pick(r, 0, 0.2),
	}
	if chance(r, 0.15) {
		p.Nested = p.Keys
	}
	p.Tight, p.Client = chance(r, 0.05), chance(r, 0.1)
	p.Start = p.Nodes
	if chance(r, 0.3) || p.Theme == "move" {
		p.Start = max(1, p.Nodes-1-r.IntN(2))
	}
	for range p.Nodes {
		p.Rates = append(p.Rates, pick(r, 0, 0.0001, 0.045)*(2*r.Float64()-1))
	}
	p.act(r)
	return p
}

// pick draws one of some.
func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// warm is how long a cluster has to come up before anything happens to it.
const warm = 3 * time.Second

// act draws the acts: faults, each with callers and invalidations before it, in
// it and after it.
func (p *Plan) act(r *rand.Rand) {
	p.End = warm + between(r, 4*time.Second, 12*time.Second)
	for n := range p.Nodes {
		a := Act{At: between(r, 0, 300*time.Millisecond), Kind: ActStart, Node: n}
		if n >= p.Start {
			a.At = between(r, warm, p.End)
		}
		p.Acts = append(p.Acts, a)
	}
	count := 1 + r.IntN(4)
	if p.Theme == "move" || p.Theme == "everything" {
		count += 2
	}
	at := warm + between(r, 0, time.Second)
	lone := p.Theme == "etcd" && chance(r, 0.4)
	if lone { // long enough for all leases to run out, and nothing else
		p.Acts = append(p.Acts, Act{At: at, Kind: ActOutage, For: between(r, 2500*time.Millisecond, 7*time.Second)})
	}
	for range count {
		if !lone {
			p.fault(r, at)
		}
		p.crowd(r, at)
		at += between(r, 0, 4*time.Second)
		p.End = max(p.End, at)
	}
	if p.Theme == "watch" && chance(r, 0.8) {
		p.relapse(r, at+time.Second)
	}
	if p.Theme == "recover" && chance(r, 0.6) {
		p.absent(r, at+time.Second)
	}
	for _, a := range p.Acts {
		if (a.Kind == ActStart && a.At > warm || a.Kind == ActDrain) && chance(r, 0.7) {
			p.flurry(r, a.At)
		}
	}
	if p.Theme == "invalidate" {
		for range 10 {
			p.crowd(r, between(r, warm, p.End))
		}
	}
	for range r.IntN(3) {
		p.overwrite(r, between(r, warm, p.End))
	}
	if p.Theme == "set" {
		for range 8 {
			p.overwrite(r, between(r, warm, p.End))
		}
	}
	for range 10 + r.IntN(20) {
		p.get(r, between(r, warm, p.End), r.IntN(p.Keys))
	}
	for range r.IntN(4) {
		p.invalidate(r, between(r, warm, p.End), r.IntN(p.Keys))
	}
	for _, a := range p.Acts {
		if a.Kind != ActGet {
			p.End = max(p.End, a.At+a.For)
		}
	}
	p.sort()
}

func (p *Plan) sort() {
	slices.SortStableFunc(p.Acts, func(a, b Act) int { return int(a.At - b.At) })
}

// fault draws one fault, or two that meet.
func (p *Plan) fault(r *rand.Rand, at time.Duration) {
	kinds := faults[p.Theme]
	for range 1 + r.IntN(2) {
		a := Act{At: at, Kind: pick(r, kinds...), Node: r.IntN(p.Nodes)}
		a.Other = (a.Node + 1 + r.IntN(p.Nodes-1)) % p.Nodes
		a.For = pick(r, between(r, 0, time.Second), between(r, time.Second, 4*time.Second), between(r, 2*time.Second, 8*time.Second))
		a.OneWay = chance(r, 0.5)
		if a.Kind == ActDrain && chance(r, 0.5) {
			a.Stay = true
			if chance(r, 0.6) {
				p.Acts = append(p.Acts, Act{At: at + a.For, Kind: ActUndrain, Node: a.Node})
			}
			a.For = 0
		}
		p.Acts = append(p.Acts, a)
		if a.Kind == ActIsolate || a.Kind == ActPause {
			p.revival(r, a)
		}
		at += between(r, 0, 700*time.Millisecond)
	}
}

// revival draws callers and invalidations at a node that is back among the others:
// it may have to begin a new life.
func (p *Plan) revival(r *rand.Rand, a Act) {
	if a.For < 2*time.Second {
		return
	}
	for range 3 {
		at, key := a.At+a.For+between(r, 0, 1500*time.Millisecond), r.IntN(p.Keys)
		p.Acts = append(p.Acts,
			Act{At: at - time.Second, Kind: ActGet, Node: a.Node, Key: key, For: 3 * time.Second},
			Act{At: at, Kind: ActInvalidate, Node: a.Node, Key: key})
		for range 4 {
			p.Acts = append(p.Acts, Act{At: at + between(r, 0, 400*time.Millisecond), Kind: ActGet, Node: a.Node, Key: key, For: 3 * time.Second})
		}
	}
}

// crowd draws callers of one key around an instant, and perhaps an invalidation
// of it.
func (p *Plan) crowd(r *rand.Rand, at time.Duration) {
	key := r.IntN(p.Keys)
	spread := pick(r, 20*time.Millisecond, 300*time.Millisecond, 3*time.Second)
	for range 3 + r.IntN(6) {
		p.get(r, at+between(r, -spread/2, spread), key)
	}
	if chance(r, 0.5) || p.Theme == "watch" || p.Theme == "invalidate" {
		then := at + between(r, 0, time.Second)
		p.invalidate(r, then, key)
		for range 3 + r.IntN(6) {
			p.get(r, then+between(r, 0, 5*time.Second), key)
		}
	}
}

// relapse draws a node that loses its lease and gets it back, for its watch stands
// still; callers who come just before that, of a key that is being computed since
// before an invalidation which is acknowledged by then.
func (p *Plan) relapse(r *rand.Rand, at time.Duration) {
	p.Gaps, p.LoadTakes, p.LoadTime, p.Hangs = 0.5, 9*time.Second, 12*time.Second, 0
	node, other := r.IntN(p.Nodes), r.IntN(p.Nodes)
	key := r.IntN(p.Keys)
	length := between(r, 3500*time.Millisecond, 6*time.Second)
	p.Acts = append(p.Acts,
		Act{At: at, Kind: ActGet, Node: pick(r, node, other), Key: key, For: 15 * time.Second},
		Act{At: at + 300*time.Millisecond, Kind: ActGet, Node: node, Key: key, For: 15 * time.Second},
		Act{At: at + 500*time.Millisecond, Kind: ActStall, Node: node, For: length},
		Act{At: at + 700*time.Millisecond, Kind: ActInvalidate, Node: other, Key: key, Scope: pick(r, 1, 1, 2)},
	)
	for range 10 {
		p.Acts = append(p.Acts, Act{At: at + length + between(r, -400*time.Millisecond, 500*time.Millisecond), Kind: ActGet, Node: node, Key: key, For: 15 * time.Second})
	}
	p.End = max(p.End, at+length+time.Second)
}

// absent draws an owner that dies while another node computes its keys and a third
// waits for them, and is out of reach when a new owner asks it what it holds.
func (p *Plan) absent(r *rand.Rand, at time.Duration) {
	p.LoadTakes, p.LoadTime = 9*time.Second, 12*time.Second
	nodes := r.Perm(p.Nodes)
	owner, holder, waiter := nodes[0], nodes[1], nodes[2]
	for key := range p.Keys {
		p.Acts = append(p.Acts,
			Act{At: at, Kind: ActGet, Node: holder, Key: key, For: 15 * time.Second},
			Act{At: at + 200*time.Millisecond, Kind: ActGet, Node: waiter, Key: key, For: 15 * time.Second})
	}
	away := Act{At: at + 1900*time.Millisecond, Kind: pick(r, ActPause, ActSplit), Node: holder, For: between(r, 1200*time.Millisecond, 1490*time.Millisecond)}
	p.Acts = append(p.Acts, Act{At: at + 400*time.Millisecond, Kind: ActCrash, Node: owner, For: 6 * time.Second}, away)
	p.End = max(p.End, at+7*time.Second)
}

// flurry draws callers of cold keys just when partitions move, or loads that are
// under way then, at nodes of which one learns of the move later than the others.
func (p *Plan) flurry(r *rand.Rand, at time.Duration) {
	p.Acts = append(p.Acts, Act{At: at - time.Second, Kind: ActInvalidate, Node: r.IntN(p.Nodes), Scope: 2})
	from, to := time.Duration(0), 400*time.Millisecond
	if chance(r, 0.5) {
		p.LoadTakes, p.LoadTime = 6*time.Second, 12*time.Second
		from, to = -900*time.Millisecond, 200*time.Millisecond
		p.Acts = append(p.Acts, Act{At: at - 200*time.Millisecond, Kind: ActStall, Node: r.IntN(p.Nodes), For: between(r, 300*time.Millisecond, 1500*time.Millisecond)})
	}
	for range 12 {
		p.get(r, at+between(r, from, to), r.IntN(p.Keys))
	}
}

func (p *Plan) get(r *rand.Rand, at time.Duration, key int) {
	a := Act{
		At: max(at, warm/2), Kind: ActGet, Node: r.IntN(p.Nodes), Key: key,
		For:   pick(r, 500*time.Millisecond, 3*time.Second, 15*time.Second),
		Fresh: chance(r, 0.02), NoStale: chance(r, 0.1),
	}
	p.Acts = append(p.Acts, a)
}

// overwrite draws a Set, perhaps a second one that meets it, or the end of its
// node, and callers of its key around it.
func (p *Plan) overwrite(r *rand.Rand, at time.Duration) {
	key, node := r.IntN(p.Keys), r.IntN(p.Nodes)
	p.Acts = append(p.Acts, Act{At: at, Kind: ActSet, Node: node, Key: key})
	if chance(r, 0.3) {
		p.Acts = append(p.Acts, Act{At: at + between(r, 0, 100*time.Millisecond), Kind: ActSet, Node: r.IntN(p.Nodes), Key: key})
	}
	if p.Theme == "set" && chance(r, 0.15) {
		p.Acts = append(p.Acts, Act{At: at + between(r, 0, 200*time.Millisecond), Kind: ActCrash, Node: node, For: between(r, 0, 4*time.Second)})
	}
	for range 3 + r.IntN(5) {
		p.get(r, at+between(r, -500*time.Millisecond, 200*time.Millisecond), key)
	}
	for range 3 + r.IntN(5) {
		p.get(r, at+between(r, 0, 3*time.Second), key)
	}
}

func (p *Plan) invalidate(r *rand.Rand, at time.Duration, key int) {
	p.Acts = append(p.Acts, Act{At: at, Kind: ActInvalidate, Node: r.IntN(p.Nodes), Key: key, Scope: pick(r, 0, 0, 1, 2)})
}

// keys are the keys of a plan, as caches compose them.
func (p *Plan) keys() []string {
	if p.names == nil {
		for i := range p.Keys {
			p.names = append(p.names, fmt.Sprintf("cache\x00k%d", i))
		}
	}
	return p.names
}

func (p *Plan) tags(key string) []string {
	return []string{"t" + string('0'+(key[len(key)-1]-'0')%2)}
}

func (p *Plan) nested() bool { return p.Nested > 0 && !p.healed }

// nestedIn is the key that a load of a key gets, "" for none.
func (p *Plan) nestedIn(key string) string {
	if !p.nested() {
		return ""
	}
	i := slices.Index(p.keys(), key)
	if i%2 == 0 && p.Seed%3 != 0 {
		return ""
	}
	return p.keys()[(i+1)%p.Keys]
}

// delay is how long a message takes; a few take much longer.
func (p *Plan) delay(r *rand.Rand) time.Duration {
	d := p.Latency + between(r, 0, p.Jitter)
	if chance(r, 0.002) {
		d += between(r, 0, 60*time.Millisecond)
	}
	return d
}

func (p *Plan) etcdDelay(r *rand.Rand) time.Duration {
	return p.EtcdTakes/4 + between(r, 0, p.EtcdTakes)
}

func (p *Plan) watchLag(r *rand.Rand) time.Duration {
	return between(r, 0, p.Lag) + 100*time.Microsecond
}

// String is the plan to read: its figures, and its acts line by line.
func (p Plan) String() string {
	s := fmt.Sprintf("seed %d (%s): %d nodes, %d partitions, %d keys; network %v + %v, etcd %v, watches %v; loads up to %v of %v; fresh %v, stale %v; locks %v, compacted %v, unread %v, reborn %v, resumes %v, store %v, shared %v\n",
		p.Seed, p.Theme, p.Nodes, p.Partitions, p.Keys, p.Latency, p.Jitter, p.EtcdTakes, p.Lag, p.LoadTakes, p.LoadTime, p.Fresh, p.Stale, p.Locks, p.Compacted, p.Unread, p.Reborn, p.Resumes, p.Store, p.Shared)
	for _, a := range p.Acts {
		s += a.String() + "\n"
	}
	return s
}
