package corraltest

import "testing"

// A Weakness is a promise of a contract that an implementation does not make,
// by its nature. A suite that is told of it runs everything else, and the
// implementation's documentation says what it costs. One that is not told of it
// fails.
type Weakness uint8

const (
	// TakesLatePuts, of a store: a record that is put after a Delete which
	// concerns it, with a lower revision, is there. That it does not come to
	// that is the writer's part, who checks after it has written.
	TakesLatePuts Weakness = iota
	// TakesLatePutsReopened, of a store: it is so for what was deleted before it
	// was opened again. Whoever wrote to it before has ended with its process.
	TakesLatePutsReopened
	// TwoLeases, of a coordinator: two that ask at the same time may both be
	// granted a lease of a key, also when they are to succeed the same holder.
	TwoLeases
	// Unfenced, of a coordinator: what is filled after its lease has gone on to
	// another is taken.
	Unfenced
	// Unheard, of a coordinator: other processes are not told of an
	// invalidation, and each counts revisions of its own. Invalidate returns nil
	// all the same.
	Unheard
	// KeysOnly, of a coordinator: Invalidate of prefixes, tags or everything
	// comes to an error.
	KeysOnly
	// KeepsLateFills, of a coordinator: what was begun before an invalidation and
	// is filled after it is kept, and given to who asks later.
	KeepsLateFills
	// NeverUnwanted, of a coordinator: it does not know who waits, and tells a
	// holder that leaves nothing. The load goes on to its end.
	NeverUnwanted
	// NeverLapsed, of a coordinator: it is no Keeper, and no process ever asks
	// with Lapsed set.
	NeverLapsed
)

func (w Weakness) String() string {
	return [...]string{
		"it takes late puts", "it takes late puts once it is opened again", "it may grant two leases", "it does not fence late holders", "others do not hear of invalidations",
		"it invalidates by key only", "it keeps late fills", "it never tells who leaves", "its processes never lapse",
	}[w]
}

// Weak names what an implementation does not promise. The cases that hold it to
// that are skipped, with the weakness as the reason, or ask for less.
func Weak(weaknesses ...Weakness) Option {
	return func(s *suite) {
		for _, w := range weaknesses {
			s.weak |= 1 << w
		}
	}
}

func (s suite) is(w Weakness) bool { return s.weak&(1<<w) != 0 }

// unless skips a case for an implementation that has one of the weaknesses.
func (s suite) unless(t *testing.T, weaknesses ...Weakness) {
	t.Helper()
	for _, w := range weaknesses {
		if s.is(w) {
			t.Skip("weak: ", w)
		}
	}
}
