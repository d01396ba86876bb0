package redisconn

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/corralcache/corral/internal/localserver"
)

// A refresh of a Cluster's slots sleeps in rueidis for up to a second, also when
// the client is closed meanwhile.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}

func client(t *testing.T, c Config) *Client {
	t.Helper()
	opened, err := Open(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

func TestWhatAServerSaysIsExplained(t *testing.T) {
	rows := []struct {
		says   string
		is     error
		outage bool
		writes bool
	}{
		{"-WRONGPASS invalid username-password pair or user is disabled.", ErrAuth, true, false},
		{"-NOAUTH Authentication required.", ErrAuth, true, false},
		{"-NOPERM this user has no permissions to run the 'get' command", ErrForbidden, false, true},
		{"-READONLY You can't write against a read only replica.", ErrReadOnly, false, true},
		{"-OOM command not allowed when used memory > 'maxmemory'.", ErrFull, false, true},
		{"-MISCONF Redis is configured to save RDB snapshots", ErrDisk, false, true},
		{"-LOADING Redis is loading the dataset in memory", ErrLoading, true, false},
		{"-MASTERDOWN Link with MASTER is down", ErrReadOnly, false, true},
		{"-BUSY Redis is busy running a script.", ErrBusy, true, false},
		{"-CLUSTERDOWN The cluster is down", ErrClusterDown, true, false},
		{"-MOVED 3999 127.0.0.1:6381", ErrMoved, false, false},
		{"-ASK 3999 127.0.0.1:6381", ErrMoved, false, false},
		{"-CROSSSLOT Keys in request don't hash to the same slot", ErrRefused, false, false},
		{"-NOSCRIPT No matching script.", ErrNoScript, false, false},
		{"-NOREPLICAS Not enough good replicas to write.", ErrReplicas, false, true},
		{"-WRONGTYPE Operation against a key holding the wrong kind of value", ErrWrongType, false, false},
		{"-ERR max number of clients reached", ErrClients, true, false},
		{"-ERR unknown command 'EVALSHA'", ErrTooOld, true, false},
		{"-ERR DB index is out of range", ErrRefused, false, false},
		{"-ERR whatever", ErrRefused, false, false},
	}
	for _, row := range rows {
		f := &fake{version: "7.0.0", other: row.says + "\r\n"}
		c := client(t, Config{Addresses: []string{f.serve(t)}})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := c.Do(ctx, c.B().Get().Key("a").Build()).Error()
		cancel()
		got := Explain(err)
		if !errors.Is(got, row.is) || Outage(err) != row.outage || RefusesWrites(err) != row.writes {
			t.Errorf("%q: got %v, outage %v, writes refused %v", row.says, got, Outage(err), RefusesWrites(err))
		}
		if Explain(got).Error() != got.Error() {
			t.Errorf("%q is explained twice: %v", row.says, Explain(got))
		}
	}
}

func TestAServerThatIsTooOldIsSaidToBe(t *testing.T) {
	rows := []struct {
		name string
		f    *fake
		too  bool
	}{
		{"without RESP3", &fake{hello: "-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n", version: "5.0.14"}, true},
		{"by its version", &fake{version: "5.0.14"}, true},
		{"the oldest", &fake{version: "6.0.0"}, false},
		{"of two digits", &fake{version: "10.0.0"}, false},
		{"of no version", &fake{version: "?"}, false},
	}
	for _, row := range rows {
		c := client(t, Config{Addresses: []string{row.f.serve(t)}})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := c.Ready(ctx)
		cancel()
		if errors.Is(err, ErrTooOld) != row.too || !row.too && err != nil || row.too && !strings.Contains(err.Error(), "6.0") {
			t.Errorf("%s: got %v", row.name, err)
		}
	}
}

func TestAClientConnectsWhenItIsAskedAndOnce(t *testing.T) {
	server := localserver.Redis(t)
	c := client(t, Config{Addresses: []string{server.Addr()}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for range 50 { // C2
		all.Go(func() {
			if err := c.Do(ctx, c.B().Set().Key("a").Value("1").Build()).Error(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	answer, err := server.Do(ctx, "INFO", "stats")
	if err != nil || !strings.Contains(answer, "total_connections_received:2\r\n") {
		t.Errorf("want the client's connection and this one: %v, %s", err, answer)
	}
}

func TestACommandThatWasBuiltBeforeAClusterWasReachedFailsAndTheNextDoesNot(t *testing.T) {
	cluster := localserver.Cluster(t)
	c := client(t, Config{Addresses: cluster.Addrs()})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	early := c.B().Get().Key("a").Build()
	if err := c.Do(ctx, early).Error(); !errors.Is(err, ErrNotConnected) {
		t.Errorf("got %v", err)
	}
	if err := c.Do(ctx, c.B().Set().Key("a").Value("1").Build()).Error(); err != nil {
		t.Error(err)
	}
}

func TestAServerThatHangsKeepsNobodyLongerThanTheirContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := client(t, Config{Addresses: []string{silent.Addr().String()}, DialTimeout: 200 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.Ready(ctx); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
	if err := c.Ready(t.Context()); !errors.Is(err, ErrTimeout) { // DialTimeout ends it
		t.Errorf("got %v", err)
	}
	c.Close()
	if err := c.Ready(t.Context()); !errors.Is(err, errClosed) { // C3
		t.Errorf("got %v", err)
	}
}

func TestAfterAFailureThereIsAPause(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var attempts atomic.Int64
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			attempts.Add(1)
			conn.Close()
		}
	})
	defer all.Wait()
	defer listener.Close()
	c := client(t, Config{Addresses: []string{listener.Addr().String()}})
	began := time.Now()
	for range 1000 {
		if err := c.Ready(t.Context()); !errors.Is(err, ErrUnreachable) {
			t.Fatalf("got %v", err)
		}
	}
	if got, most := attempts.Load(), int64(2+time.Since(began)/(firstPause/2)); got > most {
		t.Errorf("%d connections in %v, want %d at most", got, time.Since(began), most)
	}
}

func TestCloseWaitsForTheAttemptThatIsUnderWay(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := client(t, Config{Addresses: []string{silent.Addr().String()}, DialTimeout: 200 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	c.Ready(ctx)
	c.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempt != nil {
		t.Error("an attempt is under way after Close") // C3
	}
}

func TestWithoutAConnectionNothingIsDedicated(t *testing.T) {
	c := client(t, Config{Addresses: []string{"127.0.0.1:1"}})
	one, back := c.Dedicate()
	defer back()
	if err := one.Do(t.Context(), one.B().Get().Key("a").Build()).Error(); !errors.Is(err, ErrNotConnected) {
		t.Errorf("got %v", err)
	}
	if err := <-one.SetOnInvalidations(nil); !errors.Is(err, ErrNotConnected) {
		t.Errorf("got %v", err)
	}
	if len(c.Nodes()) != 0 || c.Mode() != "" {
		t.Errorf("it has nodes: %v, %q", c.Nodes(), c.Mode())
	}
}
