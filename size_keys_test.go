package corral

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// BenchmarkBytesPerKey reports what a million keys of 16 to 40 bytes cost
// beyond their values, the keys included: those that were loaded here, and
// those that another process has computed and the shelf took in.
func BenchmarkBytesPerKey(b *testing.B) {
	const n = 1_000_000
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%0*d", 16+i%25, i)
	}
	for name, fill := range map[string]func(c *Cache[[]byte], key string) error{
		"loaded": func(c *Cache[[]byte], key string) error {
			_, err := c.Get(b.Context(), key)
			return err
		},
		"kept for others": func(c *Cache[[]byte], key string) error {
			return shelf[[]byte]{c}.Keep(key, &Record{BodySize: -1, TTL: time.Hour})
		},
		"kept with a window of its own": func(c *Cache[[]byte], key string) error {
			return shelf[[]byte]{c}.Keep(key, &Record{BodySize: -1, TTL: time.Hour, StaleFor: time.Minute})
		},
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				before := heap()
				c, err := New(LoaderFunc[[]byte](nothing), Options[[]byte]{Unbounded: true, TTL: time.Hour, Codec: asIs{}})
				if err != nil {
					b.Fatal(err)
				}
				for _, key := range keys {
					if err := fill(c, string([]byte(key))); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(heap()-before)/n, "B/key")
				b.ReportMetric(float64(c.Stats().Bytes)/n, "counted/key")
				runtime.KeepAlive(c)
				c.Close()
			}
		})
	}
	runtime.KeepAlive(keys)
}

func nothing(context.Context, string, *Item[[]byte]) (Item[[]byte], error) {
	return Item[[]byte]{}, nil
}

// asIs is a codec for what is bytes already.
type asIs struct{}

func (asIs) Encode(value []byte) ([]byte, error) { return value, nil }
func (asIs) Decode(data []byte) ([]byte, error)  { return data, nil }
