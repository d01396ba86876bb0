package corraltest_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"path"

	"github.com/corralcache/corral"
)

// wrongMemories are stores that remember deletes, outlive their processes, are
// bound and let themselves be looked into, and are wrong in one of that.
var wrongMemories = map[string]func(*remembering) corral.Store{
	"remembers no deletes": func(s *remembering) corral.Store {
		return &memory{remembering: s, delete: func(ctx context.Context, inv corral.Invalidation) error { return s.Store.Delete(ctx, inv) }}
	},
	"remembers no tags": func(s *remembering) corral.Store {
		return &memory{remembering: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			if len(inv.Tags) > 0 {
				return s.Store.Delete(ctx, inv)
			}
			return s.Delete(ctx, inv)
		}}
	},
	"remembers the last delete only": func(s *remembering) corral.Store {
		return &memory{remembering: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			s.mu.Lock()
			s.deletes = nil
			s.mu.Unlock()
			return s.Delete(ctx, inv)
		}}
	},
	"takes nothing that is as new as a delete": func(s *remembering) corral.Store {
		return &memory{remembering: s, put: func(ctx context.Context, key string, r *corral.Record) error {
			for _, inv := range s.deletes {
				if inv.Revision == r.Revision {
					return nil
				}
			}
			return s.Put(ctx, key, r)
		}}
	},
	"remembers what is to be forgotten": func(s *remembering) corral.Store {
		return &memory{remembering: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			s.Delete(ctx, inv)
			inv.Forget = false
			return s.Delete(ctx, inv)
		}}
	},
	"goes by the revision of what is to be forgotten": func(s *remembering) corral.Store {
		return &memory{remembering: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			if inv.Forget {
				inv.Forget, inv.Revision = false, min(inv.Revision, 4)
				return s.Store.Delete(ctx, inv)
			}
			return s.Delete(ctx, inv)
		}}
	},
	"deletes behind the caller": func(s *remembering) corral.Store {
		return &memory{remembering: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			if ctx.Err() == nil {
				go s.Delete(context.WithoutCancel(ctx), inv)
			}
			return ctx.Err()
		}}
	},
	"loses one record of many": func(s *remembering) corral.Store {
		return &memory{remembering: s, put: func(ctx context.Context, key string, r *corral.Record) error {
			if key == "7/777" {
				return nil
			}
			return s.Put(ctx, key, r)
		}}
	},
	"cuts long values": func(s *remembering) corral.Store {
		return &memory{remembering: s, put: func(ctx context.Context, key string, r *corral.Record) error {
			cut := *r
			cut.Value = r.Value[:min(len(r.Value), 1<<16)]
			return s.Put(ctx, key, &cut)
		}}
	},
	"cuts long bodies": func(s *remembering) corral.Store {
		return &memory{remembering: s, put: func(ctx context.Context, key string, r *corral.Record) error {
			cut := *r
			if cut.Body != nil {
				cut.Body = limited{io.LimitReader(r.Body, 8<<20), r.Body}
			}
			return s.Put(ctx, key, &cut)
		}}
	},
	"ends a body that is replaced": func(s *remembering) corral.Store {
		return &memory{remembering: s, get: func(ctx context.Context, key string) (*corral.Record, error) {
			r, err := s.Get(ctx, key)
			if r != nil && r.Body != nil {
				r.Body = &fickle{ReadCloser: r.Body, s: s, key: key, size: r.BodySize}
			}
			return r, err
		}}
	},
	"forgets its values": reopened(func(s *remembering) { s.Store.Delete(context.Background(), everything) }),
	"forgets its revision": reopened(func(s *remembering) {
		for _, sequence := range []string{"none", "suite"} {
			s.Store.Bind(sequence)
		}
	}),
	"forgets its deletes": reopened(func(s *remembering) { s.deletes = nil }),
	"keeps what another sequence had": func(s *remembering) corral.Store {
		return &memory{remembering: s, bind: func(string) error { return s.Bind("suite") }}
	},
	"keeps the deletes of another sequence": func(s *remembering) corral.Store {
		return &memory{remembering: s, bind: func(sequence string) error {
			deletes := s.deletes
			err := s.Bind(sequence)
			s.deletes = deletes
			return err
		}}
	},
	"is bound to nothing only once": func(s *remembering) corral.Store {
		return &memory{remembering: s, bind: func(sequence string) error {
			if sequence == "" {
				s.Bind("none")
			}
			return s.Bind(sequence)
		}}
	},
	"lists one key twice": listing(func(list iter.Seq2[corral.StoredEntry, error], yield func(corral.StoredEntry, error) bool) {
		for entry, err := range list {
			for range 2 {
				if !yield(entry, err) {
					return
				}
			}
		}
	}),
	"lists what it should not say": listing(func(list iter.Seq2[corral.StoredEntry, error], yield func(corral.StoredEntry, error) bool) {
		for entry, err := range list {
			entry.Windows, entry.Tags = 0, nil
			if !yield(entry, err) {
				return
			}
		}
	}),
	"lists by pattern": func(s *remembering) corral.Store {
		return &memory{remembering: s, list: func(ctx context.Context, prefix string) iter.Seq2[corral.StoredEntry, error] {
			return func(yield func(corral.StoredEntry, error) bool) {
				for entry, err := range s.List(ctx, "") {
					matched, _ := path.Match(prefix+"*", entry.Key)
					if (matched || prefix == "") && !yield(entry, err) {
						return
					}
				}
			}
		}}
	},
	"verifies a part": func(s *remembering) corral.Store {
		return &memory{remembering: s, verify: func(ctx context.Context) iter.Seq2[corral.StoredEntry, error] { return s.List(ctx, "1") }}
	},
	"finds all broken": func(s *remembering) corral.Store {
		return &memory{remembering: s, verify: func(ctx context.Context) iter.Seq2[corral.StoredEntry, error] {
			return func(yield func(corral.StoredEntry, error) bool) { yield(corral.StoredEntry{}, errors.New("broken")) }
		}}
	},
	"removes the first only": func(s *remembering) corral.Store {
		return &memory{remembering: s, remove: func(ctx context.Context, keys ...string) (int, error) { return s.Remove(ctx, keys[:1]...) }}
	},
	"miscounts what it removes": func(s *remembering) corral.Store {
		return &memory{remembering: s, remove: func(ctx context.Context, keys ...string) (int, error) {
			_, err := s.Remove(ctx, keys...)
			return len(keys), err
		}}
	},
	"says nothing of itself": func(s *remembering) corral.Store {
		return &memory{remembering: s, stat: func(context.Context) (corral.StoreStat, error) { return corral.StoreStat{}, nil }}
	},
}

var everything = corral.Invalidation{Revision: 1 << 62, Target: corral.Target{All: true}, Forget: true}

// reopened is a store to which something happens whenever it is bound again.
func reopened(happens func(*remembering)) func(*remembering) corral.Store {
	return func(s *remembering) corral.Store {
		again := false
		return &memory{remembering: s, bind: func(sequence string) error {
			if again {
				happens(s)
			}
			again = true
			return s.Bind(sequence)
		}}
	}
}

func listing(how func(iter.Seq2[corral.StoredEntry, error], func(corral.StoredEntry, error) bool)) func(*remembering) corral.Store {
	return func(s *remembering) corral.Store {
		return &memory{remembering: s, list: func(ctx context.Context, prefix string) iter.Seq2[corral.StoredEntry, error] {
			return func(yield func(corral.StoredEntry, error) bool) { how(s.List(ctx, prefix), yield) }
		}}
	}
}

// memory is a store of which some methods are replaced.
type memory struct {
	*remembering
	get    func(context.Context, string) (*corral.Record, error)
	put    func(context.Context, string, *corral.Record) error
	delete func(context.Context, corral.Invalidation) error
	bind   func(string) error
	list   func(context.Context, string) iter.Seq2[corral.StoredEntry, error]
	verify func(context.Context) iter.Seq2[corral.StoredEntry, error]
	remove func(context.Context, ...string) (int, error)
	stat   func(context.Context) (corral.StoreStat, error)
}

func (m *memory) Get(ctx context.Context, key string) (*corral.Record, error) {
	if m.get == nil {
		return m.remembering.Get(ctx, key)
	}
	return m.get(ctx, key)
}

func (m *memory) Put(ctx context.Context, key string, record *corral.Record) error {
	if m.put == nil {
		return m.remembering.Put(ctx, key, record)
	}
	return m.put(ctx, key, record)
}

func (m *memory) Delete(ctx context.Context, inv corral.Invalidation) error {
	if m.delete == nil {
		return m.remembering.Delete(ctx, inv)
	}
	return m.delete(ctx, inv)
}

func (m *memory) Bind(sequence string) error {
	if m.bind == nil {
		return m.remembering.Bind(sequence)
	}
	return m.bind(sequence)
}

func (m *memory) List(ctx context.Context, prefix string) iter.Seq2[corral.StoredEntry, error] {
	if m.list == nil {
		return m.remembering.List(ctx, prefix)
	}
	return m.list(ctx, prefix)
}

func (m *memory) Verify(ctx context.Context) iter.Seq2[corral.StoredEntry, error] {
	if m.verify == nil {
		return m.remembering.Verify(ctx)
	}
	return m.verify(ctx)
}

func (m *memory) Remove(ctx context.Context, keys ...string) (int, error) {
	if m.remove == nil {
		return m.remembering.Remove(ctx, keys...)
	}
	return m.remove(ctx, keys...)
}

func (m *memory) Stat(ctx context.Context) (corral.StoreStat, error) {
	if m.stat == nil {
		return m.remembering.Stat(ctx)
	}
	return m.stat(ctx)
}

type limited struct {
	io.Reader
	io.Closer
}

// fickle is a body that ends with what its key has now.
type fickle struct {
	io.ReadCloser
	s    *remembering
	key  string
	size int64
	read int64
}

func (f *fickle) Read(p []byte) (int, error) {
	if f.read > 0 {
		now := f.s.Look(f.key)
		if now == nil || now.BodySize != f.size {
			return 0, io.EOF
		}
	}
	n, err := f.ReadCloser.Read(p)
	f.read += int64(n)
	return n, err
}
