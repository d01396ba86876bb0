package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral"
)

// A files is the simplest corral.Store that outlives its process: a file for
// each record, replaced as a whole by a rename. It is for tests, reads every
// file at an invalidation of tags, and has no limit.
//
// It is also corral.Revisioned.
type files struct {
	dir string
	mu  sync.Mutex // held by every call
}

// A file is a record on disk, with instants for its durations.
type file struct {
	Key    string
	At     time.Time // of the Put, from which the record's durations count
	Record corral.Record
	Body   []byte
	Bodied bool
}

func openFiles(dir string) (*files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &files{dir: dir}, nil
}

const recordSuffix = ".record"

func (s *files) path(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:])+recordSuffix)
}

func (s *files) Get(ctx context.Context, key string) (*corral.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	f, err := readRecord(s.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	record, passed := f.Record, time.Since(f.At)
	record.Age += passed
	if record.TTL != corral.Forever {
		record.TTL -= passed
	}
	if f.Bodied {
		record.Body = io.NopCloser(strings.NewReader(string(f.Body)))
	}
	return &record, nil
}

func (s *files) Put(ctx context.Context, key string, record *corral.Record) error {
	f := file{Key: key, At: time.Now(), Record: *record}
	f.Record.Body = nil
	if record.Body != nil {
		var err error
		if f.Body, err = io.ReadAll(record.Body); err != nil {
			return err
		}
		f.Bodied, f.Record.BodySize = true, int64(len(f.Body))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := s.seen(record.Revision); err != nil {
		return err
	}
	var data bytes.Buffer // not JSON: keys are any bytes
	if err := gob.NewEncoder(&data).Encode(f); err != nil {
		return err
	}
	return replace(s.path(key), data.Bytes())
}

func (s *files) Delete(ctx context.Context, inv corral.Invalidation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if !inv.Forget {
		if err := s.seen(inv.Revision); err != nil {
			return err
		}
	}
	paths, err := filepath.Glob(filepath.Join(s.dir, "*"+recordSuffix))
	if err != nil {
		return err
	}
	if len(inv.Prefixes)+len(inv.Tags) == 0 && !inv.All {
		paths = nil
		for _, key := range inv.Keys {
			paths = append(paths, s.path(key))
		}
	}
	for _, path := range paths {
		f, err := readRecord(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!inv.Forget && f.Record.Revision >= inv.Revision || !f.concernedBy(inv.Target)) {
			continue
		}
		if err := os.Remove(path); err != nil { // also one that cannot be read
			return err
		}
	}
	return nil
}

func (f *file) concernedBy(t corral.Target) bool {
	return t.All || slices.Contains(t.Keys, f.Key) ||
		slices.ContainsFunc(t.Prefixes, func(prefix string) bool { return strings.HasPrefix(f.Key, prefix) }) ||
		slices.ContainsFunc(t.Tags, func(tag string) bool { return slices.Contains(f.Record.Tags, tag) })
}

// Revision is the highest that it has seen.
func (s *files) Revision(context.Context) (revision uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision()
}

func (s *files) revision() (revision uint64, err error) {
	data, err := os.ReadFile(filepath.Join(s.dir, "revision"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &revision)
	}
	return revision, err
}

func (s *files) seen(revision uint64) error {
	if known, err := s.revision(); err != nil || known >= revision {
		return err
	}
	data, err := json.Marshal(revision)
	if err != nil {
		return err
	}
	return replace(filepath.Join(s.dir, "revision"), data)
}

func readRecord(path string) (f file, err error) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = gob.NewDecoder(bytes.NewReader(data)).Decode(&f)
	}
	return f, err
}

// replace writes a file that is there as a whole or not at all.
func replace(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
