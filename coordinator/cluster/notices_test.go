package cluster

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A capture is a log whose lines a test looks at, by level and attributes.
type capture struct {
	mu    sync.Mutex
	lines []slog.Record
}

func (c *capture) Enabled(context.Context, slog.Level) bool { return true }
func (c *capture) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *capture) WithGroup(string) slog.Handler            { return c }
func (c *capture) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, r)
	return nil
}

// taken is the lines since the last call, as their levels and attributes.
func (c *capture) taken() (levels []slog.Level, attributes []map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.lines {
		of := map[string]string{}
		r.Attrs(func(a slog.Attr) bool { of[a.Key] = a.Value.String(); return true })
		levels, attributes = append(levels, r.Level), append(attributes, of)
	}
	c.lines = nil
	return levels, attributes
}

// telling is a node that is told notes of a core.
func telling() (*Node, *capture) {
	lines := new(capture)
	log := slog.New(lines)
	return &Node{log: log, quietly: once{log: log}, self: core.Node{Name: "a", Incarnation: 3}}, lines
}

func TestWhatACoreNotesIsCountedAndSaidToWhomItConcerns(t *testing.T) {
	b := core.Node{Name: "b", Incarnation: 2}
	for _, row := range []struct {
		note  core.Note
		count string // of the counters, the one that grows
		warns bool
		about string // the attribute node
	}{
		{core.Note{What: core.NoteLapsed}, "lapses", true, ""},
		{core.Note{What: core.NoteRestored, Took: time.Second}, "", false, ""},
		{core.Note{What: core.NoteBuried, Node: b}, "buried", true, "b/2"},
		{core.Note{What: core.NoteTookOver}, "", false, ""},
		{core.Note{What: core.NoteActive, Took: time.Second}, "recoveries", false, ""},
		{core.Note{What: core.NoteHolderLost, Node: b}, "holderLost", false, ""},
		{core.Note{What: core.NoteAdopted, Node: b}, "adopted", false, ""},
		{core.Note{What: core.NoteSuperseded}, "superseded", false, ""},
		{core.Note{What: core.NoteLateRejoin}, "lateRejoins", false, ""},
		{core.Note{What: core.NoteVoidOutcome, Node: b}, "voidOutcomes", false, ""},
		{core.Note{What: core.NoteUnreachable, Node: b}, "unreachable", true, "b"},
		{core.Note{What: core.NoteOldTable}, "", true, ""},
		{core.Note{What: core.NoteInvalidation, Node: b}, "silent", true, "b"},
		{core.Note{What: core.NoteFenced}, "fenced", true, "a/3"},
	} {
		n, lines := telling()
		n.tell(row.note)
		levels, attributes := lines.taken()
		for i, level := range levels {
			if warned := level >= slog.LevelWarn; warned != row.warns {
				t.Errorf("note %d is said at %v", row.note.What, level)
			}
			if of := attributes[i]; row.warns && (of["effect"] == "" || of["remedy"] == "" || of["node"] != row.about) {
				t.Errorf("note %d is said with %v, want an effect, a remedy and node %q", row.note.What, of, row.about)
			}
		}
		if row.warns && len(levels) != 1 {
			t.Errorf("note %d comes to %d lines, want 1", row.note.What, len(levels))
		}
		counters := reflect.ValueOf(&n.n).Elem()
		for i := range counters.NumField() {
			name := counters.Type().Field(i).Name
			grew := !counters.Field(i).IsZero()
			if expected := name == row.count || row.count == "recoveries" && strings.HasPrefix(name, "recovery"); grew != expected {
				t.Errorf("note %d: counter %s grew: %v, want %v", row.note.What, name, grew, expected)
			}
		}
	}
}

func TestANodeThatLeavesDoesNotComplainOfIt(t *testing.T) {
	n, lines := telling()
	n.leaving = true
	n.tell(core.Note{What: core.NoteLapsed})
	n.tell(core.Note{What: core.NoteFenced})
	if levels, _ := lines.taken(); len(levels) > 0 || n.n.lapses.Load()+n.n.fenced.Load() > 0 {
		t.Errorf("%d lines, %d lapses, %d fences", len(levels), n.n.lapses.Load(), n.n.fenced.Load())
	}
}

func TestTheSameIsSaidOfTheSameOnceInTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, lines := telling()
		said := func() int { levels, _ := lines.taken(); return len(levels) }
		unreachable := func(node string) {
			n.tell(core.Note{What: core.NoteUnreachable, Node: core.Node{Name: node}})
		}
		for range 5 {
			unreachable("b")
			unreachable("c")
		}
		if got := said(); got != 2 {
			t.Errorf("said %d times of two nodes, want once of each", got)
		}
		time.Sleep(logEvery - 1)
		if unreachable("b"); said() != 0 {
			t.Error("said again within 10 s")
		}
		time.Sleep(time.Nanosecond)
		if unreachable("b"); said() != 1 {
			t.Error("not said again after 10 s")
		}
	})
}

// What is worth a warning is worth saying what it means and what to do.
func TestEveryWarningSaysWhatItMeansAndWhatToDo(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	notices := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.CompositeLit:
				if kind, ok := node.Type.(*ast.Ident); ok && kind.Name == "notice" {
					notices++
					for _, field := range node.Elts {
						if text, ok := field.(*ast.BasicLit); len(node.Elts) != 4 || ok && len(text.Value) < 10 {
							t.Errorf("%s: a notice lacks its effect or its remedy", name)
						}
					}
				}
			case *ast.SelectorExpr:
				if of, ok := node.X.(*ast.SelectorExpr); ok && of.Sel.Name == "log" && (node.Sel.Name == "Warn" || node.Sel.Name == "Error") {
					t.Errorf("%s: log.%s says neither what it means nor what to do: make it a notice", name, node.Sel.Name)
				}
			}
			return true
		})
	}
	if notices < 20 {
		t.Errorf("found %d notices", notices)
	}
}

func TestTheLeastMarginIsThatOfTheLastHalfMinuteAtLeast(t *testing.T) {
	at := func(d time.Duration) core.Time { return core.Time(1).Add(d) }
	var m margin
	least := func(now time.Duration) time.Duration { return m.seen(at(now), 2*time.Second) }
	for now := time.Duration(0); now < 59*time.Second; now += time.Second {
		if now == 10*time.Second {
			now += 800 * time.Millisecond // one is late
		}
		m.extend(at(now), at(now+2*time.Second))
		now = now.Truncate(time.Second)
		want := time.Second
		switch {
		case now == 0:
			want = 2 * time.Second // it begins
		case now >= 10*time.Second:
			want = 200 * time.Millisecond
		}
		if got := least(now); got != want {
			t.Errorf("after %v: %v, want %v", now, got, want)
		}
	}
	m.extend(at(59*time.Second), at(61*time.Second))
	if got := least(60*time.Second - 1); got != 200*time.Millisecond {
		t.Errorf("within a minute: %v", got)
	}
	if got := least(60 * time.Second); got != time.Second {
		t.Errorf("a minute after: %v, want what it was since", got)
	}
	m.extend(at(62*time.Second), at(64*time.Second))
	if got := least(62 * time.Second); got != 0 {
		t.Errorf("after a lapse: %v, want none", got)
	}
	var quiet margin
	quiet.extend(at(0), at(2*time.Second))
	if got := quiet.seen(at(1500*time.Millisecond), 500*time.Millisecond); got != 500*time.Millisecond {
		t.Errorf("without an extension: %v, want what is left", got)
	}
}
