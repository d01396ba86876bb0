package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestSeedsThatHoldAreCounted(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"-seeds", "20"}, &out, &errs); code != 0 || !strings.HasPrefix(out.String(), "0 failures in 20 seeds") {
		t.Errorf("run -seeds 20 = %d, prints\n%s%s", code, &out, &errs)
	}
}

func TestASeedIsReplayedAsATranscript(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"-seed", "3"}, &out, &errs); code != 0 || !strings.HasPrefix(out.String(), "seed 3 (") || !strings.Contains(out.String(), "  a        starts as a/1\n") {
		t.Errorf("run -seed 3 = %d, prints\n%.500s%s", code, &out, &errs)
	}
}

func TestARuleThatIsNotThereIsRefusedWithTheOnesThatAre(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"-break", "gravity"}, &out, &errs); code != 2 || !strings.Contains(errs.String(), `"gravity": name one of`) || !strings.Contains(errs.String(), "  no tombstone\n") {
		t.Errorf("run -break gravity = %d, says\n%s", code, &errs)
	}
}
