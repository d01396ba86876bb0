package etcd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestADataDirectoryIsOneProcesssAndKeepsItsName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	unlock, id, err := LockDir(dir)
	if err != nil || len(id) != 26 {
		t.Fatalf("LockDir of a new directory: got id %q, %v", id, err)
	}
	if _, _, err := LockDir(dir); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Fatalf("LockDir of one that is locked: got %v", err)
	}
	unlock()
	unlock, again, err := LockDir(dir)
	if err != nil || again != id {
		t.Fatalf("LockDir after unlock: got id %q, %v, want %q", again, err, id)
	}
	unlock()
	unlock, other, err := LockDir(t.TempDir())
	if err != nil || other == id {
		t.Fatalf("LockDir of another: got id %q, %v, want another id", other, err)
	}
	unlock()
}

func TestAnIdThatWasCutShortIsReplaced(t *testing.T) {
	for _, found := range []string{"", "ABC", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", strings.Repeat("A", 100)} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, lockFile), []byte(found), 0o600); err != nil {
			t.Fatal(err)
		}
		unlock, id, err := LockDir(dir)
		if err != nil || id == found || len(id) != 26 {
			t.Errorf("LockDir where %q was found: got id %q, %v", found, id, err)
		}
		unlock()
		if unlock, again, err := LockDir(dir); err != nil || again != id {
			t.Errorf("LockDir again: got id %q, %v, want %q", again, err, id)
		} else {
			unlock()
		}
	}
}

// A process that is killed frees its directory: that is the proof of its death.
func TestTheLockGoesWithItsProcess(t *testing.T) {
	dir := t.TempDir()
	unlock, _, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	holder := exec.Command("flock", "--exclusive", "--no-fork", filepath.Join(dir, lockFile), "cat")
	in, _ := holder.StdinPipe()
	out, _ := holder.StdoutPipe()
	if err := holder.Start(); err != nil {
		t.Skipf("no flock command: %v", err)
	}
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it holds the lock
		t.Fatal(err)
	}
	if _, _, err := LockDir(dir); err == nil {
		t.Fatal("LockDir while another process holds it: want an error")
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	unlock, _, err = LockDir(dir)
	if err != nil {
		t.Fatalf("LockDir after its process was killed: %v", err)
	}
	unlock()
}

func TestADirectoryThatCannotBeUsedIsNamedWithARemedy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := LockDir(file)
	if err == nil || !strings.Contains(err.Error(), "is not a directory: name another (--cluster.dir)") {
		t.Errorf("LockDir of a file: got %v", err)
	}
}
