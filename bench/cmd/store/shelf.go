package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/bbolt"
)

// Names of those who keep values, besides store/disk.
const (
	redisName  = "corral, store/redis"
	pebbleName = "pebble"
	boltName   = "bbolt"
)

// A shelf is a contender that keeps values. Nothing of what is put is
// synchronised, as store/disk does not: a crash of the machine loses the last of
// it.
type shelf interface {
	Put(key string, value []byte) error
	// Get returns nil if there is no value.
	Get(key string) ([]byte, error)
	Close() error
}

// memory is what each may use for what it has read.
const memory = 256 << 20

var shelves = map[string]func(dir string) (shelf, error){
	corralName: openDisk,
	redisName:  openRedis,
	pebbleName: openPebble,
	boltName:   openBolt,
}

// A pebbled is bare Pebble.
type pebbled struct{ db *pebble.DB }

func openPebble(dir string) (shelf, error) {
	db, err := pebble.Open(dir, &pebble.Options{CacheSize: memory, Logger: silent{}})
	if err != nil {
		return nil, err
	}
	return &pebbled{db}, nil
}

// Put implements shelf.
func (p *pebbled) Put(key string, value []byte) error {
	return p.db.Set([]byte(key), value, pebble.NoSync)
}

// PutAll puts values in one batch.
func (p *pebbled) PutAll(keys []string, values [][]byte) error {
	batch := p.db.NewBatch()
	defer batch.Close()
	for i, key := range keys {
		if err := batch.Set([]byte(key), values[i], nil); err != nil {
			return err
		}
	}
	return batch.Commit(pebble.NoSync)
}

// Get implements shelf.
func (p *pebbled) Get(key string) ([]byte, error) {
	value, closer, err := p.db.Get([]byte(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return bytes.Clone(value), nil
}

// Close implements shelf.
func (p *pebbled) Close() error { return p.db.Close() }

// silent lets Pebble say nothing of its ordinary work.
type silent struct{}

func (silent) Infof(string, ...any)              {}
func (silent) Errorf(string, ...any)             {}
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// A bolted is bbolt, with one bucket.
type bolted struct{ db *bbolt.DB }

var bucket = []byte("values")

func openBolt(dir string) (shelf, error) {
	db, err := bbolt.Open(dir+"/values.bolt", 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	return &bolted{db}, err
}

// Put implements shelf.
func (b *bolted) Put(key string, value []byte) error {
	return b.PutAll([]string{key}, [][]byte{value})
}

// PutAll puts values in one transaction.
func (b *bolted) PutAll(keys []string, values [][]byte) error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		for i, key := range keys {
			if err := tx.Bucket(bucket).Put([]byte(key), values[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Get implements shelf.
func (b *bolted) Get(key string) (value []byte, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		value = bytes.Clone(tx.Bucket(bucket).Get([]byte(key)))
		return nil
	})
	return value, err
}

// Close implements shelf.
func (b *bolted) Close() error { return b.db.Close() }

// noise is what values are cut from: no compression makes them smaller.
var noise = func() []byte {
	random := rand.NewChaCha8([32]byte{1})
	b := make([]byte, 1<<20)
	random.Read(b)
	return b
}()

// valueOf is the value of the i-th key, which nobody changes.
func valueOf(i int) []byte {
	at := i * 7919 % (len(noise) - valueBytes)
	return noise[at : at+valueBytes : at+valueBytes]
}

func keyOf(i int) string { return fmt.Sprintf("post/%08d", i) }
