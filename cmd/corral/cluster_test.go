package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClusterCommandsShowWhatANodeAnswers(t *testing.T) {
	answers := map[string]string{
		"/cluster/status": `{"cluster":"U","node":"a","standing":true,"lease_ms":1500,"lease_least_ms":1400,"behind":2,"heard_ms":70,"unacknowledged":6,"certificate_ends":"2027-01-02T03:04:05Z","revision":9,"epoch":4,"partitions":8,"owned":5,
			"nodes":[{"name":"a","incarnation":2,"state":"live","address":"h:1","weight":1,"owned":5,"seen_ms":200},
			{"name":"b","incarnation":1,"state":"draining","address":"h:2","weight":1,"owned":3,"stream":true,"seen_ms":90}],"counts":{"holder_lost":3}}`,
		"/cluster/table": `{"node":"a","standing":true,"epoch":4,"partitions":[{"owner":"a"},{"owner":"a"},{"owner":"b"},{"owner":"a"},{"owner":""}]}`,
		"/cluster/partitions?key=http%3A%2F%2Fw%2F%3Fa":  `{"node":"a","standing":true,"key":"GET http://w/?a","partition":7,"owner":"b","incarnation":2,"generation":3}`,
		"/cluster/partitions?key=k":                      `{"node":"a","standing":true,"key":"k","partition":7,"owner":"a","incarnation":2,"generation":3}`,
		"/cluster/partitions?key=busy":                   `{"node":"a","standing":true,"key":"busy","owner":"a","load":{"holder":"c","waiters":12,"adopted":true}}`,
		"/cluster/partitions?key=lapsed":                 `{"node":"a","standing":false,"key":"lapsed","owner":"b"}`,
		"/cluster/partitions?key=http%3A%2F%2Fnobody%2F": `{"node":"a","standing":true,"key":"GET k","owner":""}`,
		"/cluster/members": `{"node":"a","standing":true,"nodes":[{"name":"a","incarnation":2,"state":"live","owned":5}],"etcd":[
			{"name":"h:1","peer":"h:2380","client":"h:2379","role":"leader","version":"3.7.1","bytes":3145728,"took_ms":3,"alarms":["NOSPACE"]},
			{"name":"h:2","peer":"i:2380","client":"i:2379","role":"unreachable","cause":"connection refused"}]}`,
	}
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":["send the token"]}`)
			return
		}
		fmt.Fprint(w, answers[r.RequestURI])
	}))
	defer admin.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	with := []string{"--admin", admin.URL, "--token-file", token}
	for _, row := range []struct {
		args []string
		code int
		want []string
	}{
		{append([]string{"status"}, with...), 0, []string{"U, seen by node a", "for 1.5s more; 1.4s at least", "2 revisions behind, heard of any 70ms ago", "5 of 8",
			"6 not acknowledged yet", "certificate until 2027-01-02T03:04:05Z", "a/2   live      itself  200ms ago", "b/1   draining  open    90ms ago", "holder_lost           3"}},
		{append([]string{"members"}, with...), 0, []string{"a/2   live", "h:1   leader       3ms          3.0MiB  3.7.1    h:2380       h:2379", "h:2   unreachable  -            -       -        i:2380       i:2379",
			"h:1 raises NOSPACE", "h:2: connection refused"}},
		{append([]string{"table"}, with...), 0, []string{"table 4 with 5 partitions", "a       3     60.0%  0-1, 3", "b       1     20.0%  2", "nobody  1     20.0%  4"}},
		{append([]string{"partitions", "http://w/?a"}, with...), 0, []string{"key        GET http://w/?a\npartition  7, generation 3\nowner      b/2, seen by node a\nload       not known at node a: ask the owner\n"}},
		{[]string{"partitions", "http://w/?a", "--admin", admin.Listener.Addr().String(), "--token-file", token}, 0, []string{"b/2"}},
		{append([]string{"partitions", "k"}, with...), 0, []string{"load       none"}},
		{append([]string{"partitions", "busy"}, with...), 0, []string{"load       by c, 12 callers wait, granted by an earlier owner"}},
		{append([]string{"partitions", "lapsed"}, with...), 1, []string{"owner      b/0", "node a has no lease"}},
		{append([]string{"partitions", "http://nobody/"}, with...), 1, []string{`nobody owns "GET k"`}},
		{append([]string{"status", "--json"}, with...), 0, []string{`{"cluster":"U",`}},
		{[]string{"status", "--admin", admin.URL}, 1, []string{"401 Unauthorized: send the token"}},
		{[]string{"status", "--admin", admin.URL, "--ca", token}, 1, []string{"there is no certificate in it"}},
		{[]string{"table", "--admin", "http://127.0.0.1:1"}, 1, []string{"ask http://127.0.0.1:1/cluster/table"}},
		{[]string{"partitions"}, 2, []string{"<key>"}},
		{[]string{"drain"}, 2, []string{"<node>"}},
	} {
		code, out, errs := corral(t, append([]string{"cluster"}, row.args...)...)
		for _, want := range row.want {
			if code != row.code || !strings.Contains(out+errs, want) {
				t.Errorf("corral cluster %v: exit code %d, %s%s; want %d and %q", row.args, code, out, errs, row.code, want)
			}
		}
	}
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestServeIsANodeOfAClusterUntilItsContextEnds(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "mug") }))
	defer origin.Close()
	address := freeAddress(t)
	d := serveInBackground(t, "--origin", origin.URL, "--node.name", "solo",
		"--cluster.listen", address, "--cluster.peers", address, "--cluster.dir", t.TempDir(), "--cluster.new", "on")
	for path, want := range map[string]string{"/readyz": "ready", "/metrics": `corral_cluster_owned_partitions{node="solo"} 1024`} {
		response, err := http.Get(d.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s = %s, %v; want %s", path, text, err, want)
		}
		response.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	for command, want := range map[string]string{"status": "seen by node solo", "members": "leader", "table": "solo   1024  100.0%  0-1023"} {
		if code, out, errs := corral(t, "cluster", command, "--admin", d.admin); code != exitOK || !strings.Contains(out, want) {
			t.Errorf("cluster %s: %d, %s%s; want %s", command, code, out, errs, want)
		}
	}
	if code, out, errs := corral(t, "cluster", "partitions", d.url+"/mug", "--admin", d.admin); code != exitOK || !strings.Contains(out, "solo/1") {
		t.Errorf("cluster partitions: %d, %s%s; want solo", code, out, errs)
	}
	if code, out, errs := corral(t, "cluster", "drain", "solo", "--admin", d.admin); code != exitFailed || !strings.Contains(errs, "409 Conflict") {
		t.Errorf("drain of the only node: %d, %s%s; want a refusal", code, out, errs)
	}
	d.cancel()
	if code := <-d.code; code != exitOK {
		t.Errorf("exit code = %d, want %d", code, exitOK)
	}
}

func TestServeCanBeStoppedWhileItLooksForItsCluster(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	log, logs := io.Pipe()
	code := make(chan int, 1)
	peers := []string{freeAddress(t), freeAddress(t), freeAddress(t)} // of which one is there
	go func() {
		code <- run(ctx, []string{"serve", "--origin", "http://127.0.0.1:9000", "--listen=127.0.0.1:0", "--admin.listen=127.0.0.1:0",
			"--cluster.listen", peers[0], "--cluster.peers", strings.Join(peers, ","), "--cluster.dir", t.TempDir(), "--cluster.new", "on"}, io.Discard, logs)
		logs.Close()
	}()
	lines := bufio.NewScanner(log)
	for lines.Scan() && !strings.Contains(lines.Text(), "joining the cluster") {
	}
	go io.Copy(io.Discard, log)
	cancel()
	if got := <-code; got != exitOK {
		t.Errorf("exit code = %d, want %d", got, exitOK)
	}
}

func TestServeNamesWhatKeepsItFromJoining(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	code, _, errs := corral(t, "serve", "--origin", "http://127.0.0.1:9000", "--cluster.listen", address, "--cluster.peers", address,
		"--cluster.dir", t.TempDir(), "--log.level=error", "--listen=127.0.0.1:0", "--admin.listen=127.0.0.1:0")
	if code != exitFailed || !strings.Contains(errs, fmt.Sprintf("cluster: Config.Listen is %q", address)) {
		t.Errorf("a port in use: %d, %s", code, errs)
	}
}

func TestRangesOfPartitions(t *testing.T) {
	for _, row := range []struct {
		numbers []int
		want    string
	}{
		{nil, ""},
		{[]int{4}, "4"},
		{[]int{0, 1, 2}, "0-2"},
		{[]int{0, 2, 3, 5}, "0, 2-3, 5"},
		{[]int{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22}, "0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22"},
		{[]int{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24}, "0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, …"},
	} {
		if got := ranges(row.numbers); got != row.want {
			t.Errorf("ranges(%v) = %s, want %s", row.numbers, got, row.want)
		}
	}
}
