package server

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// A Rule is an entry of rules in the file: an httpcache.Rule in words. What is
// not set is left to the origin, or to the setting of the same name. Its fields
// have the names of httpcache.Rule's.
type Rule struct {
	Host    string   `name:"host" help:"Host name without port, as www.example.com, or *.example.com for all below it. None: every host."`
	Path    string   `name:"path" help:"Path, as /cart, or /assets/* for all that begin with /assets/. None: every path."`
	Methods Words    `name:"methods" help:"Methods, as GET, POST. GET includes HEAD. None: every method."`
	Bypass  Switch   `name:"bypass" help:"On: what matches goes to the origin by itself and is not cached."`
	Origin  OriginOf `name:"origin" help:"Where its answers come from: a name of origins, or a URL. None: the default one."`

	TTL          Lifetime `name:"ttl" help:"How long answers are fresh that the origin lets be shared, whatever lifetime it gives them. 0s: not at all."`
	StaleFor     Lifetime `name:"stale-while-revalidate" help:"How long after that they are still given while they are refreshed. 0s: not at all."`
	StaleOnError Lifetime `name:"stale-if-error" help:"How long after that they are given while the origin fails. 0s: not at all."`
	PassTTL      Lifetime `name:"pass-ttl" help:"In place of the setting pass-ttl."`

	Key             KeyParts `name:"key"`
	MaxContentBytes Bytes    `name:"max-content-bytes" help:"Makes POST cacheable as far as the rule matches it: content up to this size is part of the key."`
	TagFields       Words    `name:"tag-fields" help:"Fields of answers that name their tags, as Surrogate-Key, Cache-Tag, for purging. Clients do not see them."`
	IgnoreCookies   Switch   `name:"ignore-cookies" help:"As the setting ignore-cookies, for what matches."`
	StoreCookies    Switch   `name:"store-cookies" help:"As the setting store-cookies, for what matches."`

	LoadTimeout    time.Duration `name:"load-timeout" help:"In place of the setting load-timeout."`
	MaxObjectBytes Bytes         `name:"max-object-bytes" help:"In place of the setting max-object-bytes, where it is less."`
	MaxLoads       int           `name:"max-loads" help:"Requests to the origin on the cache's behalf for this rule that run at once in this process; more wait their turn."`
	Rate           float64       `name:"rate" help:"Such requests that begin in a second, in a cluster from all its nodes; more wait their turn."`
	Burst          int           `name:"burst" help:"How many of them may begin at once after a pause; in a cluster at least one of each node. None: one second's worth."`

	Place string // where the rule begins, as corral.yaml:7
}

// KeyParts are what of a request makes its key, beside method, scheme, host,
// path and query.
type KeyParts struct {
	DropQuery     Words  `name:"drop-query" help:"Parameters that are taken out of the query, for the key and for the origin; utm_* is all that begin so."`
	KeepQuery     Words  `name:"keep-query" help:"Instead, the only parameters that stay."`
	Headers       Words  `name:"headers" help:"Fields of requests that the answer depends on."`
	Cookies       Words  `name:"cookies" help:"Cookies that tell who asks: each value has answers of its own. Other cookies do not reach the origin."`
	Authorization Switch `name:"authorization" help:"On: Authorization tells who asks: each value has answers of its own."`
}

// OriginOf says where a rule's answers come from: the name of a pool or a URL.
type OriginOf struct {
	pool string
	url  *url.URL
}

func (o *OriginOf) UnmarshalText(text []byte) error {
	if name := string(text); validName(name) {
		*o = OriginOf{pool: name}
		return nil
	}
	var at Origin
	if err := at.UnmarshalText(text); err != nil {
		return fmt.Errorf("write a name of origins, or a URL: %w", err)
	}
	*o = OriginOf{url: at.URL}
	return nil
}

func (o OriginOf) String() string {
	if o.url != nil {
		return o.url.String()
	}
	return o.pool
}

// option writes the rule as httpcache has it, without its transport.
func (r *Rule) option() httpcache.Rule {
	option := httpcache.Rule{
		Host: r.Host, Path: r.Path, Methods: r.Methods, Bypass: r.Bypass == On, Origin: r.Origin.url,
		TTL: r.TTL.option(), StaleFor: r.StaleFor.option(), StaleOnError: r.StaleOnError.option(), PassTTL: r.PassTTL.option(),
		Key: httpcache.KeyParts{
			DropQuery: r.Key.DropQuery, KeepQuery: r.Key.KeepQuery, Headers: r.Key.Headers,
			Cookies: r.Key.Cookies, Authorization: r.Key.Authorization == On,
		},
		MaxContentBytes: int64(r.MaxContentBytes), TagFields: r.TagFields,
		IgnoreCookies: r.IgnoreCookies == On, StoreCookies: r.StoreCookies == On,
		LoadTimeout: r.LoadTimeout, MaxObjectBytes: int64(r.MaxObjectBytes),
		MaxLoads: r.MaxLoads, Rate: r.Rate, Burst: r.Burst,
	}
	option.Name = option.String() + placed(r.Place)
	return option
}

// placed is how the name of a rule says where it stands.
func placed(place string) string {
	if place == "" {
		return ""
	}
	return " in " + place
}

func ruleName(i int) string { return fmt.Sprintf("rules[%d]", i) }

// ruleProblems says what is wrong with the rules, in the words of the file.
func (c *Config) ruleProblems() (problems []*Problem) {
	options := httpcache.Options{MaxBytes: math.MaxInt64}
	limit, largest := "max-bytes", c.MaxBytes
	if c.MaxObjectBytes > 0 {
		limit, largest = "max-object-bytes", c.MaxObjectBytes
	}
	for i := range c.Rules {
		r := &c.Rules[i]
		options.Rules = append(options.Rules, r.option())
		name := ruleName(i)
		if pool := r.Origin.pool; pool != "" && c.pool(pool) == nil {
			problems = append(problems, c.problem(name+".origin", pool, "there is no such name under origins: add it, or write a URL, as http://127.0.0.1:9000"))
		}
		if r.LoadTimeout > 0 && c.OriginConnectTimeout > r.LoadTimeout {
			problems = append(problems, c.problem(name+".load-timeout", r.LoadTimeout.String(), fmt.Sprintf("it must not be below origin.connect-timeout, which is %s", c.OriginConnectTimeout)))
		}
		if r.MaxObjectBytes > largest {
			problems = append(problems, c.problem(name+".max-object-bytes", r.MaxObjectBytes.String(), fmt.Sprintf("it must not be above the setting %s, which is %s", limit, largest)))
		}
	}
	for _, err := range leaves(options.Validate()) {
		var wrong *httpcache.RuleError
		if errors.As(err, &wrong) {
			p := c.problem("rules"+inFile[Rule](strings.TrimPrefix(wrong.Field, "Rules")), wrong.Value, inFile[Rule](wrong.Remedy))
			p.Value = strings.TrimSuffix(p.Value, placed(p.Place)) // it stands before the problem
			problems = append(problems, p)
		}
	}
	return problems
}

// leaves are the errors that errors.Join has joined.
func leaves(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, leaves(one)...)
	}
	return all
}

var goName = regexp.MustCompile(`\b[A-Z]\w*(?:\.[A-Z]\w*)*`)

// inFile puts the file's names of the fields of T in the place of Go's.
func inFile[T any](text string) string {
	return goName.ReplaceAllStringFunc(text, func(name string) string {
		var names []string
		kind := reflect.TypeFor[T]()
		for part := range strings.SplitSeq(name, ".") {
			if kind.Kind() != reflect.Struct {
				return name
			}
			field, ok := kind.FieldByName(part)
			if !ok || field.Tag.Get("name") == "" {
				return name
			}
			names, kind = append(names, field.Tag.Get("name")), field.Type
		}
		return strings.Join(names, ".")
	})
}

// pool finds a pool by its name.
func (c *Config) pool(name string) *Pool {
	i := slices.IndexFunc(c.Origins, func(p Pool) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Origins[i]
}
