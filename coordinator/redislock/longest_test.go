package redislock

import (
	"strconv"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/localserver"
)

// A value that may be validated for ever, as one of HTTP may, leaves Redis in
// the end: else one without a maxmemory would never be rid of anything.
func TestWhatIsOfUseForEverLeavesRedisAfterThirtyDays(t *testing.T) {
	server := localserver.Redis(t)
	c := watched(t, Config{Redis: Redis{Addresses: []string{server.Addr()}}})
	record := value("x")
	record.TTL, record.StaleOnError = time.Minute, corral.Forever
	if err := leaseOf(t, c, "a").Fill(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	left, err := server.Do(t.Context(), "PTTL", "corral:k:a")
	if err != nil {
		t.Fatal(err)
	}
	const longest = 30 * 24 * time.Hour
	if ms, err := strconv.ParseInt(left, 10, 64); err != nil || ms < (longest-time.Hour).Milliseconds() || ms > longest.Milliseconds() {
		t.Errorf("PTTL = %s ms, %v; want up to %v", left, err, longest)
	}
}
