//go:build !race

package httpcache_test

const underRace = false
