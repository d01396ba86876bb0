package httpcache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// A Purge names answers that are to be given to nobody any more. Exactly one of
// URL, Prefix, Tags and All is set.
type Purge struct {
	// URL is the address of one resource, with scheme and host: all its
	// variants and methods.
	URL string
	// Prefix is the beginning of addresses, with scheme and host:
	// https://www.example.com/ is all of that host.
	Prefix string
	// Tags are those that a rule's TagFields named.
	Tags []string
	All  bool
	// Soft lets answers stay, as stale ones from now on: within their windows
	// they are still given while they are refreshed, and a 304 confirms them.
	Soft bool
}

// ErrPurge is for a Purge that names nothing, too much, or what is no URL.
var ErrPurge = errors.New("httpcache: invalid purge")

// target gives what a purge concerns in the cache: the tag of each address is
// its key for GET, and keys of other methods begin with theirs.
func (what *Purge) target(c *config) (tags, prefixes []string, err error) {
	named := 0
	for _, is := range []bool{what.URL != "", what.Prefix != "", len(what.Tags) > 0, what.All} {
		if is {
			named++
		}
	}
	if named != 1 {
		return nil, nil, fmt.Errorf("%w: set exactly one of URL, Prefix, Tags and All", ErrPurge)
	}
	switch {
	case what.URL != "":
		key, err := addressOf("URL", what.URL)
		if err != nil {
			return nil, nil, err
		}
		return []string{c.tag(key)}, nil, nil
	case what.Prefix != "":
		key, err := addressOf("Prefix", what.Prefix)
		if err != nil {
			return nil, nil, err
		}
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			prefixes = append(prefixes, key.As(method).String())
		}
		return nil, prefixes, nil
	}
	for _, tag := range what.Tags {
		if tag == "" {
			return nil, nil, fmt.Errorf("%w: a tag is empty: leave it out", ErrPurge)
		}
		tags = append(tags, tagPrefix+tag)
	}
	return tags, nil, nil
}

// tagPrefix tells the tags that an origin names from the addresses.
const tagPrefix = "tag:"

// Key is the key under which the cache keeps the answer to a GET for an address,
// or the first of them where they vary: what other processes know it by.
func (d *door) Key(address string) (string, error) {
	key, err := addressOf("URL", address)
	if err != nil {
		return "", err
	}
	return d.config.Load().tag(key), nil
}

func addressOf(field, text string) (httpsem.Key, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return httpsem.Key{}, fmt.Errorf("%w: %s is %q: write scheme, host and path, as https://www.example.com/news", ErrPurge, field, text)
	}
	_, rest, _ := strings.Cut(text, "://")
	target := "/"
	if at := strings.IndexAny(rest, "/?#"); at >= 0 {
		target = rest[at:]
		if target[0] != '/' {
			target = "/" + target
		}
	}
	key, err := httpsem.NewKey(http.MethodGet, u.Scheme, u.Host, target)
	if err != nil {
		return key, fmt.Errorf("%w: %s is %q: %w", ErrPurge, field, text, err)
	}
	return key, nil
}

// Purge makes answers stale, or forgets them. When it has returned nil, no
// request that comes later is given an answer that was fetched before, and
// none that is being fetched is kept.
func (d *door) Purge(ctx context.Context, what Purge) error {
	tags, prefixes, err := what.target(d.config.Load())
	if err != nil {
		return err
	}
	return d.cache.Purge(ctx, corral.Target{Tags: tags, Prefixes: prefixes, All: what.All, Soft: what.Soft})
}
