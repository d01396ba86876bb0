package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/corralcache/corral/coordinator/cluster"
)

func certsOf(dir, node string) cluster.TLSFiles {
	return cluster.TLSFiles{Cert: filepath.Join(dir, node+".pem"), Key: filepath.Join(dir, node+"-key.pem"), CA: filepath.Join(dir, "ca.pem")}
}

func TestCertsAreMadeForTheHostsThatAreNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	code, out, errs := corral(t, "cluster", "certs", "--dir", dir, "a=10.0.0.1,a.example", "b")
	if code != exitOK || errs != "" {
		t.Fatalf("certs: %d, %s", code, errs)
	}
	for _, want := range []string{"node a, at 10.0.0.1, a.example", "--cluster.tls-cert " + certsOf(dir, "a").Cert + " --cluster.tls-key " + certsOf(dir, "a").Key + " --cluster.tls-ca " + certsOf(dir, "a").CA, "for tests"} {
		if !strings.Contains(out, want) {
			t.Errorf("certs printed %s; want %q in it", out, want)
		}
	}
	if problems := certsOf(dir, "a").Check("10.0.0.1", "a.example"); len(problems) > 0 {
		t.Errorf("a: %v", problems)
	}
	if problems := certsOf(dir, "b").Check("b", "localhost", "127.0.0.1", "::1"); len(problems) > 0 {
		t.Errorf("b: %v", problems)
	}
	if problems := certsOf(dir, "a").Check("b"); len(problems) != 1 {
		t.Errorf("a is for b: %v", problems)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 6 {
		t.Errorf("files: %v, %v", files, err)
	}
	for _, path := range files {
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v; want it to be its owner's alone", path, info.Mode(), err)
		}
	}
	if code, out, _ := corral(t, "cluster", "certs", "--dir", dir, "--validity", "1000000h", "c"); code != exitOK || !strings.Contains(out, "was there") {
		t.Errorf("certs once more: %d, %s", code, out)
	}
	if problems := certsOf(dir, "c").Check("c"); len(problems) > 0 {
		t.Errorf("c, of the same authority: %v", problems)
	}
}

func TestCertsWritesOverNothingAndNamesEveryMistake(t *testing.T) {
	dir := t.TempDir()
	if code, _, errs := corral(t, "cluster", "certs", "--dir", dir, "a"); code != exitOK {
		t.Fatal(errs)
	}
	before := contentsOf(t, dir)
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "ca.pem"), []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		args []string
		want []string
	}{
		{[]string{"--dir", dir, "a"}, []string{"a.pem is there, and is not written over", "a-key.pem is there"}},
		{[]string{"--dir", dir, "new", "a"}, []string{"a.pem is there"}},
		{[]string{"--dir", dir, "d", "d"}, []string{"d.pem is the file of another"}},
		{[]string{"--dir", dir, "ca"}, []string{"ca.pem is the file of another"}},
		{[]string{"--dir", dir, "e", "e-key"}, []string{"e-key.pem is the file of another"}},
		{[]string{"--dir", dir, "../d=x", "d d", ""}, []string{`node "../d"`, `node "d d"`, `node ""`}},
		{[]string{"--dir", dir, "d=10.0.0.1:7070,,x..y,-x,ü"}, []string{`"10.0.0.1:7070" is no host`, `"" is no host`, `"x..y"`, `"-x"`, `"ü"`}},
		{[]string{"--dir", dir, "--validity=-1h", "d"}, []string{"--validity is -1h0m0s"}},
		{[]string{"--dir", broken, "a"}, []string{"ca-key.pem", "go together"}},
	} {
		code, _, errs := corral(t, append([]string{"cluster", "certs"}, row.args...)...)
		if code != exitFailed {
			t.Errorf("%v: exit code %d", row.args, code)
		}
		for _, want := range row.want {
			if !strings.Contains(errs, want) {
				t.Errorf("%v: said %s; want %q", row.args, errs, want)
			}
		}
		if after := contentsOf(t, dir); after != before {
			t.Errorf("%v: the directory was %s and is %s", row.args, before, after)
		}
	}
	if code, _, errs := corral(t, "cluster", "certs", "a"); code != exitUsage || !strings.Contains(errs, "--dir") {
		t.Errorf("without a directory: %d, %s", code, errs)
	}
}

func contentsOf(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(path + "\n" + string(text))
	}
	return all.String()
}

func TestAClusterRunsWithTheCertsThatWereMade(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "mug")
	}))
	defer origin.Close()
	dir, names := t.TempDir(), []string{"a", "b", "c"}
	if code, _, errs := corral(t, append([]string{"cluster", "certs", "--dir", dir}, names...)...); code != exitOK {
		t.Fatal(errs)
	}
	addresses := []string{freeAddress(t), freeAddress(t), freeAddress(t)}
	nodes := make([]*daemon, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		files := certsOf(dir, name)
		args := []string{"--origin", origin.URL, "--node.name", name, "--cluster.listen", addresses[i], "--cluster.peers", strings.Join(addresses, ","),
			"--cluster.dir", t.TempDir(), "--cluster.new", "on", "--cluster.tls-cert", files.Cert, "--cluster.tls-key", files.Key, "--cluster.tls-ca", files.CA}
		all.Go(func() { nodes[i] = serveInBackground(t, args...) })
	}
	all.Wait()
	if t.Failed() {
		return
	}
	for i, d := range nodes {
		response, err := http.Get(d.url + "/mug")
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(response.Body); err != nil || string(text) != "mug" {
			t.Errorf("node %s: %s, %v", names[i], text, err)
		}
		response.Body.Close()
	}
	if code, out, errs := corral(t, "cluster", "members", "--admin", nodes[0].admin); code != exitOK || strings.Count(out, "follower") != 2 {
		t.Errorf("members: %d, %s%s; want two that follow", code, out, errs)
	}
	http.DefaultClient.CloseIdleConnections()
	for _, d := range nodes {
		d.cancel() // the last of them without a majority
	}
	for _, d := range nodes {
		<-d.code
	}
}
