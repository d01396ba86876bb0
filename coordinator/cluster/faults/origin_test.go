package faults_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// An origin is what all nodes load from, and the judge of the tests: it writes
// down every call.
type origin struct {
	socket string

	mu       sync.Mutex
	log      []*call
	versions map[string]int           // by key, 1 until it is changed
	gates    map[string]chan struct{} // keys whose calls wait
	slow     time.Duration            // what each call takes besides
	uneven   time.Duration            // and by chance up to this much more
}

// A call is one that a node has made.
type call struct {
	number         int // of all of them, from 1
	key            string
	node, nodeCall string
	version        int // of the key when the call came
	began          time.Time
	ended          time.Time      // zero while it runs
	abandoned      bool           // the node has gone away
	call, answer   faults.Instant // are began and ended
}

func (c *call) String() string {
	end := "runs"
	if !c.ended.IsZero() {
		end = "took " + c.ended.Sub(c.began).Round(time.Millisecond).String()
	}
	if c.abandoned {
		end += ", abandoned"
	}
	return fmt.Sprintf("#%d %q v%d by %s/%s at %s, %s", c.number, c.key, c.version, c.node, c.nodeCall, c.began.Format("05.000"), end)
}

func newOrigin(t testing.TB) *origin {
	t.Helper()
	o := &origin{socket: filepath.Join(shortDir(t), "origin"), versions: map[string]int{}, gates: map[string]chan struct{}{}}
	listener, err := net.Listen("unix", o.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: o}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // until it is closed
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{key: strings.TrimPrefix(r.URL.Path, "/"), node: r.Header.Get("Node"), nodeCall: r.Header.Get("Call"), began: time.Now(), call: faults.Now()}
	o.mu.Lock()
	o.log = append(o.log, c)
	c.number, c.version = len(o.log), o.versions[c.key]+1
	gate, slow := o.gates[c.key], o.slow
	if o.uneven > 0 {
		slow += rand.N(o.uneven)
	}
	o.mu.Unlock()
	time.Sleep(slow)
	if gate != nil {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	}
	o.mu.Lock()
	c.ended, c.answer, c.abandoned = time.Now(), faults.Now(), r.Context().Err() != nil
	o.mu.Unlock()
	fmt.Fprint(w, value(c.key, c.version, c.number))
}

// value is what the origin answers: the key, its version, and which call it was.
func value(key string, version, number int) string {
	return fmt.Sprintf("%s v%d #%d", key, version, number)
}

// parseValue is the reverse.
func parseValue(text string) (key string, version, number int, ok bool) {
	fields := strings.Fields(text)
	if len(fields) != 3 || fields[1][0] != 'v' || fields[2][0] != '#' {
		return "", 0, 0, false
	}
	version, err1 := strconv.Atoi(fields[1][1:])
	number, err2 := strconv.Atoi(fields[2][1:])
	return fields[0], version, number, err1 == nil && err2 == nil
}

// hold makes the calls for a key wait until release is called.
func (o *origin) hold(key string) (release func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	gate := make(chan struct{})
	o.gates[key] = gate
	return sync.OnceFunc(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.gates[key] == gate {
			delete(o.gates, key)
			close(gate)
		}
	})
}

// releaseAll lets all calls end that wait.
func (o *origin) releaseAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, gate := range o.gates {
		delete(o.gates, key)
		close(gate)
	}
}

// change gives a key its next version.
func (o *origin) change(key string) (version int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.versions[key]++
	return o.versions[key] + 1
}

// changeAll gives keys their next versions, all at one moment.
func (o *origin) changeAll(keys []string) (versions []int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range keys {
		o.versions[key]++
		versions = append(versions, o.versions[key]+1)
	}
	return versions
}

// byKey are the calls for all keys that begin like this.
func (o *origin) byKey(prefix string) map[string][]call {
	all := map[string][]call{}
	for _, c := range o.calls(prefix) {
		all[c.key] = append(all[c.key], c)
	}
	return all
}

// calls are those for a key, or for all keys that begin like this.
func (o *origin) calls(prefix string) (all []call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.log {
		if strings.HasPrefix(c.key, prefix) {
			all = append(all, *c)
		}
	}
	return all
}

// awaitCalls waits until that many calls for a key have begun.
func (o *origin) awaitCalls(t testing.TB, key string, count int) {
	t.Helper()
	await(t, fmt.Sprintf("%d calls for %q", count, key), func() bool { return len(o.calls(key)) >= count })
}

func transcript(calls []call) string {
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintln(&b, "  "+c.String())
	}
	return b.String()
}
