package faults_test

import (
	"syscall"
	"testing"
	"time"
)

// T1, T2 and T3, at nodes that all stand still for longer than their leases last, of
// which the round knows nothing.
func TestARoundThatTheMachineHasSpoiltIsMadeAgainUnlessSomethingStaleWasGiven(t *testing.T) {
	c := start(t, 3, onLoopback)
	r := newReport(t, "void rounds")
	told := &trial{TB: t} // what a test would be
	c.t, r.t = told, told
	defer func() { c.t, r.t = t, t }()
	lapses := func() (all uint64) {
		for _, n := range c.nodes {
			all += n.look().Lapses
		}
		return all
	}
	spoil := func() {
		before := lapses()
		for _, n := range c.nodes {
			_ = n.cmd.Process.Signal(syscall.SIGSTOP)
		}
		time.Sleep(lease + 500*time.Millisecond)
		for _, n := range c.nodes {
			_ = n.cmd.Process.Signal(syscall.SIGCONT)
		}
		await(t, "a lapse", func() bool { return lapses() > before })
	}
	wants := func(what string, rounds, wantRounds, wantTold int) {
		t.Helper()
		if rounds != wantRounds || len(told.findings) != wantTold {
			t.Errorf("%s: %d rounds, and the test was told %q; want %d rounds and to be told %d", what, rounds, told.findings, wantRounds, wantTold)
		}
		told.findings = nil
		c.awaitWhole()
	}

	rounds := 0
	c.trials(r, 1, func(t testing.TB, round int) {
		if rounds++; round == 0 {
			spoil()
			t.Errorf("an error")
		}
	})
	if r.void != 1 {
		t.Errorf("%d rounds were void, want 1", r.void)
	}
	wants("an error in a spoilt round", rounds, 2, 0)

	rounds = 0
	c.trials(r, 1, func(t testing.TB, _ int) {
		rounds++
		spoil()
		gravely(t, "something stale")
	})
	wants("something stale in a spoilt round", rounds, 1, 1)

	rounds = 0
	c.trials(r, 1, func(t testing.TB, _ int) {
		rounds++
		t.Errorf("an error")
	})
	wants("an error in a sound round", rounds, 1, 1)

	rounds = 0
	c.trials(r, 1, func(t testing.TB, _ int) {
		rounds++
		spoil()
		t.Errorf("an error")
	})
	wants("no round that counts", rounds, 4, 1)
}
