package redislock

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/localserver"
)

func containsText(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), text)
}

// holderEnv makes this program one that holds a lease; see hold.
const holderEnv = "REDISLOCK_HOLDER"

func TestMain(m *testing.M) {
	if address := os.Getenv(holderEnv); address != "" {
		if err := holdForAParent(address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// holdForAParent takes the lease of "a", says so, extends it, and fills it when
// it is told to.
func holdForAParent(address string) error {
	c, err := Open(context.Background(), Config{Redis: Redis{Addresses: []string{address}}, Lease: minLease})
	if err != nil {
		return err
	}
	answer, err := c.Join(context.Background(), request("a"))
	if err != nil || answer.Kind != corral.AnswerLease {
		return fmt.Errorf("join gave kind %d, %w", answer.Kind, err)
	}
	fmt.Println("held")
	beating, stop := context.WithCancel(context.Background())
	go func() {
		for beating.Err() == nil {
			answer.Lease.Extend(beating)
			time.Sleep(time.Second)
		}
	}()
	bufio.NewReader(os.Stdin).ReadString('\n')
	stop()
	fmt.Println("filled:", answer.Lease.Fill(context.Background(), value("late")))
	return nil
}

// holder is a child process that holds the lease of "a".
type holder struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startHolder(t *testing.T, server *localserver.RedisServer) *holder {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holderEnv+"="+server.Addr())
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	h := &holder{cmd, in, bufio.NewReader(out)}
	h.want(t, "held")
	return h
}

func (h *holder) want(t *testing.T, text string) {
	t.Helper()
	line, err := h.out.ReadString('\n')
	if !strings.HasPrefix(line, text) {
		t.Fatalf("the holder said %q, %v; want %q", line, err, text)
	}
}

func (h *holder) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := h.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func request(key string) corral.Request {
	return corral.Request{Key: key, Wait: time.Minute, Behind: func() []corral.Lease { return nil }}
}

func value(text string) *corral.Record {
	return &corral.Record{Value: []byte(text), BodySize: -1, TTL: time.Hour, Revision: 1 << 53}
}

// came is what a Join in the background came to, and when.
type came struct {
	corral.Answer
	err error
	at  time.Time
}

func joining(t *testing.T, c *Coordinator, r corral.Request) <-chan came {
	answer := make(chan came, 1)
	go func() {
		got, err := c.Join(t.Context(), r)
		answer <- came{got, err, time.Now()}
	}()
	return answer
}

func wants(t *testing.T, answer <-chan came, kind corral.AnswerKind) came {
	t.Helper()
	select {
	case got := <-answer:
		if got.err != nil || got.Kind != kind {
			t.Fatalf("Join gave kind %d (%v), %v; want kind %d", got.Kind, got.Err, got.err, kind)
		}
		return got
	case <-time.After(20 * time.Second):
		t.Fatal("Join has not come back for 20s")
		panic("unreachable")
	}
}

func leaseOf(t *testing.T, c *Coordinator, key string) corral.Lease {
	t.Helper()
	return wants(t, joining(t, c, request(key)), corral.AnswerLease).Lease
}

// until waits for what others bring about.
func until(t *testing.T, what string, true_ func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !true_(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 15s", what)
		}
	}
}

func parkedAt(c *Coordinator, n uint64) func() bool {
	return func() bool { return c.Stats().Waits >= n }
}

func TestOfThoseWhoWaitForAKilledHolderExactlyOneSucceedsIt(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	h := startHolder(t, server)
	conf := Config{Redis: Redis{Addresses: []string{server.Addr()}}, Lease: minLease}
	var waiting []<-chan came
	for range 3 {
		c := watched(t, conf)
		waiting = append(waiting, joining(t, c, request("a")))
		until(t, "parked", parkedAt(c, 1))
	}
	time.Sleep(1500 * time.Millisecond) // it has been extended once at least
	h.signal(t, syscall.SIGKILL)
	killed := time.Now()
	var first came
	rest := waiting
	select {
	case first = <-waiting[0]:
		rest = []<-chan came{waiting[1], waiting[2]}
	case first = <-waiting[1]:
		rest = []<-chan came{waiting[0], waiting[2]}
	case first = <-waiting[2]:
		rest = []<-chan came{waiting[0], waiting[1]}
	}
	took := first.at.Sub(killed)
	if first.err != nil || first.Kind != corral.AnswerLease || took > minLease+2*time.Second || // one on a machine that is not starved
		took < minLease-1200*time.Millisecond {
		t.Fatalf("the first came to kind %d, %v after %v; want a lease after %v", first.Kind, first.err, took, minLease)
	}
	time.Sleep(200 * time.Millisecond)
	for _, other := range rest {
		if len(other) > 0 {
			t.Fatalf("another has come to something, too: %+v", <-other)
		}
	}
	if err := first.Lease.Fill(t.Context(), value("v")); err != nil {
		t.Fatal(err)
	}
	for _, other := range rest {
		if got := wants(t, other, corral.AnswerValue); string(got.Record.Value) != "v" {
			t.Fatalf("got %q", got.Record.Value)
		}
	}
}

func TestALateHolderCannotOverwrite(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	h := startHolder(t, server)
	c := watched(t, Config{Redis: Redis{Addresses: []string{server.Addr()}}, Lease: minLease})
	h.signal(t, syscall.SIGSTOP)
	lease := leaseOf(t, c, "a") // past the holder's
	if err := lease.Fill(t.Context(), value("newer")); err != nil {
		t.Fatal(err)
	}
	io.WriteString(h.in, "fill\n")
	h.signal(t, syscall.SIGCONT)
	h.want(t, "filled: "+ErrLost.Error())
	if got := wants(t, joining(t, c, request("a")), corral.AnswerValue); string(got.Record.Value) != "newer" {
		t.Fatalf("got %q", got.Record.Value)
	}
}

// L2, where the late holder does not know it itself.
func TestRedisRefusesAHolderWhoseTokenIsGone(t *testing.T) {
	t.Parallel()
	server, a, b := pair(t)
	late := leaseOf(t, a, "a")
	if _, err := server.Do(t.Context(), "HSET", "corral:k:a", "deadline", "1"); err != nil {
		t.Fatal(err)
	}
	lease := leaseOf(t, b, "a")
	parked := joining(t, a, request("a"))
	until(t, "parked", parkedAt(a, 1))
	if err := late.Fill(t.Context(), value("late")); !errors.Is(err, ErrLost) {
		t.Fatalf("Fill gave %v, want %v", err, ErrLost)
	}
	if err := lease.Fill(t.Context(), value("newer")); err != nil {
		t.Fatal(err)
	}
	if got := wants(t, parked, corral.AnswerValue); string(got.Record.Value) != "newer" {
		t.Fatalf("got %q", got.Record.Value)
	}
}

func TestScriptsThatRedisHasForgottenAreSentAgain(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	c := watched(t, Config{Redis: Redis{Addresses: []string{server.Addr()}}})
	flush := func() {
		if _, err := server.Do(t.Context(), "SCRIPT", "FLUSH"); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	lease := leaseOf(t, c, "a")
	flush()
	if err := lease.Extend(t.Context()); err != nil {
		t.Fatal(err)
	}
	flush()
	if err := lease.Fill(t.Context(), value("v")); err != nil {
		t.Fatal(err)
	}
	flush()
	if err := c.Invalidate(t.Context(), corral.Target{Keys: []string{"a", "b"}, Tags: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	leaseOf(t, c, "a")
}

func TestRevisionsGoOnWhenRedisHasLostItsData(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	conf := Config{Redis: Redis{Addresses: []string{server.Addr()}}, Lease: minLease}
	var loads atomic.Int32
	caches, all := processes(t, 2, conf, func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
		return corral.Item[string]{Value: fmt.Sprint(loads.Add(1))}, nil
	})
	get := func(i int, want string) {
		t.Helper()
		if got, err := caches[i].Get(t.Context(), "a"); got != want || err != nil {
			t.Fatalf("process %d: Get gave %q, %v; want %q", i, got, err, want)
		}
	}
	get(0, "1")
	get(1, "1")
	before := all[0].newest()
	if _, err := server.Do(t.Context(), "FLUSHALL"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := caches[0].Invalidate(t.Context(), "a"); err != nil { // at once: nobody may have noticed yet
		t.Fatal(err)
	}
	t.Logf("acknowledged after %v", time.Since(began))
	get(1, "2")
	get(0, "2")
	if after := all[0].newest(); after <= before {
		t.Fatalf("revision %d came after %d", after, before)
	}
}

// down reports whether a process knows that Redis is away, and its cache too.
func down(c *Coordinator) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.up && c.applied == c.heard
}

// newest is the newest revision that a coordinator has heard of.
func (c *Coordinator) newest() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

func TestWhileRedisIsAwayEachProcessComputesAndKeepsNothing(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		away, by func(*localserver.RedisServer) error
	}{
		{"killed", (*localserver.RedisServer).Kill, func(s *localserver.RedisServer) error { return s.Start(context.Background()) }},
		{"paused", (*localserver.RedisServer).Pause, (*localserver.RedisServer).Resume},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := localserver.Redis(t)
			conf := Config{Redis: Redis{Addresses: []string{server.Addr()}}, Lease: minLease}
			var loads atomic.Int32
			caches, all := processes(t, 2, conf, func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
				return corral.Item[string]{Value: fmt.Sprint(loads.Add(1))}, nil
			})
			get := func(i int) string {
				t.Helper()
				began := time.Now()
				got, err := caches[i].Get(t.Context(), "a")
				if err != nil || time.Since(began) > 3*time.Second {
					t.Fatalf("process %d: Get gave %q, %v after %v", i, got, err, time.Since(began))
				}
				return got
			}
			if get(0) != "1" || get(1) != "1" {
				t.Fatal("not one load for both")
			}
			if err := row.away(server); err != nil {
				t.Fatal(err)
			}
			until(t, "noticed", func() bool { return down(all[0]) && down(all[1]) })
			if a, b, c := get(0), get(0), get(1); a != "2" || b != "3" || c != "4" {
				t.Fatalf("Get gave %q, %q, %q while Redis was away; want a load each", a, b, c)
			}
			if err := caches[0].Invalidate(t.Context(), "a"); !errors.Is(err, corral.ErrStorePending) || !errors.Is(err, corral.ErrNotAcknowledged) {
				t.Fatalf("Invalidate gave %v, want %v", err, corral.ErrStorePending)
			}
			if err := row.by(server); err != nil {
				t.Fatal(err)
			}
			until(t, "back", func() bool { return all[0].Stats().Up && all[1].Stats().Up && all[0].Stats().Pending == 0 })
			if a, b := get(0), get(1); a != "5" || b != "5" {
				t.Fatalf("Get gave %q and %q once Redis was back; want one load for both, and nothing from before the invalidation", a, b)
			}
		})
	}
}

func TestRefuseAnswersThatNobodyCanSayWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	c := watched(t, Config{Redis: Redis{Addresses: []string{server.Addr()}}, Outage: Refuse})
	wants(t, joining(t, c, request("a")), corral.AnswerUnavailable)
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "there", func() bool { return c.Stats().Up })
	leaseOf(t, c, "a")
}

// A relay is a network between a process and Redis that can be cut.
type relay struct {
	listener net.Listener
	mu       sync.Mutex
	open     []net.Conn
	refuse   bool
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener}
	t.Cleanup(func() { listener.Close(); r.cut(true) })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			onward, err := net.Dial("tcp", to)
			if err != nil || r.refuse {
				from.Close()
				r.mu.Unlock()
				continue
			}
			r.open = append(r.open, from, onward)
			r.mu.Unlock()
			go func() { io.Copy(onward, from); onward.Close() }()
			go func() { io.Copy(from, onward); from.Close() }()
		}
	}()
	return r
}

// cut ends every connection, and refuses new ones if it says so.
func (r *relay) cut(refuse bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = refuse
	for _, conn := range r.open {
		conn.Close()
	}
	r.open = nil
}

func TestALostConnectionSpendsWhatIsInMemory(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	network := startRelay(t, server.Addr())
	conf := Config{Redis: Redis{Addresses: []string{server.Addr()}}, Lease: minLease}
	apart := conf
	apart.Redis.Addresses = []string{network.listener.Addr().String()}
	var loads atomic.Int32
	load := func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
		return corral.Item[string]{Value: fmt.Sprint(loads.Add(1))}, nil
	}
	here, there := open(t, conf), open(t, apart)
	a, b := cache(t, here, load), cache(t, there, load)
	get := func(c *corral.Cache[string], want string) {
		t.Helper()
		if got, err := c.Get(t.Context(), "a"); got != want || err != nil {
			t.Fatalf("Get gave %q, %v; want %q", got, err, want)
		}
	}
	get(a, "1")
	get(b, "1")

	network.cut(true)
	until(t, "noticed", func() bool { return down(there) })
	began := time.Now()
	if err := a.Invalidate(t.Context(), "a"); err != nil { // waits until the other counts as gone
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*presence { // a slow machine
		t.Fatalf("acknowledged after %v; want %v", took, presence)
	}
	get(b, "2") // its own, and kept by nobody
	get(a, "3")
	get(b, "4")
	network.cut(false)
	until(t, "back", func() bool { return there.Stats().Up })
	get(b, "3")

	// A short cut: what was parked is answered all the same.
	lease := leaseOf(t, here, "b")
	parked := joining(t, there, request("b"))
	until(t, "parked", func() bool { _, n := waiting(there); return n == 1 })
	network.cut(false)
	until(t, "back", func() bool { s := there.Stats(); return s.Up && s.Sessions >= 3 })
	if err := lease.Fill(t.Context(), value("v")); err != nil {
		t.Fatal(err)
	}
	wants(t, parked, corral.AnswerValue)
}

// waiting is how many Joins of a process ask and wait.
func waiting(c *Coordinator) (asking, parked int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asking), len(c.parked)
}

func TestAFailoverOfSentinelGoesOn(t *testing.T) {
	t.Parallel()
	sentinel := localserver.RedisSentinel(t)
	c := watched(t, Config{Redis: Redis{Addresses: []string{sentinel.Addr()}, SentinelMaster: localserver.MasterName}, Lease: minLease})
	if err := leaseOf(t, c, "a").Fill(t.Context(), value("v")); err != nil {
		t.Fatal(err)
	}
	before := c.newest()
	if err := sentinel.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "an invalidation after the failover", func() bool {
		return c.Invalidate(t.Context(), corral.Target{Keys: []string{"a"}}) == nil
	})
	if after := c.newest(); after <= before {
		t.Fatalf("revision %d came after %d", after, before)
	}
	leaseOf(t, c, "a")
}
