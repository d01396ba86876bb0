package rounds

import (
	"syscall"
	"time"
)

// Quantile is the smallest of sorted times that q of them are not above.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted)) + 0.9999)
	return sorted[min(max(i-1, 0), len(sorted)-1)]
}

// Microseconds are those of a time, with their fractions.
func Microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Milliseconds are those of a time, with their fractions.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ProcessorTime is what this process has used, user and system.
func ProcessorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // the arguments are right
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
