package corral

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"time"
)

// Options configures a Cache. MaxBytes (or Unbounded) and TTL must be set; the
// zero value of every other field is the default that stands on it. A negative
// value means none where the field says so and is an error elsewhere.
type Options[V any] struct {
	// Name of the cache in errors, events, metrics and logs. Default "corral".
	Name string

	// MaxBytes bounds what the cache holds: keys, values, overhead and the
	// bytes of bodies that are still arriving, in bytes, at every moment. A
	// value that does not fit is delivered and not kept.
	MaxBytes int64
	// MaxValueBytes bounds one value with its key, body and overhead: a larger
	// one is delivered and not kept, so that it does not drive out many small
	// ones. Default: MaxBytes.
	MaxValueBytes int64
	// MirrorBytes bounds, within MaxBytes, what is kept of values that another
	// process owns, where the Coordinator is a Keeper. Such a value is kept if
	// its key is asked for twice within a second; beyond MirrorBytes those kept
	// longest go first. Default: an eighth of MaxBytes.
	MirrorBytes int64
	// Unbounded, instead of MaxBytes, caches without a limit.
	Unbounded bool
	// Size is the size of a value in bytes. Default: the length of a string or
	// []byte, else what reflection finds reachable from the value.
	Size func(V) int64

	// TTL is how long a value is fresh. Use Forever for values that only an
	// invalidation ends.
	TTL time.Duration
	// Jitter shortens TTLs and pauses at random by up to this part of them, so
	// that what was loaded together does not expire together. Default 0.1;
	// negative: none; below 1.
	Jitter float64
	// StaleFor is how long after its TTL a value is still handed out at once
	// while a refresh runs behind it (stale-while-revalidate, RFC 5861).
	// Default 0: nothing stale unless asked for.
	StaleFor time.Duration
	// StaleOnError is how long after its TTL a value is handed out when a load
	// fails or pauses after a failure (stale-if-error, RFC 5861). Default 0.
	StaleOnError time.Duration
	// StaleOnOutage is StaleOnError for loads that fail because the source
	// could not be reached: with what Outage has wrapped, or ErrLoadTimeout.
	// Default: StaleOnError; negative: none.
	StaleOnOutage time.Duration
	// EarlyRefresh is XFetch's β (Vattani et al., PVLDB 8(8), 2015): a fresh
	// value is refreshed behind a hit with probability exp(-remaining/(β·Δ)),
	// Δ being how long its load took. 1 is the paper's choice, more is
	// earlier. Default 0: off.
	EarlyRefresh float64

	// LoadTimeout ends a load with ErrLoadTimeout and frees its key, whether or
	// not the loader heeds its context. Counted from the start of the flight,
	// waiting for a slot included. Default 30 s.
	LoadTimeout time.Duration
	// TailTimeout breaks a growing body of which nothing has arrived, or that
	// its slowest reader has held up, for this long. Default 30 s.
	TailTimeout time.Duration
	// SoftTimeout hands out a value within StaleOnError when a load has run
	// this long; the load goes on. Default 0: off. Needs StaleOnError.
	SoftTimeout time.Duration
	// Retries is how often a failed load is repeated within its deadline, with
	// jittered exponential delays from RetryDelay (default 50 ms), as long as
	// retries stay within RetryBudget of all loads (default 0.1). Default 0.
	Retries     int
	RetryDelay  time.Duration
	RetryBudget float64
	// ErrorPause is how long a key is not tried again after a failure; it
	// doubles with each failure in a row up to MaxErrorPause. Callers are
	// given the error, or a value within StaleOnError, meanwhile. Then one
	// probe loads. Defaults 1 s and 30 s; negative: none.
	ErrorPause    time.Duration
	MaxErrorPause time.Duration
	// PassTTL is how long callers of a key do not park after an outcome Pass.
	// Default 2 min; negative: none.
	PassTTL time.Duration

	// MaxLoads is the number of loads that run at once (the bulkhead), up to
	// their value or its header; more wait their turn, refreshes are put off.
	// Bodies that arrive count among MaxFlights only. It is this process's own,
	// also where others share the keys. Default 256.
	MaxLoads int
	// MaxFlights is the number of loads that run or wait for a turn. Default
	// 16,384. Over it: ErrOverloaded.
	MaxFlights int
	// MaxZombies is the number of loaders that may ignore the end of their
	// deadline before further loads are refused. Default 64.
	MaxZombies int
	// MaxWaiters and MaxWaitersPerKey bound the callers that wait. Defaults
	// 100,000 and 10,000. Over them: ErrOverloaded.
	MaxWaiters       int
	MaxWaitersPerKey int
	// LoadsPerSecond bounds the rate of loads, with bursts of up to Burst
	// (default: one second's worth, at least 1). A load that cannot have its turn within
	// LoadTimeout is refused. Default 0: no limit.
	//
	// With a Coordinator that is a Divider it is the rate of all processes
	// together, as far as each has the same: each takes its share of rate and
	// burst, of the burst at least 1, and follows when others come and go. A
	// change adds nothing to what may begin at once. Shares that are not used
	// are not lent.
	LoadsPerSecond float64
	Burst          int
	// MaxKeyLen is the longest key, in bytes. Default 8 KiB.
	MaxKeyLen int
	// MaxTags is the number of tags a value may have. Default 128.
	MaxTags int

	// FinishAbandoned lets a load end that nobody waits for any more, because
	// it is paid for either way. Default: it is cancelled.
	FinishAbandoned bool
	// ContextValues are the keys of context values that a load sees of the
	// caller who began it. What a value depends on belongs into the cache's key.
	ContextValues []any
	// Trace, if set, derives a load's context once more, so that it can carry
	// a link to the trace of the caller who began it.
	Trace func(load, caller context.Context) context.Context
	// Clone copies a value for each caller; without it callers share one value
	// and must not change it.
	Clone func(V) (V, error)

	// Coordinator and Store are the ports to other processes and to disk; both
	// need a Codec. Nil means none.
	Coordinator Coordinator
	Store       Store
	Codec       Codec[V]
	// StoreTimeout is how long a load waits for the store before it goes on
	// without. Writes to the store have LoadTimeout; nobody waits for them but
	// the callers of Set. Default 1 s.
	StoreTimeout time.Duration
	// MaxStoreCalls is the number of calls of the store at once; over it the
	// store is done without. Default 256.
	MaxStoreCalls int

	// OnRemove is told of each value that leaves the cache and why, after it
	// has left, on the goroutine that made it leave, with no lock held. Keep
	// it short.
	OnRemove func(key string, value V, cause RemovalCause)
	// Logger receives failures of loads, at level Warn. Default: none.
	Logger *slog.Logger
	// Now replaces the coarse clock by which freshness is judged. Inside a
	// testing/synctest bubble set it to time.Now.
	Now func() time.Time
}

// A RemovalCause says why a value left the cache.
type RemovalCause uint8

const (
	Evicted     RemovalCause = iota // to make room
	Replaced                        // by a newer value
	Invalidated                     // by Invalidate and its like
	Released                        // by Close, because its body broke or outgrew MaxBytes, or because it was kept for its body's arrival only
)

func (c RemovalCause) String() string {
	return [...]string{"evicted", "replaced", "invalidated", "released"}[c&3]
}

// minLoadsPerSecond is a load in 31 years: less overflows a duration.
const minLoadsPerSecond = 1e-9

// Validate reports every field that is wrong, with its value and the remedy.
func (o Options[V]) Validate() error {
	var errs []error
	wrong := func(bad bool, field string, value any, remedy string) {
		if bad {
			errs = append(errs, fmt.Errorf("corral: Options.%s is %v: %s", field, value, remedy))
		}
	}
	wrong(o.MaxBytes == 0 && !o.Unbounded, "MaxBytes", 0, "set it, or set Unbounded to cache without a limit")
	wrong(o.MaxBytes < 0, "MaxBytes", o.MaxBytes, "set a number of bytes above 0")
	wrong(o.MaxBytes > 0 && o.MaxBytes <= entryBytes, "MaxBytes", o.MaxBytes, fmt.Sprintf("no value fits, since an entry alone takes %d bytes; set more", entryBytes))
	wrong(o.MaxValueBytes < 0, "MaxValueBytes", o.MaxValueBytes, "set a number of bytes above 0, or leave it 0 for MaxBytes")
	wrong(o.MaxBytes > 0 && o.MaxValueBytes > o.MaxBytes, "MaxValueBytes", o.MaxValueBytes, fmt.Sprintf("it must not be above MaxBytes, which is %d", o.MaxBytes))
	wrong(o.MirrorBytes < 0, "MirrorBytes", o.MirrorBytes, "set a number of bytes above 0, or leave it 0 for an eighth of MaxBytes")
	wrong(o.MaxBytes > 0 && o.MirrorBytes > o.MaxBytes, "MirrorBytes", o.MirrorBytes, fmt.Sprintf("it must not be above MaxBytes, which is %d", o.MaxBytes))
	wrong(o.MirrorBytes > 0 && o.Coordinator == nil, "MirrorBytes", o.MirrorBytes, "Coordinator is nil, so no other process owns anything; set it too")
	wrong(o.MaxBytes > 0 && o.Unbounded, "Unbounded", true, "MaxBytes is set as well; choose one")
	wrong(o.TTL <= 0, "TTL", o.TTL, "set a duration above 0, or corral.Forever for values that only an invalidation ends")

	type duration struct {
		field string
		value time.Duration
	}
	for _, d := range []duration{
		{"StaleFor", o.StaleFor}, {"StaleOnError", o.StaleOnError},
		{"LoadTimeout", o.LoadTimeout}, {"StoreTimeout", o.StoreTimeout}, {"TailTimeout", o.TailTimeout},
		{"SoftTimeout", o.SoftTimeout}, {"RetryDelay", o.RetryDelay},
	} {
		wrong(d.value < 0, d.field, d.value, "set a duration of 0 or more")
	}
	type count struct {
		field string
		value int
	}
	for _, n := range []count{
		{"Retries", o.Retries}, {"MaxLoads", o.MaxLoads}, {"MaxFlights", o.MaxFlights},
		{"MaxZombies", o.MaxZombies}, {"MaxWaiters", o.MaxWaiters},
		{"MaxWaitersPerKey", o.MaxWaitersPerKey}, {"Burst", o.Burst},
		{"MaxKeyLen", o.MaxKeyLen}, {"MaxTags", o.MaxTags}, {"MaxStoreCalls", o.MaxStoreCalls},
	} {
		wrong(n.value < 0, n.field, n.value, "set a number above 0, or leave it 0 for the default")
	}
	wrong(!(o.Jitter < 1), "Jitter", o.Jitter, "set a part below 1, as 0.1")
	wrong(!(o.EarlyRefresh >= 0 && o.EarlyRefresh <= 1000), "EarlyRefresh", o.EarlyRefresh, "set β between 0 (off) and 1000; 1 is the usual one")
	wrong(!(o.RetryBudget >= 0 && o.RetryBudget <= 1), "RetryBudget", o.RetryBudget, "set a part between 0 and 1, as 0.1")
	wrong(o.MaxTags > tagSlots, "MaxTags", o.MaxTags, fmt.Sprintf("it must not be above %d, the number of tags that are told apart", tagSlots))
	limited := o.LoadsPerSecond >= minLoadsPerSecond && !math.IsInf(o.LoadsPerSecond, 1)
	wrong(!limited && o.LoadsPerSecond != 0, "LoadsPerSecond", o.LoadsPerSecond, fmt.Sprintf("set a rate of %v or more, or 0 for no limit", minLoadsPerSecond))
	for i, key := range o.ContextValues {
		wrong(key == nil || !reflect.TypeOf(key).Comparable(), fmt.Sprintf("ContextValues[%d]", i), fmt.Sprintf("%#v", key), "no context has a value under it; set the key that context.WithValue is given")
	}

	wrong(o.Burst > 0 && o.LoadsPerSecond == 0, "Burst", o.Burst, "LoadsPerSecond is 0, so there is no rate to burst over; set it too")
	wrong(o.RetryDelay > 0 && o.Retries == 0, "RetryDelay", o.RetryDelay, "Retries is 0; set it too")
	wrong(o.RetryBudget > 0 && o.Retries == 0, "RetryBudget", o.RetryBudget, "Retries is 0; set it too")
	wrong(o.SoftTimeout > 0 && o.StaleOnError == 0, "SoftTimeout", o.SoftTimeout, "StaleOnError is 0, so there is no value to hand out when it passes; set it too")
	w := o.withDefaults()
	wrong(o.SoftTimeout > 0 && o.SoftTimeout >= w.LoadTimeout, "SoftTimeout", o.SoftTimeout, fmt.Sprintf("it must be below LoadTimeout, which is %v", w.LoadTimeout))
	wrong(o.RetryDelay >= w.LoadTimeout && o.Retries > 0, "RetryDelay", o.RetryDelay, fmt.Sprintf("it must be below LoadTimeout, which is %v", w.LoadTimeout))
	wrong(o.MaxErrorPause > 0 && o.ErrorPause > o.MaxErrorPause, "ErrorPause", o.ErrorPause, fmt.Sprintf("it must not be above MaxErrorPause, which is %v", o.MaxErrorPause))
	wrong(o.ErrorPause > 0 && o.MaxErrorPause < 0, "MaxErrorPause", o.MaxErrorPause, "that is no pause, but ErrorPause asks for one; leave one of them out")
	wrong(o.ErrorPause < 0 && o.MaxErrorPause > 0, "ErrorPause", o.ErrorPause, "that is no pause, but MaxErrorPause asks for one; leave one of them out")
	wrong(o.MaxFlights > 0 && o.MaxLoads > o.MaxFlights, "MaxLoads", o.MaxLoads, fmt.Sprintf("it must not be above MaxFlights, which is %d", o.MaxFlights))
	wrong(o.MaxWaiters > 0 && o.MaxWaitersPerKey > o.MaxWaiters, "MaxWaitersPerKey", o.MaxWaitersPerKey, fmt.Sprintf("it must not be above MaxWaiters, which is %d", o.MaxWaiters))
	wrong(o.Coordinator != nil && o.Codec == nil, "Codec", "nil", "a Coordinator sends values as bytes; set a Codec")
	wrong(o.StoreTimeout > 0 && o.Store == nil, "StoreTimeout", o.StoreTimeout, "Store is nil; set it too")
	wrong(o.MaxStoreCalls > 0 && o.Store == nil, "MaxStoreCalls", o.MaxStoreCalls, "Store is nil; set it too")
	wrong(o.Coordinator == nil && o.Store != nil && o.Codec == nil, "Codec", "nil", "a Store keeps values as bytes; set a Codec")
	return errors.Join(errs...)
}

// mirrorPart is which part of MaxBytes mirrors may take unless the options say.
const mirrorPart = 8

// withDefaults is the one place of the defaults.
func (o Options[V]) withDefaults() Options[V] {
	if o.Name == "" {
		o.Name = "corral"
	}
	if o.Unbounded {
		o.MaxBytes = math.MaxInt64
	}
	if o.MaxValueBytes == 0 {
		o.MaxValueBytes = o.MaxBytes
	}
	if o.MirrorBytes == 0 {
		o.MirrorBytes = o.MaxBytes / mirrorPart
	}
	if o.Size == nil {
		o.Size = defaultSize[V]()
	}
	o.Jitter = orDefault(o.Jitter, 0.1)
	o.StaleOnOutage = orDefault(o.StaleOnOutage, o.StaleOnError)
	o.LoadTimeout = orDefault(o.LoadTimeout, 30*time.Second)
	o.StoreTimeout = orDefault(o.StoreTimeout, time.Second)
	o.MaxStoreCalls = orDefault(o.MaxStoreCalls, 256)
	o.TailTimeout = orDefault(o.TailTimeout, 30*time.Second)
	o.RetryDelay = orDefault(o.RetryDelay, 50*time.Millisecond)
	o.RetryBudget = orDefault(o.RetryBudget, 0.1)
	if o.ErrorPause == 0 && o.MaxErrorPause > 0 {
		o.ErrorPause = min(time.Second, o.MaxErrorPause)
	}
	o.ErrorPause = orDefault(o.ErrorPause, time.Second)
	o.MaxErrorPause = orDefault(o.MaxErrorPause, max(30*time.Second, o.ErrorPause))
	o.PassTTL = orDefault(o.PassTTL, 2*time.Minute)
	if o.MaxLoads == 0 && o.MaxFlights > 0 {
		o.MaxLoads = min(256, o.MaxFlights)
	}
	o.MaxLoads = orDefault(o.MaxLoads, 256)
	o.MaxFlights = orDefault(o.MaxFlights, max(16384, o.MaxLoads))
	o.MaxZombies = orDefault(o.MaxZombies, 64)
	o.MaxWaiters = orDefault(o.MaxWaiters, max(100_000, o.MaxWaitersPerKey))
	o.MaxWaitersPerKey = orDefault(o.MaxWaitersPerKey, min(10_000, o.MaxWaiters))
	o.Burst = orDefault(o.Burst, max(1, int(min(o.LoadsPerSecond, math.MaxInt32))))
	o.MaxKeyLen = orDefault(o.MaxKeyLen, 8<<10)
	o.MaxTags = orDefault(o.MaxTags, 128)
	return o
}

// orDefault gives value, the default when it is zero, and zero when it is
// negative, which stands for none.
func orDefault[T int | float64 | time.Duration](value, whenZero T) T {
	if value == 0 {
		return whenZero
	}
	return max(value, 0)
}

// A GetOption changes how one call is answered.
type GetOption func(*demand)

// demand is what one caller asks of the value.
type demand struct {
	fresh    bool
	noStale  bool
	orPassed bool
	maxStale time.Duration
}

// Fresh takes only a value whose load began after the call did.
func Fresh() GetOption { return func(d *demand) { d.fresh = true } }

// NoStale takes no value past its TTL, whatever StaleFor and StaleOnError allow.
func NoStale() GetOption { return func(d *demand) { d.noStale = true } }

// OrPassed ends a call of GetItem or GetWith with ErrPassed where it would have to load for itself
// alone, after Pass: its caller has another way to what it asks for. After
// Validate it loads, for there is something to be validated.
func OrPassed() GetOption { return func(d *demand) { d.orPassed = true } }

// MaxStale takes a value that is up to this long past its TTL, beyond what
// StaleFor allows; a refresh runs behind it.
func MaxStale(age time.Duration) GetOption { return func(d *demand) { d.maxStale = age } }
