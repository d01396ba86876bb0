package corral

import (
	"testing"
	"time"
)

func TestAnAskIsRememberedByHashForAWindow(t *testing.T) {
	const round = int64(1<<askTimeBits) * int64(time.Microsecond)
	for _, row := range []struct {
		name         string
		first, again uint64
		at, later    int64
		want         bool
	}{
		{"at once", 7, 7, 5e9, 5e9, true},
		{"at the window's end", 7, 7, 5e9, 5e9 + int64(mirrorWindow), true},
		{"beyond it", 7, 7, 5e9, 5e9 + int64(mirrorWindow+time.Microsecond), false},
		{"in the other order", 7, 7, 5e9, 5e9 - int64(time.Millisecond), true},
		{"when times come round", 7, 7, round - int64(time.Millisecond), round + int64(time.Millisecond), true},
		{"of another hash in the same slot", 7, 7 + 1<<askTimeBits, 5e9, 5e9, false},
		{"of a hash that is the same as far as it is kept", 7, 7 + askSlots, 5e9, 5e9, true},
		{"of another slot", 7, 8, 5e9, 5e9, false},
	} {
		var m mirrors[string]
		m.open(1 << 20)
		if m.asked(row.first, row.at) {
			t.Errorf("%s: the first ask has one before it", row.name)
		}
		if got := m.asked(row.again, row.later); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}
