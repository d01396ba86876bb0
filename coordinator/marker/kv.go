package marker

import (
	"context"
	"time"
)

// A KV keeps bytes under keys. All methods may be called at once from many
// goroutines and end with their context.
type KV interface {
	// Get returns nil without an error for what is not there. What it returns is
	// the caller's to read, and is not written to.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put replaces what is there, and lets it go after ttl, which is above zero.
	// It keeps nothing of value's memory.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Delete of what is not there is no error.
	Delete(ctx context.Context, key string) error
}
