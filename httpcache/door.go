package httpcache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/unasked"
)

// Bounds that are not options.
const (
	// maxSelecting is how many bytes the request fields that Vary names may
	// add to a key. A request with more goes to the origin alone.
	maxSelecting = 8 << 10
	// maxParts is how many bytes a rule's KeyParts and content add to a key: a
	// hash, with what stands before it.
	maxParts = 64
	// maxHops is how often a request follows a Vary that changes under it
	// before it goes to the origin alone.
	maxHops = 4
	// originHeaderBytes bounds the header of an answer of the origin.
	originHeaderBytes = 256 << 10
)

// A door is what a Proxy, a Middleware and a Transport have in common: the
// cache with the rules of HTTP about it. It knows requests and replies, and
// not how they come and go.
type door struct {
	config atomic.Pointer[config]
	cache  *corral.Cache[*response]
	load   time.Duration // the cache's LoadTimeout: no route's may be longer
	now    func() time.Time
	fresh  newcomers
	large  large
	passes bool  // what is shared with nobody goes by itself, with all that its client sent
	client bool  // it is the client that asks: no proxy names itself to the origin
	let    []any // keys of what in a client's context its fetch may know

	closing sync.Mutex     // orders the start of what reads on before Close
	closed  bool           // guarded by closing
	reading sync.WaitGroup // goroutines of readOn and forget

	forgetting map[string]bool    // entries that forget is about; guarded by closing
	lifetime   context.Context    // of what forget begins
	end        context.CancelFunc // ends it
}

// open makes the door of a valid configuration.
func (d *door) open(o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	c := newConfig(o)
	d.config.Store(c)
	d.load = c.longest()
	d.lifetime, d.end = context.WithCancel(context.Background())
	d.now = o.Now
	if d.now == nil {
		d.now = time.Now
	}
	var err error
	d.cache, err = corral.New[*response](nil, corral.Options[*response]{
		Name: c.Name, MaxBytes: o.MaxBytes, MaxValueBytes: o.MaxObjectBytes, Size: (*response).size,
		TTL:         corral.Forever, // every lifetime is the origin's
		ErrorPause:  -1,             // each failure has its own: see failure.go
		LoadTimeout: d.load, TailTimeout: c.TailTimeout, PassTTL: c.PassTTL,
		MaxLoads: o.MaxLoads, MaxWaiters: o.MaxWaiters, MaxWaitersPerKey: o.MaxWaitersPerKey,
		MaxKeyLen: c.MaxKeyBytes + maxParts + 1 + maxSelecting, Logger: o.Logger, Now: o.Now,
		ContextValues: d.let, Coordinator: o.Coordinator, MirrorBytes: o.MirrorBytes,
		Store: o.Store, StoreTimeout: o.StoreTimeout, Codec: wire{},
	})
	if err != nil {
		return fmt.Errorf("httpcache: %w", err)
	}
	return nil
}

func newTransport(o Options) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
		DialContext:            unasked.Dial((&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext),
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxConnsPerHost:        o.MaxConns,
		MaxIdleConns:           o.MaxConns,
		MaxIdleConnsPerHost:    o.MaxConns,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: originHeaderBytes,
		DisableCompression:     true, // what the origin sends is what is stored
		Protocols:              protocols,
	}
}

// Reload puts other options in force for all requests from now on; what is
// running goes on under those it began with. What sizes the cache stays as it
// is: MaxBytes, MaxObjectBytes of the Options, MaxKeyBytes, MaxLoads,
// MaxWaiters, MaxWaitersPerKey and TailTimeout; so do Private, Name, Coordinator,
// Store, StoreTimeout, MirrorBytes, Logger and Now. A change of one of the first
// eight, or anything else that is wrong, is an error, and changes nothing. What is stored stays as it was judged.
func (d *door) Reload(o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	old := d.config.Load()
	o.Coordinator = old.Coordinator // rules ask it for their share of a rate
	o.Store, o.StoreTimeout, o.MirrorBytes = old.Store, old.StoreTimeout, old.MirrorBytes
	c := newConfig(o)
	var errs []error
	same := func(field string, was, is any) {
		if was != is {
			errs = append(errs, fmt.Errorf("httpcache: Options.%s is %v and was %v: it cannot change while the cache is open; begin anew", field, is, was))
		}
	}
	same("Name", old.Name, c.Name)
	same("Private", old.Private, c.Private) // what is kept for one user is not for others
	same("MaxBytes", old.MaxBytes, c.MaxBytes)
	same("MaxObjectBytes", old.MaxObjectBytes, c.MaxObjectBytes)
	same("MaxKeyBytes", old.MaxKeyBytes, c.MaxKeyBytes)
	same("MaxLoads", old.MaxLoads, c.MaxLoads)
	same("MaxWaiters", old.MaxWaiters, c.MaxWaiters)
	same("MaxWaitersPerKey", old.MaxWaitersPerKey, c.MaxWaitersPerKey)
	same("TailTimeout", old.TailTimeout, c.TailTimeout)
	if longest := c.longest(); longest > d.load {
		errs = append(errs, fmt.Errorf("httpcache: Options.LoadTimeout, or that of a rule, is %v: it cannot become longer than %v while the cache is open; begin anew", longest, d.load))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	c.Logger, c.Now = old.Logger, old.Now
	d.config.Store(c)
	if old.owned != nil {
		old.owned.CloseIdleConnections()
	}
	return nil
}

// Cache is the cache behind the door, for statistics and for looking inside.
func (d *door) Cache() Inspector { return d.cache }

// An Inspector is the part of a corral.Cache that does not depend on the type
// of its values.
type Inspector interface {
	Name() string
	Stats() corral.Stats
	Subscribe(buffer int) (events <-chan corral.Event, stop func())
	Invalidate(ctx context.Context, keys ...string) error
	InvalidateTags(ctx context.Context, tags ...string) error
	InvalidateAll(ctx context.Context) error
}

// Shutdown waits for the fetches that run, until ctx ends, and closes the door.
func (d *door) Shutdown(ctx context.Context) error {
	err := d.cache.Shutdown(ctx)
	return errors.Join(err, d.Close())
}

// Close ends every fetch and forgets every response.
func (d *door) Close() error {
	d.closing.Lock()
	d.closed = true
	d.closing.Unlock()
	d.end()
	err := d.cache.Close()
	d.reading.Wait()
	if c := d.config.Load(); c.owned != nil {
		c.owned.CloseIdleConnections()
	}
	return err
}

// readOn reads a body that still arrives to its end for nobody: the client
// whose request began the fetch needs none of it, or a part, but without a
// reader the fetch would be given up, and the next client would begin it anew.
func (d *door) readOn(name string) {
	d.closing.Lock()
	defer d.closing.Unlock()
	if d.closed {
		return
	}
	item, _, ok := d.cache.Peek(name)
	if !ok || item.Body == nil {
		return
	}
	d.reading.Go(func() {
		defer item.Body.Close()
		item.Body.Discard(d.config.Load().MaxBytes)
	})
}

const (
	// maxForgetting bounds what forget is about at once. What is more than that
	// stays until it expires or room is needed.
	maxForgetting = 1000
	// acknowledgeTimeout is how long other processes may take to say that an
	// invalidation has reached them.
	acknowledgeTimeout = 10 * time.Second
)

// forget ends what is kept under a name, where no answer depends on it: for the
// sake of memory, or so that the next request asks anew. Other processes, and the
// store, hear of it by and by.
func (d *door) forget(name string) {
	if c := d.config.Load(); c.Coordinator == nil && c.Store == nil {
		d.cache.Invalidate(context.Background(), name) // which waits for nothing
		return
	}
	d.closing.Lock()
	defer d.closing.Unlock()
	if d.closed || d.forgetting[name] || len(d.forgetting) >= maxForgetting {
		return
	}
	if d.forgetting == nil {
		d.forgetting = map[string]bool{}
	}
	d.forgetting[name] = true
	d.reading.Go(func() {
		ctx, cancel := context.WithTimeout(d.lifetime, acknowledgeTimeout)
		defer cancel()
		d.cache.Invalidate(ctx, name)
		d.closing.Lock()
		defer d.closing.Unlock()
		delete(d.forgetting, name)
	})
}

func closeBody(item corral.Item[*response]) {
	if item.Body != nil {
		item.Body.Close()
	}
}
