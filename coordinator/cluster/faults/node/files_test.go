package main

import (
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

func TestTheFilesConform(t *testing.T) {
	corraltest.TestStore(t, func(t *testing.T) corral.Store {
		store, err := openFiles(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return store
	}, corraltest.Weak(corraltest.TakesLatePuts), corraltest.Records(500))
}
