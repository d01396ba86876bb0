package localserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// orphan, set in the environment, makes this program one that starts a Redis,
// says where and dies.
const orphan = "CORRAL_LOCALSERVER_ORPHAN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(orphan); dir != "" {
		r, err := StartRedis(context.Background(), dir)
		if err != nil {
			fmt.Println("nowhere", err)
			os.Exit(1)
		}
		fmt.Println(r.Addr(), err)
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	os.Exit(m.Run())
}

func TestAServerEndsWhenWhoStartedItIsKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), orphan+"="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, failure, _ := strings.Cut(strings.TrimSpace(line), " ")
	if failure != "<nil>" {
		t.Fatalf("the child said %q", line)
	}
	cmd.Wait()
	gone(t, addr)
}

// gone waits until nobody listens at an address.
func gone(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(starting); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatalf("somebody still listens at %s", addr)
		}
	}
}

func TestARedisStartsAgainAtItsPortWithItsFiles(t *testing.T) {
	r := Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	for _, end := range []func() error{r.Kill, r.Stop} {
		if _, err := r.Do(t.Context(), "INCR", "ends"); err != nil {
			t.Fatal(err)
		}
		addr := r.Addr()
		if err := r.Start(t.Context()); err == nil {
			t.Fatal("a server that runs was started again")
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		gone(t, addr)
		if err := end(); err == nil {
			t.Fatal("a server that has ended was ended again")
		}
		if err := r.Start(t.Context()); err != nil || r.Addr() != addr {
			t.Fatalf("Start gave %v; the address is %s and was %s", err, r.Addr(), addr)
		}
	}
	if got, err := r.Do(t.Context(), "GET", "ends"); err != nil || got != "2" {
		t.Errorf("GET gave %q, %v; want 2", got, err)
	}
}

func TestAPausedRedisAnswersLater(t *testing.T) {
	r := Redis(t)
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := r.Do(t.Context(), "PING")
		answered <- err
	}()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.Do(short, "PING"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused server gave %v", err)
	}
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("a server that goes on gave %v", err)
	}
	if err := r.Pause(); err != nil { // Stop ends it all the same
		t.Fatal(err)
	}
}

func TestCommandsAreCountedInScriptsTooAndConnectionsApart(t *testing.T) {
	r := Redis(t)
	for _, command := range [][]string{{"SET", "a", "1"}, {"EVAL", "return redis.call('GET', KEYS[1])", "1", "a"}, {"HELLO", "2"}, {"CLIENT", "ID"}, {"CONFIG", "GET", "port"}} {
		if _, err := r.Do(t.Context(), command...); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second sees the INFO of the first
		got, err := r.Commands(t.Context())
		if want := "map[config|get:1 eval:1 get:1 set:1]"; err != nil || fmt.Sprint(got) != want {
			t.Errorf("got %v, %v; want %s", got, err, want)
		}
	}
	if _, err := r.Do(t.Context(), "NONSENSE"); err == nil || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("a command that is none gave %v", err)
	}
}

func TestAPortThatIsLostToAnotherIsReplaced(t *testing.T) {
	taken, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	path, err := program("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	r := &RedisServer{path: path, dir: t.TempDir()}
	tries := 0
	err = onFreePort(func(port int) error {
		if tries++; tries == 1 {
			port = taken.Addr().(*net.TCPAddr).Port
		}
		r.port = port
		return r.launch(t.Context())
	})
	if err != nil || tries != 2 {
		t.Fatalf("%d tries, %v; want 2", tries, err)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	_, err := StartRedis(t.Context(), t.TempDir(), "--maxmemory", "nonsense")
	if err == nil || !strings.Contains(err.Error(), "ended before it was ready") || !strings.Contains(err.Error(), "maxmemory") {
		t.Errorf("StartRedis gave %v", err)
	}
}

func TestAMissingProgramIsAFailureWithItsRemedy(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := StartRedis(t.Context(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "scripts/need redis-server") {
		t.Errorf("StartRedis gave %v", err)
	}
}

func TestValkeyDoesForRedis(t *testing.T) {
	real, err := program("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(real, filepath.Join(dir, "valkey-server")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got, err := program("redis-server"); err != nil || got != filepath.Join(dir, "valkey-server") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestASentinelMovesTheMasterThereAndBack(t *testing.T) {
	s := RedisSentinel(t)
	for _, next := range []*RedisServer{s.Replica, s.Master} {
		if err := s.Failover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := next.Do(t.Context(), "SET", "a", "b"); err != nil {
			t.Errorf("the new master gave %v", err)
		}
	}
}

func TestAClusterServesAllSlots(t *testing.T) {
	c := Cluster(t)
	if len(c.Addrs()) != clusterNodes {
		t.Errorf("addresses are %q", c.Addrs())
	}
	for i, node := range c.Nodes {
		got, err := node.Do(t.Context(), "CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(i*slots/clusterNodes))
		if err != nil || got != "0" {
			t.Errorf("node %d gave %q, %v", i, got, err)
		}
		info, err := node.Do(t.Context(), "CLUSTER", "INFO")
		if want := fmt.Sprintf("cluster_slots_ok:%d", slots); err != nil || !strings.Contains(info, want) {
			t.Errorf("node %d says %q, %v; want %s", i, info, err, want)
		}
	}
}

func TestAPostgresStartsWithItsSettings(t *testing.T) {
	p := Postgres(t, "shared_preload_libraries=pg_stat_statements")
	conn, err := net.Dial("tcp", address(p.port))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if want := fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", p.port); p.DSN() != want {
		t.Errorf("DSN is %q, want %q", p.DSN(), want)
	}
	words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid))
	if err != nil || !strings.Contains(string(words), "shared_preload_libraries=pg_stat_statements") {
		t.Errorf("it was started as %q, %v", words, err)
	}
	if _, err := StartPostgres(t.Context(), t.TempDir(), "nonsense=1"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("StartPostgres gave %v for a setting that is none", err)
	}
}

func TestAnswersOfTheProtocolAreRead(t *testing.T) {
	for _, row := range []struct{ wire, want, err string }{
		{"+OK\r\n", "OK", ""}, {":7\r\n", "7", ""}, {"$3\r\na\nb\r\n", "a\nb", ""}, {"$-1\r\n", "", ""}, {"*2\r\n+a\r\n*1\r\n:1\r\n", "a\n1", ""}, {"*-1\r\n", "", ""},
		{"-ERR no\r\n", "", "ERR no"}, {"$x\r\n", "", "length of a text"}, {"*x\r\n", "", "length of an array"}, {"?\r\n", "", "unknown kind"}, {"\r\n", "", "empty line"}, {"$5\r\nab", "", "EOF"},
	} {
		got, err := readAnswer(bufio.NewReader(strings.NewReader(row.wire)))
		if got != row.want || (err == nil) != (row.err == "") || err != nil && !strings.Contains(err.Error(), row.err) {
			t.Errorf("%q was read as %q, %v; want %q, %q", row.wire, got, err, row.want, row.err)
		}
	}
}
