package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// gate is a writer that is stuck until it is opened.
type gate struct {
	open chan struct{}
	logBuffer
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.logBuffer.Write(p)
}

func TestAStuckReaderOfTheLogNeverHoldsUpARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &gate{open: make(chan struct{})}
		l := newAccessLog(w, Text, 2)
		l.add(&accessLine{path: "/0"})
		synctest.Wait() // the writer holds /0 and is stuck
		for i := range 5 {
			l.add(&accessLine{path: fmt.Sprint("/", i+1)})
		}
		if dropped := l.dropped.Load(); dropped != 3 {
			t.Errorf("dropped = %d lines of 5 with room for 2, want 3", dropped)
		}
		close(w.open)
		synctest.Wait()
		if lines := w.lines(); len(lines) != 3 || !strings.Contains(lines[2], "path=/2") {
			t.Errorf("lines = %q, want /0, /1 and /2", lines)
		}
		l.close(time.Second)
		l.add(&accessLine{}) // of a handler that was cut off
	})
}

func TestTheLastLinesAreWrittenAtTheEnd(t *testing.T) {
	var w logBuffer
	l := newAccessLog(&w, JSON, 100)
	for i := range 100 {
		l.add(&accessLine{path: fmt.Sprint("/", i)})
	}
	l.close(time.Hour)
	if lines := w.lines(); len(lines) != 100 || l.dropped.Load() != 0 {
		t.Errorf("%d lines, %d dropped; want 100 and 0", len(lines), l.dropped.Load())
	}
}

func TestAStuckReaderHoldsUpTheEndByTheTimeoutOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &gate{open: make(chan struct{})}
		l := newAccessLog(w, JSON, 1)
		l.add(&accessLine{})
		start := time.Now()
		l.close(time.Second)
		if took := time.Since(start); took != time.Second {
			t.Errorf("close took %v, want 1 s", took)
		}
		close(w.open)
	})
}

// failing is a writer whose first writes fail.
type failing struct {
	failures int
	logBuffer
}

func (f *failing) Write(p []byte) (int, error) {
	if f.failures > 0 {
		f.failures--
		return 0, errors.New("no space left on device")
	}
	return f.logBuffer.Write(p)
}

func TestTheLogGoesOnAfterAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &failing{failures: 2}
		l := newAccessLog(w, Text, 1)
		for i := range 3 {
			l.add(&accessLine{path: fmt.Sprint("/", i)})
			synctest.Wait()
		}
		l.close(time.Second)
		if lines := w.lines(); len(lines) != 1 || !strings.Contains(lines[0], "path=/2") || l.dropped.Load() != 2 {
			t.Errorf("lines = %q, dropped %d; want /2 and 2", lines, l.dropped.Load())
		}
	})
}
