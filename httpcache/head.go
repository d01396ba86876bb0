package httpcache

import (
	"context"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// freshenGet does to the stored answer to a GET what the answer to a HEAD says
// of it (RFC 9111, section 4.3.5), unless that one is newer than the HEAD, or is
// being fetched.
func (f *fetch) freshenGet(ctx context.Context, x httpsem.Exchange) {
	get := f.get()
	get.once.Do(func() { get.outgoing = f.sent() })
	item, info, ok := f.d.cache.Peek(get.name)
	closeBody(item)
	if !ok || !get.matches(item.Value) || info.Age <= x.Received.Sub(x.Requested) || !whole(&item) || f.d.loading(get.name) {
		return
	}
	updated, ok := httpsem.FreshenByHead(item.Value.fields.header(), x.Response)
	if !ok || x.Status != item.Value.status {
		f.d.cache.Expire(ctx, get.name)
		return
	}
	x.Response = updated
	got, _, err := f.d.cache.GetWith(ctx, get.name, corral.LoaderFunc[*response](func(ctx context.Context, name string, prev *corral.Item[*response]) (corral.Item[*response], error) {
		if prev == nil || prev.Value != item.Value { // since then; others may wait for this load by now
			return get.Load(ctx, name, prev)
		}
		fresh := get.item(x, name, prev, prev.Value.length)
		fresh.Body = prev.Body
		return fresh, nil
	}), corral.Fresh())
	if err == nil {
		closeBody(got)
	}
}

// loading reports whether the origin is being asked for an entry.
func (d *door) loading(name string) bool {
	for flight := range d.cache.Flights() {
		if flight.Key == name {
			return true
		}
	}
	return false
}
