package corral

import "context"

// A Loader computes the value of a key that the cache does not have, or does
// not have fresh.
//
// ctx derives from the cache and not from a caller: it ends at the load's
// deadline, when nobody waits any more, and when the cache closes; it carries
// none of a caller's values but those named in Options.ContextValues. A loader
// that gets other values of the same cache passes this ctx on, so that cycles
// are found and the nested load uses the slot of its parent.
//
// prev is the value that the cache still has, fresh or not, or nil; its
// Validator lets a loader ask "changed since?" and answer prev.NotModified().
// prev is shared: it must not be changed.
//
// Load may run for several keys at once, never twice at once for one key,
// invalidation and pass apart.
type Loader[V any] interface {
	Load(ctx context.Context, key string, prev *Item[V]) (Item[V], error)
}

// A BulkLoader also loads many keys in one call, which GetMany uses for all
// that it misses. A key that the result leaves out is ErrNotFound. An error
// is the outcome of all keys.
type BulkLoader[V any] interface {
	Loader[V]
	LoadMany(ctx context.Context, keys []string) (map[string]Item[V], error)
}

// LoaderFunc is a Loader that is a function.
type LoaderFunc[V any] func(ctx context.Context, key string, prev *Item[V]) (Item[V], error)

// Load calls f.
func (f LoaderFunc[V]) Load(ctx context.Context, key string, prev *Item[V]) (Item[V], error) {
	return f(ctx, key, prev)
}

// Func makes a Loader of a plain function. Its values are kept with the TTL
// and windows of the Options.
func Func[V any](load func(ctx context.Context, key string) (V, error)) Loader[V] {
	if load == nil {
		return nil
	}
	return LoaderFunc[V](func(ctx context.Context, key string, _ *Item[V]) (Item[V], error) {
		value, err := load(ctx, key)
		return Item[V]{Value: value}, err
	})
}
