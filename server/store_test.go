package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/redislock"
	"github.com/corralcache/corral/corraltest"
	"github.com/corralcache/corral/httpcache"
)

// shelf is a Store in memory that says what it is told to.
type shelf struct {
	corraltest.Store
	stat   corral.StoreStat
	broken string // a key that Verify finds broken
	err    error  // that ends List
}

func (s *shelf) Bind(string) error                              { return nil }
func (s *shelf) Close() error                                   { return nil }
func (s *shelf) Stat(context.Context) (corral.StoreStat, error) { return s.stat, nil }
func (s *shelf) Remove(context.Context, ...string) (int, error) { return 0, nil }
func (s *shelf) Verify(context.Context) iter.Seq2[corral.StoredEntry, error] {
	return func(yield func(corral.StoredEntry, error) bool) {
		if yield(corral.StoredEntry{Key: "a", Bytes: 5}, nil) && s.broken != "" {
			yield(corral.StoredEntry{Key: s.broken}, errors.New("checksum"))
		}
	}
}

func (s *shelf) List(context.Context, string) iter.Seq2[corral.StoredEntry, error] {
	return func(yield func(corral.StoredEntry, error) bool) {
		for i := range 3 {
			if !yield(corral.StoredEntry{Key: fmt.Sprint(i), Bytes: 10}, nil) {
				return
			}
		}
		if s.err != nil {
			yield(corral.StoredEntry{}, s.err)
		}
	}
}

// lockUp is a Lock that is there or is not.
type lockUp bool

func (l lockUp) Stats() redislock.Stats { return redislock.Stats{Up: bool(l)} }

// asked is what an admin listener answers.
func asked(t *testing.T, r *running, method, path, content string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequest(method, r.AdminURL()+path, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestTheAdminListenerLetsAStoreBeLookedInto(t *testing.T) {
	store := &shelf{stat: corral.StoreStat{Kind: "disk", Entries: 3, Bytes: -1}, broken: "b"}
	record := &corral.Record{Value: []byte("raw"), TTL: corral.Forever, BodySize: -1}
	if err := store.Put(t.Context(), "k", record); err != nil {
		t.Fatal(err)
	}
	r := start(t, stub{})
	r.store = store
	for _, row := range []struct {
		method, path, content string
		status                int
		want                  string
	}{
		{"GET", "/store/stat", "", 200, `{"kind":"disk","revision":0,"entries":3,"bytes":-1,`},
		{"GET", "/store/entries", "", 200, `{"end":{"entries":3,"bytes":30,"broken":0}}`},
		{"GET", "/store/entries?limit=2", "", 200, `{"end":{"entries":2,"bytes":20,"broken":0,"more":true}}`},
		{"GET", "/store/entries?limit=3", "", 200, `{"end":{"entries":3,"bytes":30,"broken":0}}`},
		{"GET", "/store/entries?limit=x", "", 400, `limit is \"x\": write a number`},
		{"GET", "/store/entry?key=k", "", 200, `"forever":true`},
		{"GET", "/store/entry?key=k", "", 200, "}}\nraw"},
		{"GET", "/store/entry?key=none", "", 404, `nothing under \"none\"`},
		{"GET", "/store/entry", "", 400, "name a key"},
		{"POST", "/store/verify", "", 200, `{"entry":{"key":"b","bytes":0,"body":false,"age_ms":0,"ttl_ms":0,"windows_ms":0,"cost_ms":0,"revision":0,"broken":"checksum"}}` + "\n" + `{"end":{"entries":1,"bytes":5,"broken":1}}`},
		{"GET", "/store/verify", "", 405, ""},
		{"POST", "/store/remove", `{"keys": []}`, 400, "write JSON"},
		{"POST", "/store/remove", `{"keys": ["a"], "x": 1}`, 400, "write JSON"},
	} {
		if status, text := asked(t, r, row.method, row.path, row.content); status != row.status || !strings.Contains(text, row.want) {
			t.Errorf("%s %s = %d %s; want %d %s", row.method, row.path, status, text, row.status, row.want)
		}
	}
	store.err = errors.New("gone")
	if _, text := asked(t, r, "GET", "/store/entries", ""); !strings.Contains(text, `"entries":3,"bytes":30,"broken":0,"error":"gone"}}`) {
		t.Errorf("a list that broke off: %s", text)
	}
	r.walks <- struct{}{}
	r.walks <- struct{}{}
	if status, text := asked(t, r, "GET", "/store/entries", ""); status != 503 || !strings.Contains(text, "try again") {
		t.Errorf("a third look at once: %d, %s", status, text)
	}
}

func TestAProcessWithoutAStoreSaysWhereAnswersAre(t *testing.T) {
	r := start(t, stub{})
	if status, text := asked(t, r, "GET", "/store/stat", ""); status != 404 || !strings.Contains(text, "set store.dir or store.redis.url") {
		t.Errorf("no store: %d, %s", status, text)
	}
	r.lock = lockUp(true)
	if status, text := asked(t, r, "GET", "/store/stat", ""); status != 404 || !strings.Contains(text, "under corral:k:") {
		t.Errorf("a Redis that decides: %d, %s", status, text)
	}
}

func TestReadyzSaysWhatIsDoneWithoutAndStaysReady(t *testing.T) {
	r := start(t, stub{})
	store := new(shelf)
	r.store, r.lock = store, lockUp(true)
	if status, text := asked(t, r, "GET", "/readyz", ""); status != 200 || text != "ready\n" {
		t.Errorf("/readyz = %d %q", status, text)
	}
	store.stat.Broken = "for 3s: refused"
	r.lock = lockUp(false)
	status, text := asked(t, r, "GET", "/readyz", "")
	if want := "ready\ncoordinator: its Redis does not answer; fetch until it does\nstore: done without: for 3s: refused\n"; status != 200 || text != want {
		t.Errorf("/readyz = %d %q, want 200 %q", status, text, want)
	}
}

func TestAPurgeThatIsNotAcknowledgedHasACode(t *testing.T) {
	for _, row := range []struct {
		err        error
		lock       bool
		code, want string
	}{
		{corral.ErrStorePending, false, "store-pending", "nor does a node of its cluster; the store may still have it"},
		{corral.ErrStorePending, true, "store-pending", "other processes hear of it when the coordinator's Redis has been told"},
		{corral.ErrNotAcknowledged, false, "not-acknowledged", "some nodes may still give"},
	} {
		r := start(t, stub{purge: func(httpcache.Purge) error { return fmt.Errorf("purge: %w", row.err) }})
		if row.lock {
			r.lock = lockUp(false)
		}
		status, text := asked(t, r, "POST", "/purge", `{"all": true}`)
		if status != 503 || !strings.Contains(text, `"code":"`+row.code+`"`) || !strings.Contains(text, `"acknowledged":false`) || !strings.Contains(text, row.want) {
			t.Errorf("%v: %d %s; want 503 with %s and %s", row.err, status, text, row.code, row.want)
		}
	}
}

func TestSettingsOfStoresAndOfTheCoordinator(t *testing.T) {
	empty, text := filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "text")
	for path, content := range map[string]string{empty: "", text: "secret\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const at = "redis://127.0.0.1:6379"
	for _, row := range []struct {
		settings []string
		want     string // none: it is right
	}{
		{[]string{"store.dir", "d"}, ""},
		{[]string{"store.dir", "d", "store.max-bytes", "1MiB", "store.timeout", "5ms"}, ""},
		{[]string{"store.dir", "d", "store.max-bytes", "1048575"}, `store.max-bytes is "1048575": set 1MiB or more`},
		{[]string{"store.max-bytes", "1GiB"}, `store.max-bytes is "1GiB": store.dir is not set`},
		{[]string{"store.timeout", "1s"}, `store.timeout is "1s": store.dir or store.redis.url is not set`},
		{[]string{"store.dir", "d", "store.timeout", "-1s"}, `store.timeout is "-1s": set a time above 0`},
		{[]string{"store.redis.url", at, "store.redis.password-file", text, "store.redis.wait-replicas", "1"}, ""},
		{[]string{"store.redis.url", at, "store.redis.password-file", empty}, "there is nothing in it"},
		{[]string{"store.redis.url", at, "store.redis.password-file", "/none"}, `store.redis.password-file is "/none": open /none`},
		{[]string{"store.redis.url", at, "store.redis.tls-ca", text}, "there is no certificate in it"},
		{[]string{"store.redis.url", at, "store.redis.tls-cert", text}, "store.redis.tls-key is not set: tls-cert is set"},
		{[]string{"store.redis.url", at, "store.redis.tls-key", text}, "store.redis.tls-cert is not set: tls-key is set"},
		{[]string{"store.redis.url", at, "store.redis.prefix", ""}, "store.redis.prefix is not set: set one"},
		{[]string{"store.redis.url", at, "store.redis.max-value-bytes", "0"}, "set between 1 and 256MiB"},
		{[]string{"store.redis.url", at, "store.dir", "d"}, "store.dir is set as well"},
		{[]string{"store.redis.sentinel-master", "m"}, `store.redis.sentinel-master is "m": store.redis.url is not set`},
		{[]string{"store.redis.wait-replicas", "1"}, "store.redis.url is not set"},
		{[]string{"coordinator", "redis", "redis.url", at}, ""},
		{[]string{"coordinator", "redis"}, "redis.url is not set: coordinator is redis"},
		{[]string{"coordinator", "cluster"}, `coordinator is "cluster": cluster.listen is not set`},
		{[]string{"coordinator", "none"}, ""},
		{[]string{"redis.url", at}, "coordinator is not redis"},
		{[]string{"redis.lease", "6s"}, "coordinator is not redis"},
		{[]string{"coordinator", "redis", "redis.url", at, "redis.lease", "2999ms"}, "set between 3s and 1m0s"},
		{[]string{"coordinator", "redis", "redis.url", at, "redis.lease", "3s", "redis.outage", "refuse"}, ""},
		{[]string{"coordinator", "redis", "redis.url", at, "store.dir", "d"}, `store.dir is "d": with the coordinator redis`},
		{[]string{"coordinator", "redis", "redis.url", at, "cluster.listen", "127.0.0.1:1"}, "cluster.listen is set as well, and one of the two decides"},
		{[]string{"mirror-bytes", "1MiB"}, "no other node owns anything"},
		{[]string{"mirror-bytes", "1GiB"}, "it must not be above max-bytes"},
	} {
		c := valid(t)
		for i := 0; i < len(row.settings); i += 2 {
			set(t, &c, row.settings[i], row.settings[i+1])
		}
		var said []string
		for _, p := range c.Validate() {
			said = append(said, p.Error())
		}
		all := strings.Join(said, "\n")
		if row.want == "" && all != "" || !strings.Contains(all, row.want) {
			t.Errorf("%v: %s; want %q", row.settings, all, row.want)
		}
	}
}

func TestAPasswordIsNotShown(t *testing.T) {
	c := valid(t)
	set(t, &c, "store.redis.url", "redis://user:secret@127.0.0.1:6379/3")
	if s := find(t, &c, "store.redis.url").String(); s != "redis://…@127.0.0.1:6379/3" {
		t.Errorf("it is shown as %s", s)
	}
	for _, text := range []string{"http://user:secret@h", "redis://user:secret@h:x", "redis:"} {
		if p := find(t, &c, "store.redis.url").Check(text); p == nil || strings.Contains(p.Error(), "secret") {
			t.Errorf("%s: %v", text, p)
		}
	}
}

func TestTheMemoryOfADirectoryComesOutOfMaxBytes(t *testing.T) {
	for _, limit := range []Bytes{16 << 20, 256 << 20, 4 << 30} {
		c := Config{MaxBytes: limit}
		none := c.cacheBytes()
		c.StoreDir = "d"
		if dir := c.cacheBytes(); none-dir != c.storeMemory() || c.storeMemory() < 4<<20 || c.storeMemory() > 64<<20 {
			t.Errorf("of %s the cache has %d, with a store %d, which has %d", limit, none, dir, c.storeMemory())
		}
	}
}
