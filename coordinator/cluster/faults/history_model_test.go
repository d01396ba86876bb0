package faults_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// The origin changes to version 2 at 10, the invalidation is asked for at 12 and
// acknowledged at 20; each version is computed at once.
func oneWrite(more ...op) *history {
	return &history{key: "k", ops: append([]op{
		{kind: opCompute, version: 1, call: 1, ret: 2},
		{kind: opChange, version: 2, call: 10, ret: 11},
		{kind: opCompute, version: 2, call: 13, ret: 15},
		{kind: opSettle, version: 2, call: 12, ret: 20},
	}, more...)}
}

func TestTheRegisterAllowsBothVersionsWhileOneIsWrittenAndThenTheNewOne(t *testing.T) {
	read := func(version int, call, ret faults.Instant) op {
		return op{kind: opRead, version: version, call: call, ret: ret}
	}
	for _, row := range []struct {
		name  string
		reads []op
		want  porcupine.CheckResult
		stale int
	}{
		{"the old one before", []op{read(1, 3, 4)}, porcupine.Ok, 0},
		{"a version that nobody has computed yet", []op{read(1, 0, 0)}, porcupine.Illegal, 0},
		{"the old one, asked for before the acknowledgement", []op{read(1, 19, 90)}, porcupine.Ok, 0},
		{"the old one, asked for as it came", []op{read(1, 20, 21)}, porcupine.Ok, 0},
		{"the old one, asked for after it", []op{read(1, 21, 22)}, porcupine.Illegal, 1},
		{"the new one before the acknowledgement", []op{read(2, 14, 16)}, porcupine.Ok, 0},
		{"the new one before the origin has it", []op{read(2, 3, 9)}, porcupine.Illegal, 0},
		{"the new one and then the old one, while it is written", []op{read(2, 14, 16), read(1, 17, 18)}, porcupine.Ok, 0},
		{"the new one after", []op{read(2, 21, 22)}, porcupine.Ok, 0},
	} {
		h := oneWrite(row.reads...)
		if got := h.linearizable(); got != row.want {
			t.Errorf("%s: Porcupine says %s, want %s", row.name, got, row.want)
		}
		if got := len(h.stale()); got != row.stale {
			t.Errorf("%s: %d stale reads, want %d", row.name, got, row.stale)
		}
	}
}

// A write without an acknowledgement binds nobody, and its version is given.
func TestAWriteWhoseOutcomeIsUnknownAllowsBothVersionsForEver(t *testing.T) {
	h := &history{key: "k", ops: []op{
		{kind: opCompute, version: 1, call: 1, ret: 2},
		{kind: opChange, version: 2, call: 10, ret: 11},
		{kind: opCompute, version: 2, call: 12, ret: 13},
		{kind: opRead, version: 2, call: 14, ret: 15},
		{kind: opRead, version: 1, call: 1000, ret: 1001},
	}}
	if got := h.linearizable(); got != porcupine.Ok || len(h.stale()) != 0 {
		t.Fatalf("Porcupine says %s, and %v", got, h.stale())
	}
}

// Histories by chance, of a register that sometimes forgets to look at its floor:
// what is looked for directly and what Porcupine finds are the same.
func TestPorcupineAndTheDirectSearchAgree(t *testing.T) {
	found := 0
	for seed := range uint64(400) {
		h := randomHistory(rand.New(rand.NewPCG(seed, 0)))
		stale, result := h.stale(), h.linearizable()
		if (len(stale) == 0) != (result == porcupine.Ok) {
			t.Fatalf("seed %d: Porcupine says %s, and stale are %v", seed, result, stale)
		}
		if len(stale) > 0 {
			found++
			if shown := h.around(stale[0]); shown.linearizable() != porcupine.Illegal {
				t.Fatalf("seed %d: what would be shown breaks no rule", seed)
			}
		}
	}
	if found < 50 || found > 350 {
		t.Fatalf("%d of 400 histories have a stale read: too few or too many to tell anything", found)
	}
}

// randomHistory is 60 operations. Each write is computed as soon as it is made,
// and each read is given a version between the floor when it began, or one less
// by mistake, and the newest when it ended.
func randomHistory(r *rand.Rand) *history {
	h := &history{key: "k", ops: []op{{kind: opCompute, version: 1, call: 0, ret: 0}}}
	newest, at := 1, faults.Instant(0)
	var settled []op
	for range 60 {
		at += faults.Instant(1 + r.IntN(10))
		if r.IntN(6) == 0 {
			newest++
			h.ops = append(h.ops,
				op{kind: opChange, version: newest, call: at, ret: at + 1},
				op{kind: opCompute, version: newest, call: at + 2, ret: at + 3})
			s := op{kind: opSettle, version: newest, call: at + 2, ret: at + 4 + faults.Instant(r.IntN(40))}
			settled = append(settled, s)
			h.ops = append(h.ops, s)
			at += 4
			continue
		}
		floor := 1
		for _, s := range settled {
			if s.ret < at {
				floor = max(floor, s.version)
			}
		}
		if r.IntN(40) == 0 {
			floor = max(1, floor-1)
		}
		h.ops = append(h.ops, op{kind: opRead, version: floor + r.IntN(newest-floor+1), call: at, ret: at + faults.Instant(r.IntN(30))})
	}
	return h
}

func TestAFailingHistoryIsWrittenAsAPictureAndATranscript(t *testing.T) {
	h := oneWrite(op{kind: opRead, version: 1, node: "b", call: 30, ret: 31})
	dir, result, err := h.show(h.stale()[0])
	defer os.RemoveAll(dir)
	if err != nil || result != porcupine.Illegal {
		t.Fatalf("Porcupine says %s; %v", result, err)
	}
	for file, want := range map[string]string{"history.html": "invalidate below v2", "transcript.txt": `read v1 #0 at node b, asked for 10ns after "invalidate below v2" was acknowledged`} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s is %v and has no %q:\n%.2000s", file, err, want, text)
		}
	}
}
