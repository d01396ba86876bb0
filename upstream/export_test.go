package upstream

import "net/url"

// Direct is where a target is at a server.
func Direct(at, target *url.URL) *url.URL { return (&server{url: at}).direct(target) }
