package disk

import (
	"encoding/hex"
	"os"
	"strings"
	"time"
)

// An instant is a moment by both clocks of a machine.
type instant struct {
	boot [bootSize]byte // which run of the machine; zero if it cannot be told
	up   int64          // nanoseconds since it booted, suspended time included
	wall int64          // nanoseconds since 1970
}

const bootSize = 16

// lost is more than any window: what has an unknown age is past all of them.
const lost = time.Duration(1<<63 - 1)

// since is how much time has passed from then to i. Within a run of the machine
// its own clock counts, which nobody sets; between two, the wall clock, and if
// that has gone back nothing is known.
func (i instant) since(then instant) time.Duration {
	if i.boot == then.boot && i.boot != [bootSize]byte{} {
		if i.up >= then.up {
			return time.Duration(i.up - then.up)
		}
		return lost // a clock that was tampered with, or a copied directory
	}
	passed := i.wall - then.wall
	if passed < 0 || (i.wall < 0) != (then.wall < 0) {
		return lost
	}
	return time.Duration(passed)
}

// bootIdentity is what Linux calls this run of the machine, or zero.
func bootIdentity() (id [bootSize]byte) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return id
	}
	decoded, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
	if err == nil {
		copy(id[:], decoded)
	}
	return id
}

// clock reads the machine's clocks.
func clock() func() instant {
	boot := bootIdentity()
	return func() instant {
		up, known := uptime()
		if !known {
			return instant{wall: time.Now().UnixNano()}
		}
		return instant{boot: boot, up: up, wall: time.Now().UnixNano()}
	}
}
