package server

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
)

// A validation collects what is wrong with a Config.
type validation struct {
	*Config
	settings map[string]Setting
	problems []*Problem
}

// Validate reports what is wrong with settings that can each be read: what is
// missing, out of its range, or contradicts another. It reads the files that
// they name.
func (c *Config) Validate() []*Problem {
	v := &validation{Config: c, settings: map[string]Setting{}}
	for _, s := range c.Settings() {
		v.settings[s.Name] = s
	}
	v.origin()
	v.wrong(!validName(c.Name), "name", "use letters, digits and any of - _ . only, and begin with a letter")
	v.ranges()
	v.above(c.MaxBytes > 0 && c.MaxObjectBytes > c.MaxBytes, "max-object-bytes", "max-bytes")
	v.above(c.MaxWaiters > 0 && c.MaxKeyWaiters > c.MaxWaiters, "max-waiters-per-key", "max-waiters")
	v.above(c.LoadTimeout > 0 && c.OriginConnectTimeout > c.LoadTimeout, "origin.connect-timeout", "load-timeout")
	v.proxies()
	v.listeners()
	v.admin()
	v.cluster()
	v.store()
	v.coordinator()
	for i := range c.Origins {
		v.validatePool(&c.Origins[i])
	}
	v.add(c.ruleProblems())
	return v.problems
}

func (v *validation) add(problems []*Problem) { v.problems = append(v.problems, problems...) }

func (v *validation) wrong(bad bool, name, remedy string, args ...any) {
	if bad {
		v.problems = append(v.problems, v.problem(name, v.settings[name].String(), fmt.Sprintf(remedy, args...)))
	}
}

func (v *validation) above(bad bool, name, limit string) {
	if bad {
		v.wrong(true, name, "it must not be above %s, which is %s", limit, v.settings[limit])
		v.problems[len(v.problems)-1].Against = limit
	}
}

// problem says where the value comes from. That of a part of a list, or of a
// field that is not set, is in what it is part of.
func (c *Config) problem(name, value, remedy string) *Problem {
	p := &Problem{Setting: name, Value: withoutPassword(value), Remedy: remedy}
	for at := name; ; {
		if p.Place = c.From[at]; p.Place != "" {
			return p
		}
		cut := strings.LastIndexAny(at, ".[")
		if cut < 0 {
			return p
		}
		at = at[:cut]
	}
}

func (v *validation) ranges() {
	for _, name := range []string{"load-timeout", "tail-timeout", "origin.connect-timeout", "origin.idle-timeout", "tls.reload-interval", "header-timeout", "idle-timeout", "shutdown-timeout"} {
		v.wrong(v.settings[name].value.Int() <= 0, name, "set a time above 0, as %s", v.settings[name].Default)
	}
	for _, name := range []string{"pass-ttl", "shutdown-delay"} {
		v.wrong(v.settings[name].value.Int() < 0, name, "set a time of 0 or more")
	}
	for _, name := range []string{"max-bytes", "max-key-bytes", "max-loads", "max-waiters", "max-waiters-per-key", "max-variants", "max-conns", "max-streams", "access-log.buffer"} {
		v.wrong(v.settings[name].value.Int() <= 0, name, "set a number above 0, as %s", v.settings[name].Default)
	}
	for _, name := range []string{"keys-per-minute", "origin.max-conns"} {
		v.wrong(v.settings[name].value.Int() < 0, name, "set a number above 0, or 0 for no limit")
	}
	v.wrong(v.MaxHeaderBytes < minHeaderBytes, "max-header-bytes", "set %s or more: browsers send that much", minHeaderBytes)
	v.wrong(v.MaxHeaderBytes > maxHeaderBytes, "max-header-bytes", "set %s or less", maxHeaderBytes)
	v.wrong(v.OriginMaxHeaderBytes < minHeaderBytes || v.OriginMaxHeaderBytes > maxOriginHeaderBytes, "origin.max-header-bytes", "set between %s and %s", minHeaderBytes, maxOriginHeaderBytes)
}

// The range of max-header-bytes, and the end of that of
// origin.max-header-bytes. Below it ordinary browsers are refused; above it a
// few thousand connections could fill the memory before any limit of the cache
// applies.
const (
	minHeaderBytes Bytes = 4 << 10
	maxHeaderBytes Bytes = 1 << 20

	maxOriginHeaderBytes Bytes = 16 << 20
)

func (v *validation) origin() {
	switch {
	case v.Origin.URL != nil && v.pool(defaultPool) != nil:
		v.add([]*Problem{v.problem(poolName(defaultPool), v.pool(defaultPool).Servers.String(), "origin is set as well, and is the default one: leave one of them out")})
	case v.Origin.URL == nil && len(v.Origins) > 0:
		v.wrong(v.standard() == nil, "origin", "set the URL of the default one, or name one of origins default")
	default:
		v.wrong(v.Origin.URL == nil, "origin", "set the URL that answers are fetched from, as http://127.0.0.1:9000")
	}
}

var fieldName = regexp.MustCompile(`^[!#$%&'*+.^_|~0-9A-Za-z\x60-]+$`) // a token of RFC 9110, section 5.6.2

func (v *validation) proxies() {
	for _, field := range v.TargetedFields {
		v.wrong(!fieldName.MatchString(field), "targeted-fields", "%q is not the name of a field: write names as CDN-Cache-Control", field)
	}
	v.wrong(v.ProxyProtocol == On && len(v.TrustedProxies) == 0, "proxy-protocol", "set trusted-proxies to the addresses that connections may come from")
}

func (v *validation) listeners() {
	v.wrong(v.Listen.off() && v.TLSListen.off(), "listen", "tls.listen is off too: set an address for one of them")
	v.wrong(!v.TLSListen.off() && v.TLSListen == v.Listen && !v.Listen.freePort(), "tls.listen", "it is the same address as listen; the two need one each")
	v.wrong(!v.TLSListen.off() && len(v.TLSCert) == 0, "tls.cert", "tls.listen needs it: set the path of a PEM file")
	v.wrong(len(v.TLSCert) != len(v.TLSKey), "tls.key", "there are %d of tls.cert: give each of them its key, in the same order", len(v.TLSCert))
	if len(v.TLSCert) == len(v.TLSKey) {
		_, _, problems := v.frontPairs()
		v.add(problems)
	}
}

func (v *validation) admin() {
	v.wrong(v.Admin.off(), "admin.listen", "it cannot be off: set a loopback address, as 127.0.0.1:9090")
	for _, front := range []string{"listen", "tls.listen"} {
		v.wrong(v.Admin.String() == v.settings[front].String() && !v.Admin.freePort(), "admin.listen", "it is the same address as %s; the two need one each", front)
	}
	safe := v.Admin.loopback() || v.AdminToken != "" || v.AdminClientCA != "" || v.AdminPublic == On
	v.wrong(!safe, "admin.listen",
		"others can reach this address; use a loopback one, as 127.0.0.1:9090, set admin.token-file or admin.client-ca, or set admin.insecure-public to on if whoever reaches it may read the metrics and nothing else is needed there")
	v.wrong(v.AdminCert == "" && v.AdminKey != "", "admin.tls-cert", "admin.tls-key is set: set both or neither")
	v.wrong(v.AdminCert != "" && v.AdminKey == "", "admin.tls-key", "admin.tls-cert is set: set both or neither")
	v.wrong(v.AdminCert == "" && v.AdminClientCA != "", "admin.tls-cert", "admin.client-ca needs it: set the path of a PEM file")
	if v.AdminCert != "" && v.AdminKey != "" {
		_, _, problems := v.adminPairs()
		v.add(problems)
	}
	if v.AdminClientCA != "" {
		_, remedy := readAuthorities(v.AdminClientCA)
		v.wrong(remedy != "", "admin.client-ca", "%s", remedy)
	}
	if v.AdminToken != "" {
		_, remedy := readToken(v.AdminToken)
		v.wrong(remedy != "", "admin.token-file", "%s", remedy)
	}
}

// validatePool also says when something is asked for that health.path would
// have to begin.
func (v *validation) validatePool(p *Pool) {
	_, problems := v.poolOptions(p, slog.New(slog.DiscardHandler))
	v.add(problems)
	name := poolName(p.Name)
	for _, s := range p.Settings() {
		if field := name + "." + s.Name; p.Health.Path == "" && strings.HasPrefix(s.Name, "health.") && v.From[field] != "" {
			v.add([]*Problem{v.problem(field, s.String(), "health.path is not set: set it, as /healthz; without it servers are not asked")})
			break
		}
	}
}
