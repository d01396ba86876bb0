package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if inChild() {
		os.Exit(serveChild(os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestASmokeRunOfEveryRowHoldsCorralsAssertions(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for a quarter of a minute")
	}
	args := []string{"-quick", "-rivals", "corral,bare,go-plain", "-corral", os.Getenv("CORRAL_BENCH_HTTP_PROGRAM")}
	var out bytes.Buffer
	if err := run(t.Context(), args, &out); err != nil {
		t.Fatalf("http %s: %v, want nil. It printed:\n%s", args, err, &out)
	}
	for _, r := range rows {
		if !strings.Contains(out.String(), "\n"+r.name+": ") {
			t.Errorf("row %s is missing from what was printed:\n%s", r.name, &out)
		}
	}
}

func TestEveryContenderOfARowExistsAndCorralIsTheFirst(t *testing.T) {
	for _, r := range rows {
		for i, name := range r.contenders {
			if !slices.ContainsFunc(contenders, func(c contender) bool { return c.name == name }) || (name == corralName) != (i == 0) {
				t.Errorf("row %s: contender %d is %q, want corral first and others that exist", r.name, i, name)
			}
		}
	}
}

func TestARowOrARivalThatDoesNotExistIsRefusedWithTheNamesOfThoseThatDo(t *testing.T) {
	for flag, name := range map[string]string{"-rows": "stampede", "-rivals": "apache"} {
		err := run(context.Background(), []string{flag, name}, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), flag+` "`+name+`"`) || !strings.Contains(err.Error(), "cold") && !strings.Contains(err.Error(), "nginx") {
			t.Errorf("run %s %s = %v, want an error that names it and those that exist", flag, name, err)
		}
	}
}
