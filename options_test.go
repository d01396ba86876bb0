package corral

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"
)

// good is the least that is right.
func good() Options[string] { return Options[string]{MaxBytes: 1 << 20, TTL: time.Minute} }

type noCoordinator struct{ Coordinator }
type noStore struct{ Store }
type noCodec struct{ Codec[string] }

func TestValidateNamesTheFieldItsValueAndTheRemedy(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, test := range []struct {
		set  func(o *Options[string])
		want string // "" for none, else the error's text, "…" for its middle
	}{
		{func(*Options[string]) {}, ""},
		{func(o *Options[string]) { o.MaxBytes = 0 }, "MaxBytes is 0: set it, or set Unbounded"},
		{func(o *Options[string]) { o.MaxBytes = -1 }, "MaxBytes is -1: set a number of bytes above 0"},
		{func(o *Options[string]) { o.MaxBytes = entryBytes }, "MaxBytes is 208: no value fits"},
		{func(o *Options[string]) { o.MaxBytes = entryBytes + 1 }, ""},
		{func(o *Options[string]) { o.MaxBytes, o.Unbounded = 0, true }, ""},
		{func(o *Options[string]) { o.Unbounded = true }, "Unbounded is true: MaxBytes is set as well"},
		{func(o *Options[string]) { o.MaxValueBytes = -1 }, "MaxValueBytes is -1: set a number of bytes above 0"},
		{func(o *Options[string]) { o.MaxValueBytes = 1 << 20 }, ""},
		{func(o *Options[string]) { o.MaxValueBytes = 1<<20 + 1 }, "MaxValueBytes is 1048577: it must not be above MaxBytes, which is 1048576"},
		{func(o *Options[string]) { o.MaxValueBytes = 1000; o.MaxBytes, o.Unbounded = 0, true }, ""},

		{func(o *Options[string]) { o.TTL = 0 }, "TTL is 0s: set a duration above 0, or corral.Forever"},
		{func(o *Options[string]) { o.TTL = -1 }, "TTL is -1ns: set a duration above 0, or corral.Forever"},
		{func(o *Options[string]) { o.TTL, o.StaleFor, o.StaleOnError = Forever, Forever, Forever }, ""},
		{func(o *Options[string]) { o.Jitter = -1 }, ""},
		{func(o *Options[string]) { o.Jitter = math.Nextafter(1, 0) }, ""},
		{func(o *Options[string]) { o.Jitter = 1 }, "Jitter is 1: set a part below 1"},
		{func(o *Options[string]) { o.Jitter = nan }, "Jitter is NaN: set a part below 1"},
		{func(o *Options[string]) { o.StaleFor = -1 }, "StaleFor is -1ns: set a duration of 0 or more"},
		{func(o *Options[string]) { o.StaleOnError = -1 }, "StaleOnError is -1ns: set a duration"},
		{func(o *Options[string]) { o.EarlyRefresh = 1000 }, ""},
		{func(o *Options[string]) { o.EarlyRefresh = -1 }, "EarlyRefresh is -1: set β between 0 (off) and 1000"},
		{func(o *Options[string]) { o.EarlyRefresh = 1001 }, "EarlyRefresh is 1001: set β"},
		{func(o *Options[string]) { o.EarlyRefresh = nan }, "EarlyRefresh is NaN: set β"},

		{func(o *Options[string]) { o.LoadTimeout = -1 }, "LoadTimeout is -1ns: set a duration"},
		{func(o *Options[string]) { o.TailTimeout = -1 }, "TailTimeout is -1ns: set a duration"},
		{func(o *Options[string]) { o.SoftTimeout = -1 }, "SoftTimeout is -1ns: set a duration"},
		{func(o *Options[string]) { o.SoftTimeout = time.Second }, "SoftTimeout is 1s: StaleOnError is 0"},
		{func(o *Options[string]) { o.StaleOnError, o.SoftTimeout = 1, 30*time.Second-1 }, ""},
		{func(o *Options[string]) { o.StaleOnError, o.SoftTimeout = 1, 30*time.Second }, "SoftTimeout is 30s: it must be below LoadTimeout, which is 30s"},
		{func(o *Options[string]) { o.StaleOnError, o.LoadTimeout, o.SoftTimeout = 1, 2, 3 }, "SoftTimeout is 3ns: it must be below LoadTimeout, which is 2ns"},

		{func(o *Options[string]) { o.Retries = -1 }, "Retries is -1: set a number above 0, or leave it 0"},
		{func(o *Options[string]) { o.RetryDelay = -1 }, "RetryDelay is -1ns: set a duration"},
		{func(o *Options[string]) { o.RetryDelay = 1 }, "RetryDelay is 1ns: Retries is 0; set it too"},
		{func(o *Options[string]) { o.RetryBudget = 0.5 }, "RetryBudget is 0.5: Retries is 0; set it too"},
		{func(o *Options[string]) { o.Retries, o.RetryDelay, o.RetryBudget = 1, 1, 1 }, ""},
		{func(o *Options[string]) { o.Retries, o.RetryDelay = 1, 30*time.Second }, "RetryDelay is 30s: it must be below LoadTimeout, which is 30s"},
		{func(o *Options[string]) { o.Retries, o.RetryBudget = 1, 1.1 }, "RetryBudget is 1.1: set a part between 0 and 1"},
		{func(o *Options[string]) { o.Retries, o.RetryBudget = 1, -0.1 }, "RetryBudget is -0.1: set a part between 0 and 1"},
		{func(o *Options[string]) { o.Retries, o.RetryBudget = 1, nan }, "RetryBudget is NaN: set a part between 0 and 1"},

		{func(o *Options[string]) { o.ErrorPause, o.MaxErrorPause, o.PassTTL = -1, -1, -1 }, ""},
		{func(o *Options[string]) { o.ErrorPause = time.Hour }, ""},
		{func(o *Options[string]) { o.MaxErrorPause = 1 }, ""},
		{func(o *Options[string]) { o.ErrorPause, o.MaxErrorPause = 2, 1 }, "ErrorPause is 2ns: it must not be above MaxErrorPause, which is 1ns"},
		{func(o *Options[string]) { o.ErrorPause, o.MaxErrorPause = 2, -1 }, "MaxErrorPause is -1ns: that is no pause, but ErrorPause asks for one"},
		{func(o *Options[string]) { o.ErrorPause, o.MaxErrorPause = -1, 2 }, "ErrorPause is -1ns: that is no pause, but MaxErrorPause asks for one"},

		{func(o *Options[string]) { o.MaxLoads = -1 }, "MaxLoads is -1: set a number above 0"},
		{func(o *Options[string]) { o.MaxFlights = -1 }, "MaxFlights is -1: set a number above 0"},
		{func(o *Options[string]) { o.MaxLoads, o.MaxFlights = 3, 2 }, "MaxLoads is 3: it must not be above MaxFlights, which is 2"},
		{func(o *Options[string]) { o.MaxFlights = 2 }, ""},
		{func(o *Options[string]) { o.MaxLoads = 1 << 20 }, ""},
		{func(o *Options[string]) { o.MaxZombies = -1 }, "MaxZombies is -1: set a number above 0"},
		{func(o *Options[string]) { o.MaxWaiters = -1 }, "MaxWaiters is -1: set a number above 0"},
		{func(o *Options[string]) { o.MaxWaitersPerKey = -1 }, "MaxWaitersPerKey is -1: set a number above 0"},
		{func(o *Options[string]) { o.MaxWaiters, o.MaxWaitersPerKey = 5, 6 }, "MaxWaitersPerKey is 6: it must not be above MaxWaiters, which is 5"},
		{func(o *Options[string]) { o.MaxWaiters = 5 }, ""},
		{func(o *Options[string]) { o.MaxWaitersPerKey = 1 << 20 }, ""},

		{func(o *Options[string]) { o.LoadsPerSecond, o.Burst = 0.5, 3 }, ""},
		{func(o *Options[string]) { o.LoadsPerSecond = minLoadsPerSecond }, ""},
		{func(o *Options[string]) { o.LoadsPerSecond = minLoadsPerSecond / 2 }, "LoadsPerSecond is 5e-10: set a rate of 1e-09 or more, or 0"},
		{func(o *Options[string]) { o.LoadsPerSecond = -1 }, "LoadsPerSecond is -1: set a rate"},
		{func(o *Options[string]) { o.LoadsPerSecond = nan }, "LoadsPerSecond is NaN: set a rate"},
		{func(o *Options[string]) { o.LoadsPerSecond = inf }, "LoadsPerSecond is +Inf: set a rate"},
		{func(o *Options[string]) { o.Burst = 1 }, "Burst is 1: LoadsPerSecond is 0"},
		{func(o *Options[string]) { o.Burst = -1 }, "Burst is -1: set a number above 0"},
		{func(o *Options[string]) { o.MaxKeyLen = -1 }, "MaxKeyLen is -1: set a number above 0"},
		{func(o *Options[string]) { o.MaxTags = -1 }, "MaxTags is -1: set a number above 0"},
		{func(o *Options[string]) { o.MaxTags = tagSlots }, ""},
		{func(o *Options[string]) { o.MirrorBytes = -1 }, "MirrorBytes is -1: set a number of bytes above 0"},
		{func(o *Options[string]) { o.Coordinator, o.Codec, o.MirrorBytes = noCoordinator{}, noCodec{}, 1<<20 }, ""},
		{func(o *Options[string]) { o.Coordinator, o.Codec, o.MirrorBytes = noCoordinator{}, noCodec{}, 1<<20+1 }, "MirrorBytes is 1048577: it must not be above MaxBytes, which is 1048576"},
		{func(o *Options[string]) { o.MirrorBytes = 1 }, "MirrorBytes is 1: Coordinator is nil"},
		{func(o *Options[string]) { o.MaxTags = tagSlots + 1 }, "MaxTags is 65537: it must not be above 65536"},

		{func(o *Options[string]) { o.ContextValues = []any{runKey{}, "name"} }, ""},
		{func(o *Options[string]) { o.ContextValues = []any{"name", nil} }, "ContextValues[1] is <nil>: no context has a value under it"},
		{func(o *Options[string]) { o.ContextValues = []any{[]int{1}} }, "ContextValues[0] is []int{1}: no context has a value under it"},
		{func(o *Options[string]) { o.Coordinator = noCoordinator{} }, "Codec is nil: a Coordinator sends values as bytes"},
		{func(o *Options[string]) { o.Store = noStore{} }, "Codec is nil: a Store keeps values as bytes"},
		{func(o *Options[string]) { o.StoreTimeout = -1 }, "StoreTimeout is -1ns: set a duration"},
		{func(o *Options[string]) { o.MaxStoreCalls = -1 }, "MaxStoreCalls is -1: set a number above 0"},
		{func(o *Options[string]) { o.StoreTimeout = 1 }, "StoreTimeout is 1ns: Store is nil; set it too"},
		{func(o *Options[string]) { o.MaxStoreCalls = 1 }, "MaxStoreCalls is 1: Store is nil; set it too"},
		{func(o *Options[string]) { o.Coordinator, o.Store = noCoordinator{}, noStore{} }, "Codec is nil: a Coordinator sends values as bytes"},
		{func(o *Options[string]) { o.Coordinator, o.Store, o.Codec = noCoordinator{}, noStore{}, noCodec{} }, ""},
	} {
		o := good()
		test.set(&o)
		err := o.Validate()
		if test.want == "" {
			if err != nil {
				t.Errorf("got %v, want none", err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), "corral: Options."+test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want corral: Options.%s…", err, test.want)
		}
		if c, newErr := New[string](nil, o); c != nil || newErr == nil || newErr.Error() != err.Error() {
			t.Errorf("New: got %v, want %v", newErr, err)
		}
	}
}

func TestValidateReportsAllThatIsWrongAtOnce(t *testing.T) {
	o := Options[string]{StaleFor: -1, MaxLoads: -2, Jitter: 3, SoftTimeout: time.Hour, Burst: 4}
	err := o.Validate()
	if err == nil {
		t.Fatal("got no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, field := range []string{"MaxBytes", "TTL", "StaleFor", "MaxLoads", "Jitter", "Burst", "SoftTimeout"} {
		if !strings.Contains(err.Error(), "corral: Options."+field+" is ") {
			t.Errorf("%s is not named in %q", field, err)
		}
	}
	if len(lines) != 8 { // SoftTimeout has two
		t.Errorf("got %d lines, want 8: %q", len(lines), lines)
	}
}

func TestDefaults(t *testing.T) {
	o := Options[string]{MaxBytes: 1 << 20, TTL: time.Minute}.withDefaults()
	for name, got := range map[string]bool{
		"Name": o.Name == "corral", "MaxValueBytes": o.MaxValueBytes == 1<<20, "Size": o.Size("abc") == 3,
		"Jitter": o.Jitter == 0.1, "StaleFor": o.StaleFor == 0, "StaleOnError": o.StaleOnError == 0, "EarlyRefresh": o.EarlyRefresh == 0,
		"LoadTimeout": o.LoadTimeout == 30*time.Second, "TailTimeout": o.TailTimeout == 30*time.Second, "SoftTimeout": o.SoftTimeout == 0,
		"Retries": o.Retries == 0, "RetryDelay": o.RetryDelay == 50*time.Millisecond, "RetryBudget": o.RetryBudget == 0.1,
		"ErrorPause": o.ErrorPause == time.Second, "MaxErrorPause": o.MaxErrorPause == 30*time.Second, "PassTTL": o.PassTTL == 2*time.Minute,
		"StoreTimeout": o.StoreTimeout == time.Second, "MaxStoreCalls": o.MaxStoreCalls == 256,
		"MaxLoads": o.MaxLoads == 256, "MaxFlights": o.MaxFlights == 16384, "MaxZombies": o.MaxZombies == 64,
		"MaxWaiters": o.MaxWaiters == 100_000, "MaxWaitersPerKey": o.MaxWaitersPerKey == 10_000,
		"LoadsPerSecond": o.LoadsPerSecond == 0, "MaxKeyLen": o.MaxKeyLen == 8<<10, "MaxTags": o.MaxTags == 128,
	} {
		if !got {
			t.Errorf("the default of %s is not the documented one: %+v", name, o)
		}
	}
}

func TestADefaultAgreesWithWhatIsSet(t *testing.T) {
	with := func(set func(o *Options[string])) Options[string] {
		o := good()
		set(&o)
		return o.withDefaults()
	}
	for name, got := range map[string][2]any{
		"negative is none: Jitter":           {with(func(o *Options[string]) { o.Jitter = -1 }).Jitter, 0.0},
		"negative is none: ErrorPause":       {with(func(o *Options[string]) { o.ErrorPause = -1 }).ErrorPause, time.Duration(0)},
		"negative is none: PassTTL":          {with(func(o *Options[string]) { o.PassTTL = -1 }).PassTTL, time.Duration(0)},
		"MaxBytes of Unbounded":              {with(func(o *Options[string]) { o.MaxBytes, o.Unbounded = 0, true }).MaxBytes, int64(math.MaxInt64)},
		"MaxErrorPause of ErrorPause 1h":     {with(func(o *Options[string]) { o.ErrorPause = time.Hour }).MaxErrorPause, time.Hour},
		"ErrorPause of MaxErrorPause 10ms":   {with(func(o *Options[string]) { o.MaxErrorPause = 10 * time.Millisecond }).ErrorPause, 10 * time.Millisecond},
		"ErrorPause of MaxErrorPause 1h":     {with(func(o *Options[string]) { o.MaxErrorPause = time.Hour }).ErrorPause, time.Second},
		"MaxLoads of MaxFlights 10":          {with(func(o *Options[string]) { o.MaxFlights = 10 }).MaxLoads, 10},
		"MaxFlights of MaxLoads 20000":       {with(func(o *Options[string]) { o.MaxLoads = 20000 }).MaxFlights, 20000},
		"MaxWaitersPerKey of MaxWaiters 7":   {with(func(o *Options[string]) { o.MaxWaiters = 7 }).MaxWaitersPerKey, 7},
		"MaxWaiters of MaxWaitersPerKey 1e6": {with(func(o *Options[string]) { o.MaxWaitersPerKey = 1e6 }).MaxWaiters, 1_000_000},
		"Burst of 2.5 a second":              {with(func(o *Options[string]) { o.LoadsPerSecond = 2.5 }).Burst, 2},
		"Burst of 0.5 a second":              {with(func(o *Options[string]) { o.LoadsPerSecond = 0.5 }).Burst, 1},
		"Burst of 1e300 a second":            {with(func(o *Options[string]) { o.LoadsPerSecond = 1e300 }).Burst, math.MaxInt32},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got %v, want %v", name, got[0], got[1])
		}
	}
}

// Nothing that Validate lets through makes New, or a load, panic.
func FuzzOptionsThatAreValidMakeACache(f *testing.F) {
	f.Add(int64(1<<20), int64(time.Minute), 0.1, 0.0, 0.0, 0, 0, 0)
	f.Add(int64(math.MaxInt64), int64(Forever), 0.999, 1000.0, 1e-9, math.MaxInt, math.MaxInt, math.MaxInt)
	f.Add(int64(193), int64(1), -1.0, 1.0, 1e300, 1, 1, 1)
	f.Fuzz(func(t *testing.T, maxBytes, ttl int64, jitter, beta, perSecond float64, burst, loads, waiters int) {
		o := Options[string]{
			MaxBytes: maxBytes, TTL: time.Duration(ttl), Jitter: jitter, EarlyRefresh: beta,
			LoadsPerSecond: perSecond, Burst: burst, MaxLoads: loads, MaxWaiters: waiters, Now: time.Now,
		}
		c, err := New(Func(func(context.Context, string) (string, error) { return "v", nil }), o)
		if (err == nil) != (o.Validate() == nil) {
			t.Fatalf("New: %v, Validate: %v", err, o.Validate())
		}
		if err != nil {
			return
		}
		defer c.Close()
		if v, err := c.Get(t.Context(), "a"); v != "v" || err != nil {
			t.Fatalf("Get with %+v: got %q, %v", o, v, err)
		}
	})
}
