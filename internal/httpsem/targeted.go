package httpsem

import (
	"net/http"
	"time"

	"github.com/dunglas/httpsfv"
)

// parseTargeted reads the first targeted field that is there, is a Dictionary
// and has a member (RFC 9213, section 2.2). It stands for Cache-Control, Expires
// and Pragma together, also where those forbid what it allows. Fields that are
// empty or break the grammar are as if they were not there (section 2.1).
//
// All targeted fields go on to the client as they came, since a cache on the
// way may read them (sections 2.2 and 3).
func parseTargeted(targets []string, h http.Header) (c ResponseControl, found bool) {
	for _, name := range targets {
		lines := h.Values(name)
		if len(lines) == 0 {
			continue
		}
		fields, err := httpsfv.UnmarshalDictionary(lines)
		if err != nil || len(fields.Names()) == 0 {
			continue
		}
		for _, name := range fields.Names() {
			if member, _ := fields.Get(name); member != nil {
				c.takeMember(name, member)
			}
		}
		c.Targeted = true
		return c, true
	}
	return c, false
}

// takeMember takes in one member by the type that its directive's grammar maps
// to, and leaves it out when it has another (RFC 9213, section 2.1): seconds are
// an Integer, lists of fields a String or Token, all else is true. Parameters
// are ignored.
func (c *ResponseControl) takeMember(name string, member httpsfv.Member) {
	item, ok := member.(httpsfv.Item)
	if !ok {
		return
	}
	d := directive{name: name}
	switch value := item.Value.(type) {
	case bool:
		if value && !takesSeconds(name) {
			c.take(d)
		}
	case string:
		c.takeFields(name, value)
	case httpsfv.Token:
		c.takeFields(name, string(value))
	case int64:
		c.takeSeconds(name, value)
	}
}

func (c *ResponseControl) takeFields(name, list string) {
	if name == "private" || name == "no-cache" {
		c.take(directive{name, list, true})
	}
}

// takeSeconds takes in delta-seconds. A negative number of them is invalid and
// as good as none (RFC 9111, section 4.2.1).
func (c *ResponseControl) takeSeconds(name string, seconds int64) {
	if value := c.seconds(name); value != nil {
		*value = Delta{true, time.Duration(min(max(seconds, 0), int64(maxDelta/time.Second))) * time.Second}
	}
}

func takesSeconds(name string) bool { return new(ResponseControl).seconds(name) != nil }
