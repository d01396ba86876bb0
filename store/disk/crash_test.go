package disk

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// childDir names the directory in which a process of this test's own program
// writes until it is killed.
const childDir = "CORRAL_DISK_CHILD"

// childPuts is how much it puts at once and then waits; "" for going on.
const childPuts = "CORRAL_DISK_CHILD_PUTS"

const (
	crashKeys   = 24
	crashKills  = 200
	crashBody   = BodyThreshold + 1000
	crashPrompt = "told" // and a key and a revision: that Delete has returned
)

// crashValue is what a key has at a revision; it names both.
func crashValue(key string, revision uint64) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%s@%d ", key, revision), 20)
}

func crashText(key string, revision uint64) []byte {
	text := bytes.Repeat(crashValue(key, revision), crashBody/len(crashValue(key, revision))+1)
	return text[:crashBody]
}

func crashKey(i int) string { return fmt.Sprint("k", i) }

// child writes, replaces and invalidates, and says on its standard output what
// has been invalidated.
func child(dir, puts string) int {
	s, err := Open(options(dir))
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	ctx := context.Background()
	if n, _ := strconv.Atoi(puts); n > 0 {
		for i := range n {
			s.Put(ctx, crashKey(i), &corral.Record{Value: crashValue(crashKey(i), 0), BodySize: -1, TTL: time.Hour})
		}
		fmt.Println(crashPrompt, n, 0)
		select {}
	}
	revision, _ := s.Revision(ctx)
	for {
		key := crashKey(rand.IntN(crashKeys))
		r := &corral.Record{Value: crashValue(key, revision), BodySize: -1, Revision: revision, TTL: time.Hour, Tags: []string{"t" + key}}
		if key[len(key)-1] == '7' {
			r.Body = io.NopCloser(bytes.NewReader(crashText(key, revision)))
		}
		if err := s.Put(ctx, key, r); err != nil {
			fmt.Println("error", err)
			return 1
		}
		if rand.IntN(8) > 0 {
			continue
		}
		revision++
		inv := corral.Invalidation{Revision: revision, Target: corral.Target{Keys: []string{key}}}
		if revision%2 == 0 {
			inv.Target = corral.Target{Tags: []string{"t" + key}}
		}
		if err := s.Delete(ctx, inv); err != nil {
			fmt.Println("error", err)
			return 1
		}
		fmt.Println(crashPrompt, key, revision)
	}
}

// A process is killed while it writes, again and again, and what it leaves is
// looked at each time: every record is whole and its key's own, and none is older
// than what the process said it had invalidated.
func TestNothingIsCorruptOrInvalidAfterKill9(t *testing.T) {
	plainly(t)
	dir := t.TempDir()
	told := map[string]uint64{}
	records := 0
	for kill := range crashKills {
		crash(t, dir, told, time.Duration(rand.IntN(25))*time.Millisecond)
		records += checkCrashed(t, dir, told)
		if t.Failed() {
			t.Fatalf("after kill %d", kill+1)
		}
	}
	if records < crashKills || len(told) < crashKeys/2 {
		t.Errorf("only %d records were seen, and %d keys invalidated", records, len(told))
	}
	t.Logf("%d kills, %d records looked at, %d keys invalidated", crashKills, records, len(told))
}

// The last second is what kill -9 may take, also from who puts little.
func TestFewPutsSurviveKill9AfterASecond(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(childPuts, "3")
	crash(t, dir, map[string]uint64{}, 2*syncEvery)
	if records := checkCrashed(t, dir, nil); records != 3 {
		t.Errorf("%d records are there, want 3", records)
	}
}

// crash runs a child until some time after it has invalidated something, kills
// it, and notes what it had invalidated.
func crash(t *testing.T, dir string, told map[string]uint64, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) != 3 || words[0] != crashPrompt {
			t.Errorf("the child says %q", lines.Text())
			break
		}
		if n == 0 {
			time.AfterFunc(after, func() { cmd.Process.Kill() })
		}
		told[words[1]], _ = strconv.ParseUint(words[2], 10, 64)
	}
	cmd.Process.Kill()
	cmd.Wait()
}

// checkCrashed opens what a child left and looks at everything.
func checkCrashed(t *testing.T, dir string, told map[string]uint64) (records int) {
	t.Helper()
	s, err := Open(options(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range crashKeys {
		key := crashKey(i)
		r, err := s.Get(t.Context(), key)
		if err != nil {
			t.Errorf("Get %q: %v", key, err)
		}
		if r == nil {
			continue
		}
		records++
		if r.Revision < told[key] {
			t.Errorf("%q has revision %d, and was invalidated at %d", key, r.Revision, told[key])
		}
		if !bytes.Equal(r.Value, crashValue(key, r.Revision)) {
			t.Errorf("%q has %.60q", key, r.Value)
		}
		if (r.Body != nil) != (key[len(key)-1] == '7') {
			t.Errorf("%q: a body is there: %v", key, r.Body != nil)
		}
		if r.Body != nil {
			text, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil || !bytes.Equal(text, crashText(key, r.Revision)) {
				t.Errorf("%q has a body of %d bytes, %v", key, len(text), err)
			}
		}
	}
	for found, err := range s.Verify(t.Context()) {
		if err != nil && !os.IsNotExist(err) && !strings.Contains(err.Error(), "no such file") {
			t.Errorf("Verify of %q: %v", found.Key, err)
		}
	}
	if stat, _ := s.Stat(t.Context()); stat.Broken != "" {
		t.Errorf("Stat gave %+v", stat)
	}
	return records
}

// What was invalidated, and acknowledged, is gone after a kill -9, at once.
func TestAnAcknowledgedInvalidationSurvivesKill9(t *testing.T) {
	dir := t.TempDir()
	told := map[string]uint64{}
	crash(t, dir, told, 0)
	if len(told) == 0 {
		t.Fatal("the child has invalidated nothing")
	}
	checkCrashed(t, dir, told)
}
