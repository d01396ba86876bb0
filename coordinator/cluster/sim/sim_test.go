package sim

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// seeds is how many seeds a test runs: CORRAL_SEEDS, or few.
func seeds(t *testing.T) uint64 {
	text, set := os.LookupEnv("CORRAL_SEEDS")
	if !set {
		return 100
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("CORRAL_SEEDS is %q: set a number", text)
	}
	return n
}

func TestNoSeedBreaksARule(t *testing.T) {
	found := Search(0, seeds(t), runtime.GOMAXPROCS(0), func(f Failure) bool {
		t.Errorf("seed %d (%s): %v", f.Seed, f.Theme, f.Violation)
		return true
	})
	t.Logf("%d seeds: %v", found.Seeds, found)
}

func TestAPlanIsOneTranscript(t *testing.T) {
	for seed := range uint64(15) {
		var first, second bytes.Buffer
		Run(NewPlan(seed), &first)
		Run(NewPlan(seed), &second)
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("seed %d: two runs differ, first in\n%s", seed, difference(first.Bytes(), second.Bytes()))
		}
	}
}

// difference is the first line in which two transcripts differ.
func difference(a, b []byte) string {
	x, y := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range min(len(x), len(y)) {
		if !bytes.Equal(x[i], y[i]) {
			return fmt.Sprintf("%s\n%s", x[i], y[i])
		}
	}
	return "their lengths"
}

func TestARunDoesNotDependOnItsTranscript(t *testing.T) {
	for seed := range uint64(10) {
		var out bytes.Buffer
		silent, told := Run(NewPlan(seed), nil), Run(NewPlan(seed), &out)
		if silent.Traffic != told.Traffic {
			t.Errorf("seed %d: %+v without a transcript, %+v with one", seed, silent.Traffic, told.Traffic)
		}
	}
}
