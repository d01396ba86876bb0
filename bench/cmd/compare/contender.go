package main

import (
	"context"
	"slices"
	"strings"
	"time"
)

// ttl is the lifetime of every value: expiry is switched on for all who have
// it, and nothing expires.
const ttl = time.Hour

// A cache is a contender behind what all have in common. All of them, Corral
// too, are called through this interface and one method of an adapter.
type cache interface {
	Get(ctx context.Context, key string) ([]byte, error)
	// Len counts the live values one by one, where the cache can be walked.
	Len() int
	// Settle waits for what the cache does behind the caller's back.
	Settle()
	Close()
}

// setup says what cache a row wants. Contenders take what they have an option for.
type setup struct {
	load func(ctx context.Context, key string) ([]byte, error)

	// entries is the capacity, of keys and values that are as long as these.
	entries  int
	keyLen   int
	valueLen int
	// bytes, instead of entries, is the capacity in bytes.
	bytes int64

	loadTimeout time.Duration // zero: the contender's default
	errorPause  time.Duration // zero: the contender's default
	waiters     int           // how many may wait for one key; zero: the contender's default
}

// traits of a contender decide which rows it is in.
type traits uint8

const (
	collapses    traits = 1 << iota // concurrent misses of one key load once
	boundsCount                     // has a capacity in entries
	boundsBytes                     // has a capacity in bytes
	idiom                           // not a library: what people write by hand
	coarseClock                     // a variant that differs by its clock only
	cannotExpire                    // has no TTL
)

type contender struct {
	name string
	traits
	open func(setup) (cache, error)
}

func (c contender) is(t traits) bool { return c.traits&t != 0 }

const (
	corralName = "corral"
	otterName  = "otter v2.4.0"
	theineName = "theine v0.6.3"
)

var contenders = []contender{
	{corralName, collapses | boundsCount | boundsBytes, openCorral},
	{otterName, collapses | boundsCount | boundsBytes, openOtter},
	{otterName + ", coarse clock", collapses | boundsCount | boundsBytes | coarseClock, openCoarseOtter},
	{theineName, collapses | boundsCount | boundsBytes, openTheine},
	{"sturdyc v1.1.5", collapses | boundsCount, openSturdyc},
	{"ristretto v2.4.2 + singleflight", collapses | boundsCount | boundsBytes, openRistretto},
	{"lock the key, look again", collapses | idiom, openLocked},
	{"bare xsync.Map", cannotExpire, openXsync},
}

// with lists the contenders that have one of the wanted traits and none of the
// unwanted ones.
func with(wanted, unwanted traits) []contender {
	return slices.DeleteFunc(slices.Clone(contenders), func(c contender) bool { return !c.is(wanted) || c.is(unwanted) })
}

func named(name string) contender {
	return contenders[slices.IndexFunc(contenders, func(c contender) bool { return c.name == name })]
}

// openAll opens one cache each, and closes them all with close.
func openAll(cs []contender, s func(contender) setup) (caches []cache, closeAll func(), err error) {
	closeAll = func() {
		for _, c := range caches {
			c.Close()
		}
	}
	for _, c := range cs {
		opened, err := c.open(s(c))
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		caches = append(caches, opened)
	}
	return caches, closeAll, nil
}

// fresh copies a key, as a caller's key never is the cache's own copy: equal
// pointers would spare the comparison.
func fresh(keys []string) []string {
	copies := make([]string, len(keys))
	for i, key := range keys {
		copies[i] = strings.Clone(key)
	}
	return copies
}
