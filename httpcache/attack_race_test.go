//go:build race

package httpcache_test

// underRace says that the race detector runs, which takes ten times as long and
// ends at 8,128 goroutines.
const underRace = true
