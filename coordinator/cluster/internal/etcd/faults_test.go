package etcd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAnEtcdThatIsFullSaysSoAndIsRead(t *testing.T) {
	config := members(t, 1)[0]
	config.Quota = 4 << 20
	s := start(t, config)
	ready(t, s)
	c := dial(t, Config{Endpoints: []string{s.Client()}})
	var err error
	for range 100 {
		if _, err = c.Write(t.Context(), Txn{Put: map[string][]byte{"a": make([]byte, 1<<19)}}); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) || !errors.Is(err, ErrUnknown) || errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "raise its quota") {
		t.Fatalf("Write into a full etcd: got %v, want ErrFull and ErrUnknown", err)
	}
	if _, err := c.Read(t.Context()); err != nil {
		t.Fatalf("Read from a full etcd: %v", err)
	}
}

func TestWithoutAQuorumEveryCallEndsInTime(t *testing.T) {
	configs := members(t, 3)
	var servers []*Server
	for _, config := range configs {
		servers = append(servers, start(t, config))
	}
	ready(t, servers...)
	c := dial(t, Config{Endpoints: []string{configs[0].Client, configs[1].Client, configs[2].Client}, Timeout: 500 * time.Millisecond})
	put(t, c, "a", "")
	servers[1].Stop()
	servers[2].Stop()
	for range 10 {
		began := time.Now()
		_, err := c.Write(t.Context(), Txn{Put: map[string][]byte{"a": nil}})
		if !errors.Is(err, ErrUnknown) {
			t.Fatalf("Write without a quorum: got %v, want ErrUnknown", err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Fatalf("Write without a quorum took %v, with a timeout of 500ms", took)
		}
	}
	start(t, configs[1])
	untilDone(t, "Write after the quorum is back", func(ctx context.Context) error {
		_, err := c.Write(ctx, Txn{Put: map[string][]byte{"a": nil}})
		return err
	})
}

// The time in the log is from SIGKILL to the first write that is confirmed.
func TestTheLossOfALeaderCostsAnElection(t *testing.T) {
	configs := members(t, 3)
	processes := make([]*process, 3)
	var endpoints []string
	for i, config := range configs {
		processes[i] = spawn(t, config)
		endpoints = append(endpoints, config.Client)
	}
	for _, p := range processes {
		p.ready(t)
	}
	// A write that was handed to the leader as it died is never answered, so a
	// long timeout would be most of the time that is measured.
	c := dial(t, Config{Endpoints: endpoints, Timeout: 150 * time.Millisecond, Log: new(logged).logger()})
	first := put(t, c, "a", "")
	changes, _ := watched(t, c, first)
	for round := range 3 {
		leader := leaderOf(t, c)
		processes[leader].kill()
		began := time.Now()
		untilDone(t, "Write after the leader was killed", func(ctx context.Context) error {
			_, err := c.Write(ctx, Txn{Put: map[string][]byte{"a": nil}})
			return err
		})
		t.Logf("round %d: the leader killed, writable again after %v", round, time.Since(began).Round(time.Millisecond))
		began = time.Now()
		processes[leader] = spawn(t, configs[leader])
		processes[leader].ready(t)
		t.Logf("round %d: the member serves again %v after its start", round, time.Since(began).Round(time.Millisecond))
	}
	var last uint64
	untilDone(t, "the last Write", func(ctx context.Context) error {
		r, err := c.Write(ctx, Txn{Put: map[string][]byte{"a": nil}})
		last = r.Revision
		return err
	})
	for revision := first; revision <= last; revision++ {
		if got := next(t, changes); got.Revision != revision {
			t.Fatalf("the watch: got revision %d, want %d", got.Revision, revision)
		}
	}
}

func leaderOf(t *testing.T, c *Client) (leader int) {
	t.Helper()
	untilDone(t, "finding the leader", func(ctx context.Context) error {
		for i, e := range c.endpoints.all {
			status, err := e.client.Status(ctx, e.address)
			if err != nil {
				return err
			}
			if status.Leader == status.Header.MemberId {
				leader = i
				return nil
			}
		}
		return errors.New("none says that it leads")
	})
	return leader
}

func TestAnEtcdPutBackFromABackupIsNoticed(t *testing.T) {
	config := members(t, 1)[0]
	s := start(t, config)
	ready(t, s)
	put(t, dial(t, Config{Endpoints: []string{s.Client()}}), "a", "1")
	s.Stop()
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(config.Dir)); err != nil {
		t.Fatal(err)
	}
	s = start(t, config)
	ready(t, s)
	c := dial(t, Config{Endpoints: []string{s.Client()}})
	last := put(t, c, "a", "2")
	_, ended := watched(t, c, last+1)
	s.Stop()

	config.Dir = backup
	s = start(t, config)
	ready(t, s)
	if err := wait(t, ended, "the watch to end"); !errors.Is(err, ErrRolledBack) {
		t.Fatalf("the watch: got %v, want ErrRolledBack", err)
	}
	for range 2 { // final
		if _, err := c.Write(t.Context(), Txn{Put: map[string][]byte{"a": nil}}); !errors.Is(err, ErrRolledBack) {
			t.Fatalf("Write: got %v, want ErrRolledBack", err)
		}
	}
	if _, err := dial(t, Config{Endpoints: []string{s.Client()}, Seen: last}).Read(t.Context()); !errors.Is(err, ErrRolledBack) {
		t.Fatalf("Read by a node that remembers revision %d: got %v, want ErrRolledBack", last, err)
	}
	if _, err := dial(t, Config{Endpoints: []string{s.Client()}, Seen: last - 1}).Read(t.Context()); err != nil {
		t.Fatalf("Read by a node that remembers revision %d: %v", last-1, err)
	}
}

func TestAnotherEtcdInItsPlaceIsNoticed(t *testing.T) {
	config := members(t, 1)[0]
	s := start(t, config)
	ready(t, s)
	c := dial(t, Config{Endpoints: []string{s.Client()}})
	put(t, c, "a", "1")
	s.Stop()
	config.Dir, config.Token = t.TempDir(), "another"
	s = start(t, config)
	ready(t, s)
	other := dial(t, Config{Endpoints: []string{s.Client()}})
	for range 10 { // its revision is beyond what the client has seen
		put(t, other, "a", "")
	}
	untilDone(t, "Read that is refused with ErrRolledBack", func(ctx context.Context) error {
		_, err := c.Read(ctx)
		switch {
		case errors.Is(err, ErrRolledBack):
			return nil
		case err == nil:
			t.Fatal("Read: got nil, want ErrRolledBack")
		}
		return err
	})
}

func TestNobodyThereIsSaidWithTheAddresses(t *testing.T) {
	address := freeAddress(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := Dial(ctx, Config{Endpoints: []string{address}})
	if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "is etcd running") {
		t.Fatalf("Dial: got %v", err)
	}
}

// A member that takes connections and says nothing, as one that is stopped or
// behind a broken network.
func TestAMemberThatHangsIsLeftForAnother(t *testing.T) {
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	s, _ := one(t)
	c := dial(t, Config{Endpoints: []string{hung.Addr().String(), s.Client()}, Timeout: 300 * time.Millisecond})
	put(t, c, "a", "")
	put(t, c, "a", "")
}

func TestAMemberThatCannotStartSaysWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	used := members(t, 1)[0]
	s := start(t, used)
	ready(t, s)
	s.Stop()
	for name, test := range map[string]struct {
		change func(*Embedded)
		says   string
	}{
		"a client port that is taken": {func(c *Embedded) { c.Client = taken.Addr().String() }, "another process listens on"},
		"a peer port that is taken": {func(c *Embedded) {
			c.Peer = taken.Addr().String()
			c.Members[c.Name] = c.Peer
		}, "another process listens on"},
		"a directory that is a file":    {func(c *Embedded) { c.Dir = file }, "name another (--cluster.dir)"},
		"a directory of another":        {func(c *Embedded) { c.Dir, c.Token = used.Dir, "another" }, `is of member "m0" in cluster test, not of "m0" in another`},
		"a port of the system's choice": {func(c *Embedded) { c.Client = "127.0.0.1:0" }, "not host:port with a port of its own"},
		"an address that is elsewhere":  {func(c *Embedded) { c.Client = "192.0.2.1:7071" }, "of this machine"},
		"two members":                   {func(c *Embedded) { c.Members["b"] = "127.0.0.1:1" }, "name 1, 3 or 5"},
		"not among its members":         {func(c *Embedded) { c.Name = "b" }, "name it there"},
		"no token":                      {func(c *Embedded) { c.Token = "" }, "Embedded.Token is empty"},
	} {
		config := members(t, 1)[0]
		test.change(&config)
		s, err := Start(t.Context(), config)
		if err == nil {
			s.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want %q", name, err, test.says)
		}
	}
}
