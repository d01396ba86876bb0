package server

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/httpcache"
)

// What the admin listener answers below /store/, and what "corral store" prints,
// also of a store that it opens by itself. Times are remaining or passed ones, in
// milliseconds.

// A StoreStatus says what a store is and what it has.
type StoreStatus struct {
	Kind     string `json:"kind"` // disk, redis
	Sequence string `json:"sequence,omitempty"`
	Revision uint64 `json:"revision"`
	Entries  int64  `json:"entries"` // -1: not known
	Bytes    int64  `json:"bytes"`   // -1: not known
	MaxBytes int64  `json:"max_bytes,omitempty"`
	Gets     uint64 `json:"gets"`
	Hits     uint64 `json:"hits"`
	Puts     uint64 `json:"puts"`
	Deletes  uint64 `json:"deletes"`
	Errors   uint64 `json:"errors"`
	Corrupt  uint64 `json:"corrupt"`
	Evicted  uint64 `json:"evicted"`
	Expired  uint64 `json:"expired"`
	Refused  uint64 `json:"refused"`
	Pending  int    `json:"pending,omitempty"` // purges that it has not been told of
	Broken   string `json:"broken,omitempty"`  // why it is done without
}

// NewStoreStatus is what a store says of itself.
func NewStoreStatus(s corral.StoreStat) StoreStatus {
	return StoreStatus{
		Kind: s.Kind, Sequence: s.Sequence, Revision: s.Revision, Entries: s.Entries, Bytes: s.Bytes, MaxBytes: s.MaxBytes,
		Gets: s.Gets, Hits: s.Hits, Puts: s.Puts, Deletes: s.Deletes, Errors: s.Errors, Corrupt: s.Corrupt,
		Evicted: s.Evicted, Expired: s.Expired, Refused: s.Refused, Broken: s.Broken,
	}
}

// A StoreEntry is what a store has under a key.
type StoreEntry struct {
	Key       string   `json:"key"`
	Bytes     int64    `json:"bytes"`
	Body      bool     `json:"body"`
	AgeMS     int64    `json:"age_ms"`
	TTLMS     int64    `json:"ttl_ms"` // negative: stale
	Forever   bool     `json:"forever,omitempty"`
	WindowsMS int64    `json:"windows_ms"` // in which it may be given stale, from the end of the TTL
	CostMS    int64    `json:"cost_ms"`
	Revision  uint64   `json:"revision"`
	Tags      []string `json:"tags,omitempty"`
	Validator string   `json:"validator,omitempty"`
	Broken    string   `json:"broken,omitempty"` // why it could not be read; it is out of the store
}

// NewStoreEntry is what a store says of a key. err is why it is broken, or nil.
func NewStoreEntry(e corral.StoredEntry, err error) StoreEntry {
	entry := StoreEntry{
		Key: e.Key, Bytes: e.Bytes, Body: e.HasBody, AgeMS: e.Age.Milliseconds(), TTLMS: e.TTL.Milliseconds(),
		Forever: e.TTL == corral.Forever, WindowsMS: e.Windows.Milliseconds(), CostMS: e.Cost.Milliseconds(),
		Revision: e.Revision, Tags: e.Tags, Validator: e.Validator,
	}
	if err != nil {
		entry.Broken = cmp.Or(err.Error(), "unreadable")
	}
	return entry
}

// A StoreLine is one of a list: an entry, or, in the last one, what came of it
// all. A list without such a line was cut off.
type StoreLine struct {
	Entry *StoreEntry `json:"entry,omitempty"`
	End   *StoreEnd   `json:"end,omitempty"`
}

// A StoreEnd is what came of a list.
type StoreEnd struct {
	Entries int64  `json:"entries"`
	Bytes   int64  `json:"bytes"`
	Broken  int64  `json:"broken"`
	More    bool   `json:"more,omitempty"`  // there are more than were asked for
	Error   string `json:"error,omitempty"` // why it ended too early
}

// ListStore yields what a store has under keys that begin with a prefix, up to a
// limit; 0 is all of it.
func ListStore(ctx context.Context, store corral.Browser, prefix string, limit int64, yield func(StoreLine) error) error {
	var end StoreEnd
	for found, err := range store.List(ctx, prefix) {
		if err != nil {
			end.Error = err.Error()
			break
		}
		if end.More = limit > 0 && end.Entries == limit; end.More {
			break
		}
		entry := NewStoreEntry(found, nil)
		end.Entries, end.Bytes = end.Entries+1, end.Bytes+entry.Bytes
		if err := yield(StoreLine{Entry: &entry}); err != nil {
			return err
		}
	}
	return yield(StoreLine{End: &end})
}

// VerifyStore reads all that a store has and yields what is broken.
func VerifyStore(ctx context.Context, store corral.Browser, yield func(StoreLine) error) error {
	var end StoreEnd
	for found, err := range store.Verify(ctx) {
		switch {
		case err == nil:
			end.Entries, end.Bytes = end.Entries+1, end.Bytes+found.Bytes
			continue
		case found.Key == "": // the walk itself
			end.Error = err.Error()
			return yield(StoreLine{End: &end})
		}
		end.Broken++
		entry := NewStoreEntry(found, err)
		if err := yield(StoreLine{Entry: &entry}); err != nil {
			return err
		}
	}
	if end.Error == "" && ctx.Err() != nil {
		end.Error = context.Cause(ctx).Error()
	}
	return yield(StoreLine{End: &end})
}

// A StoreValue is what a store has under a key, but for its content, which
// follows: the body of a response, or of what is none its value and its body.
type StoreValue struct {
	Entry  StoreEntry  `json:"entry"`
	Status int         `json:"status,omitempty"` // of a response
	Header http.Header `json:"header,omitempty"`
}

// ReadStore gives what a store has under a key, and its content, which the caller
// closes; nil where there is nothing.
func ReadStore(ctx context.Context, store corral.Store, key string) (*StoreValue, io.ReadCloser, error) {
	record, err := store.Get(ctx, key)
	if err != nil || record == nil {
		return nil, nil, err
	}
	found := corral.StoredEntry{
		Key: key, Bytes: int64(len(record.Value)) + max(0, record.BodySize), HasBody: record.Body != nil, Age: record.Age, TTL: record.TTL,
		Windows: max(record.StaleFor, record.StaleOnError, record.StaleOnOutage, 0), Cost: record.Cost,
		Revision: record.Revision, Tags: record.Tags, Validator: record.Validator,
	}
	value := &StoreValue{Entry: NewStoreEntry(found, nil)}
	content := record.Value
	if status, header, err := httpcache.StoredResponse(record.Value); err == nil {
		value.Status, value.Header, content = status, header, nil
	}
	if record.Body == nil {
		return value, io.NopCloser(bytes.NewReader(content)), nil
	}
	return value, struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(content), record.Body), record.Body}, nil
}
