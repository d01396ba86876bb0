package disk

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/corralcache/corral"
)

// invalidations are all ways in which the record of "k/a" is concerned.
var invalidations = []corral.Target{{Keys: []string{"k/a"}}, {Prefixes: []string{"k/"}}, {Tags: []string{"x"}}, {All: true}}

// Of what was not synced, a loss of power leaves nothing.
func TestAnAcknowledgedInvalidationSurvivesALossOfPower(t *testing.T) {
	for _, target := range invalidations {
		t.Run(fmt.Sprintf("%+v", target), func(t *testing.T) {
			on, disk := inMemory(), vfs.NewCrashableMem()
			on.fs = disk
			s, err := open(options("dir"), on)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			put(t, s, "k/a", record("v", 1, "x"))
			put(t, s, "other", record("stays", 2))
			s.engine.sync()
			invalidate(t, s, corral.Invalidation{Revision: 2, Target: target})
			on.fs = disk.CrashClone(vfs.CrashCloneCfg{})
			after, err := open(options("dir"), on)
			if err != nil {
				t.Fatal(err)
			}
			defer after.Close()
			want(t, after, "k/a", "")
			want(t, after, "other", "stays")
		})
	}
}

// What a Delete concerns is gone before anybody has taken it out.
func TestNothingIsReturnedWhileTheSweepIsStillToCome(t *testing.T) {
	for _, target := range invalidations {
		s, err := open(options("dir"), inMemory())
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "k/a", record("v", 1, "x"))
		s.keeping.Lock()
		invalidate(t, s, corral.Invalidation{Revision: 2, Target: target})
		want(t, s, "k/a", "")
		s.keeping.Unlock()
		s.Close()
	}
}

// U1: after the first failure the disk stays as it is, whatever Pebble does.
func TestABlownFuseLetsNothingThrough(t *testing.T) {
	fs := vfs.NewMem()
	f := newFuse(fs)
	file, err := f.Create("a", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	file.Write([]byte("before"))
	f.blow(errors.New("the disk is gone"))
	file.Write([]byte("after"))
	for what, err := range map[string]error{
		"sync": file.Sync(), "close": file.Close(), "rename": f.Rename("a", "b"), "remove": f.Remove("a"), "link": f.Link("a", "c"), "make": f.MkdirAll("d", 0o755),
	} {
		if err != nil {
			t.Errorf("%s is told %v", what, err)
		}
	}
	made, err := f.Create("e", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	made.Write([]byte("x"))
	made.Close()
	if names, _ := fs.List(""); len(names) != 1 || string(readAll(t, fs, "a")) != "before" {
		t.Errorf("the disk has %q, and %q in a", names, readAll(t, fs, "a"))
	}
}
