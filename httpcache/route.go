package httpcache

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
	"github.com/corralcache/corral/internal/pace"
)

// A route is what holds for a request: the rule that it matches, completed by
// the Options.
type route struct {
	Rule
	cache    httpsem.Cache     // for requests that do not tell who asks
	override *httpsem.Override // nil: the origin's word counts
	turns    chan struct{}     // MaxLoads of them; nil: no limit
	rate     *pace.Line        // nil: no limit
}

// newRoute completes a rule by the options, which have their defaults.
func newRoute(o *Options, rule Rule) *route {
	t := &route{Rule: rule}
	if t.Origin == nil {
		t.Origin = o.Origin
		t.Transport = cmp.Or(t.Transport, o.Transport)
	}
	if t.Transport == nil {
		t.Transport = o.Transport
	}
	t.PassTTL = cmp.Or(t.PassTTL, o.PassTTL)
	t.LoadTimeout = cmp.Or(t.LoadTimeout, o.LoadTimeout)
	t.MaxObjectBytes = cmp.Or(t.MaxObjectBytes, o.MaxObjectBytes, o.MaxBytes)
	t.IgnoreCookies = (t.IgnoreCookies || o.IgnoreCookies) && len(t.Key.Cookies) == 0
	t.cache = httpsem.Cache{
		Private:   o.Private,
		SetCookie: t.StoreCookies || o.StoreCookies,
		Targets:   o.TargetedFields,
	}
	if t.TTL != 0 || t.StaleFor != 0 || t.StaleOnError != 0 {
		t.override = &httpsem.Override{
			TTL: max(t.TTL, 0), HasTTL: t.TTL != 0,
			StaleFor: max(t.StaleFor, 0), HasStaleFor: t.StaleFor != 0,
			StaleOnError: max(t.StaleOnError, 0), HasStaleOnError: t.StaleOnError != 0,
		}
	}
	if t.MaxLoads > 0 {
		t.turns = make(chan struct{}, t.MaxLoads)
	}
	if t.Rate > 0 {
		t.rate = pace.NewLine(pace.New(time.Now(), t.Rate, cmp.Or(t.Burst, max(1, int(min(t.Rate, math.MaxInt32)))), o.share()))
	}
	return t
}

// share is the part of a rule's rate that is this process's; nil: all of it.
func (o *Options) share() func() float64 {
	if divider, ok := o.Coordinator.(corral.Divider); ok {
		return divider.Share
	}
	return nil
}

// turn waits until the rule lets another request go to the origin.
func (t *route) turn(ctx context.Context) (leave func(), err error) {
	leave = func() {}
	if t.turns != nil {
		select {
		case t.turns <- struct{}{}:
			leave = func() { <-t.turns }
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if t.rate != nil {
		patience := time.Duration(math.MaxInt64)
		if deadline, ok := ctx.Deadline(); ok {
			patience = time.Until(deadline)
		}
		if err := t.rate.Wait(ctx, patience); err != nil {
			leave()
			if errors.Is(err, pace.ErrTooLong) {
				err = corral.ErrOverloaded
			}
			return nil, err
		}
	}
	return leave, nil
}

// direct points a target at the route's origin, below the origin's own path.
func (t *route) direct(target *url.URL) {
	if t.Origin != nil {
		httpsem.Direct(target, t.Origin)
	}
}

// A config is what may change while a door is open.
type config struct {
	Options                   // with their defaults
	routes    []*route        // of the rules; what is more specific stands first
	standard  *route          // for what no rule matches
	hitStatus string          // Cache-Status of a hit, up to the number of its ttl
	owned     *http.Transport // the default transport, to be closed
}

func newConfig(o Options) *config {
	c := &config{Options: o.withDefaults()}
	if c.Transport == nil {
		c.owned = newTransport(c.Options)
		c.Transport = c.owned
	}
	c.standard = newRoute(&c.Options, Rule{})
	rules := slices.Clone(o.Rules)
	for len(rules) > 0 { // each that no other is within
		i := slices.IndexFunc(rules, func(r Rule) bool {
			return !slices.ContainsFunc(rules, func(other Rule) bool { return other.within(&r) && !r.within(&other) })
		})
		c.routes = append(c.routes, newRoute(&c.Options, rules[i]))
		rules = slices.Delete(rules, i, i+1)
	}
	c.hitStatus = httpsem.Status{Cache: c.Name, Hit: true}.String() + ";ttl="
	return c
}

// longest is the longest LoadTimeout of all routes.
func (c *config) longest() time.Duration {
	longest := c.LoadTimeout
	for _, t := range c.routes {
		longest = max(longest, t.LoadTimeout)
	}
	return longest
}

// route finds what holds for a key. It is not plain when servers may differ
// about which path that is: then it goes by what holds for every path of its
// host, since that says whose it is.
func (c *config) route(key *httpsem.Key) (t *route, plain bool) {
	if len(c.routes) == 0 {
		return c.standard, true
	}
	path, _, _ := strings.Cut(key.Target, "?")
	plain = !ambiguousPath(path)
	host := hostName(key.Host)
	for _, t := range c.routes {
		if t.allows(key.Method) && hostMatches(t.Host, host) && (pathOf(t.Path) == "/*" || plain && pathMatches(t.Path, path)) {
			return t, plain
		}
	}
	return c.standard, plain
}

// tag gives the tag of all that is stored for an address, by its key for GET.
func (c *config) tag(key httpsem.Key) string {
	t, _ := c.route(&key)
	key.Target = t.Key.filter(key.Target)
	return key.String()
}

// filter takes the parameters out of a target's query that are not to be in
// the key. What a name with percent-encoding means is not looked at: it is not
// dropped, and does not stay because of KeepQuery.
func (k *KeyParts) filter(target string) string {
	if len(k.DropQuery)+len(k.KeepQuery) == 0 {
		return target
	}
	path, query, found := strings.Cut(target, "?")
	if !found {
		return target
	}
	var kept []string
	for parameter := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(parameter, "=")
		if len(k.KeepQuery) > 0 && matchesAny(k.KeepQuery, name) || len(k.KeepQuery) == 0 && !matchesAny(k.DropQuery, name) {
			kept = append(kept, parameter)
		}
	}
	if len(kept) == 0 {
		return path
	}
	return path + "?" + strings.Join(kept, "&")
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return pathMatches(pattern, name) })
}
