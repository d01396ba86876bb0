package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/corralcache/corral/bench/internal/child"
)

func TestMain(m *testing.M) {
	if child.Role() != "" {
		os.Exit(serveChild(os.Stderr))
	}
	os.Exit(m.Run())
}

func TestASmokeRunOfEveryRowHoldsWhatIsAsserted(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for half a minute")
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-quick"}, &out); err != nil {
		t.Fatalf("cluster -quick: %v, want nil. It printed:\n%s", err, &out)
	}
	for _, r := range rows {
		if !strings.Contains(out.String(), "\n"+r.Name+": ") {
			t.Errorf("row %s is missing from what was printed:\n%s", r.Name, &out)
		}
	}
}

func TestARowThatDoesNotExistIsRefusedWithTheNamesOfThoseThatDo(t *testing.T) {
	err := run(t.Context(), []string{"-rows", "one,apache"}, new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), `-rows "apache"`) || !strings.Contains(err.Error(), "stampede") {
		t.Errorf("run -rows one,apache = %v, want an error that names it and those that exist", err)
	}
}

func TestABatchOfTheBareStreamIsReadAsItWasWrittenAndNoFurther(t *testing.T) {
	var batch []byte
	for i, text := range []string{"", "a", strings.Repeat("b", 300)} {
		batch = appendEntry(batch, uint64(i*1000), []byte(text))
	}
	var read []string
	if err := entries(batch, func(_ uint64, data []byte) { read = append(read, string(data)) }); err != nil || strings.Join(read, "") != "a"+strings.Repeat("b", 300) {
		t.Fatalf("entries gave %q, %v", read, err)
	}
	for n := range batch {
		if err := entries(batch[:n], func(uint64, []byte) {}); err == nil && n != 0 && n != 2 && n != 6 {
			t.Errorf("%d of %d bytes of a batch were read without an error", n, len(batch))
		}
	}
}

func FuzzABatchOfAnyBytesIsReadWithoutPanic(f *testing.F) {
	f.Add(appendEntry(nil, 1, []byte("key")))
	f.Fuzz(func(t *testing.T, batch []byte) {
		size := 0
		if err := entries(batch, func(_ uint64, data []byte) { size += len(data) }); err == nil && size > len(batch) {
			t.Errorf("%d bytes were read of a batch of %d", size, len(batch))
		}
	})
}
