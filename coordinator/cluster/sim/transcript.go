package sim

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A transcript is a run, line by line: time, who, what.
type transcript struct{ to io.Writer }

func (t *transcript) line(at time.Duration, who, what string) {
	fmt.Fprintf(t.to, "%11.6f  %-8s %s\n", at.Seconds(), who, what)
}

// describe writes an event, an action or a message without what is the same in
// every one of its kind: zero fields.
func describe(x any) string {
	switch x := x.(type) {
	case core.Received:
		return fmt.Sprintf("%v #%d: %s", x.From, x.Session, describe(x.Message))
	case core.Send:
		return fmt.Sprintf("to %v #%d: %s", x.To, x.Session, describe(x.Message))
	case core.Changed:
		var parts []string
		for _, n := range x.Nodes {
			parts = append(parts, fmt.Sprintf("%v %v nonce %d", n.Record.Node, n.Record.State, n.Record.Nonce))
		}
		if x.Table != nil {
			parts = append(parts, describe(x.Table))
		}
		return fmt.Sprintf("Changed %d %s", x.Revision, strings.Join(parts, ", "))
	case *core.Table:
		return describeTable(x)
	}
	return describeFields(x)
}

func describeTable(t *core.Table) string {
	if t == nil {
		return "no table"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "table %d [", t.Epoch)
	for p := range t.Owner {
		fmt.Fprintf(&b, " %v:%d", t.OwnerOf(p), t.Gen[p])
	}
	return b.String() + " ]"
}

func describeFields(x any) string {
	v := reflect.ValueOf(x)
	var b strings.Builder
	b.WriteString(v.Type().Name())
	for i := range v.NumField() {
		f := v.Field(i)
		if f.IsZero() || f.Kind() == reflect.Func {
			continue
		}
		fmt.Fprintf(&b, " %s=%s", v.Type().Field(i).Name, describeValue(f))
	}
	return b.String()
}

func describeValue(f reflect.Value) string {
	switch x := f.Interface().(type) {
	case core.Value:
		if r, is := x.Payload.(*record); is {
			return fmt.Sprintf("(load %d, v %d, keep %v, stale %v)", r.load.number, x.Revision, x.Keep, x.Stale)
		}
		return "()"
	case *core.Outcome:
		return "(" + describe(*x) + ")"
	case *core.Table:
		return describeTable(x)
	case core.Failure:
		return fmt.Sprintf("%q", x.Text)
	case core.NoteKind:
		return notes[x]
	case string:
		return strings.ReplaceAll(x, "\x00", "/")
	case fmt.Stringer:
		return x.String()
	}
	return fmt.Sprintf("%v", f.Interface())
}

var notes = map[core.NoteKind]string{
	core.NoteLapsed: "lapsed", core.NoteRestored: "restored", core.NoteBuried: "buried", core.NoteTookOver: "took over",
	core.NoteActive: "active", core.NoteHolderLost: "holder lost", core.NoteSuperseded: "superseded",
	core.NoteLateRejoin: "late rejoin", core.NoteVoidOutcome: "void outcome", core.NoteUnreachable: "unreachable",
	core.NoteFenced: "fenced", core.NoteOldTable: "old table",
	core.NoteAdopted: "adopted", core.NoteInvalidation: "invalidation waited",
}
