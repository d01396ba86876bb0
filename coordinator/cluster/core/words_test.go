package core

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The words of a transcript: an event, a message or an action is its type's name
// and those of its fields that are not zero, as name=value; a bool is its name.
//
//	node       a/1                flight     0.1.1 (partition, generation, number)
//	value      11+keep+stale+tag:t+payload:p (its v first)
//	failure    7+1s (code, pause) kind       lease, wrong-owner
//	table      2:a/1@1,nobody@0 (epoch; owner@generation of each partition)
//	record     b/1@12+draining, -b@13 (removed)
//	outcome    value:11+keep, error:7+1s, pass

var events = types(Tick{}, Renewed{}, Changed{}, Wrote{}, Opened{}, Closed{}, Ask{}, LeaveAsk{}, Done{}, NobodyHere{}, Committed{}, Doubted{}, Drain{}, Undrain{}, HandedOver{})

var messages = types(Join{}, Leave{}, Reply{}, Parked{}, Took{}, Outcome{}, Taken{}, Extend{}, Extended{}, Idle{}, Unwanted{},
	Recover{}, Rejoin{}, End{}, Applied{}, HasApplied{}, Probe{}, Cycle{})

var notes = [...]string{"lapsed", "restored", "buried", "took over", "active", "holder lost", "superseded", "late rejoin", "void outcome",
	"unreachable", "fenced", "old table", "adopted", "invalidation"}

func types(of ...any) map[string]reflect.Type {
	named := map[string]reflect.Type{}
	for _, v := range of {
		named[reflect.TypeOf(v).Name()] = reflect.TypeOf(v)
	}
	return named
}

// readEvent reads an event, or what a peer sends on its present stream.
func readEvent(p *play, line string) Event {
	if from, message, ok := strings.Cut(line, ": "); ok {
		return Received{From: Node{from, 1}, Session: p.session[from], Message: read(messages, message).(Message)}
	}
	event := read(events, line).(Event)
	switch e := event.(type) {
	case Opened:
		p.streams++
		e.Session = p.streams
		p.session[e.Peer.Name] = e.Session
		return e
	case Closed:
		e.Session = p.session[e.Peer.Name]
		return e
	}
	return event
}

func read(of map[string]reflect.Type, line string) any {
	words := strings.Fields(line)
	t, ok := of[words[0]]
	if !ok {
		panic("unknown word: " + line)
	}
	v := reflect.New(t).Elem()
	for _, word := range words[1:] {
		name, text, _ := strings.Cut(word, "=")
		field := v.FieldByNameFunc(func(s string) bool { return lower(s) == name })
		if !field.IsValid() {
			panic("unknown field " + name + ": " + line)
		}
		field.Set(reflect.ValueOf(readField(field.Interface(), text)))
	}
	return v.Interface()
}

// lower is a field's name as it stands in a transcript.
func lower(s string) string {
	if s == "OK" || s == "ID" {
		return strings.ToLower(s)
	}
	return string(unicode.ToLower(rune(s[0]))) + s[1:]
}

func readField(zero any, text string) any {
	switch zero.(type) {
	case uint64:
		return readNumber(text)
	case uint32:
		return uint32(readNumber(text))
	case string:
		return text
	case bool:
		return true
	case time.Duration:
		return must(time.ParseDuration(text))
	case Node:
		return readNode(text)
	case Flight:
		return readFlight(text)
	case []Flight:
		return list(text, readFlight)
	case []PartGen:
		return list(text, readPartGen)
	case Kind:
		return readKind(text)
	case Value:
		return readValue(text)
	case Failure:
		return readFailure(text)
	case *Table:
		return readTable(text)
	case []NodeChange:
		return list(text, readChange)
	case *Outcome:
		return readOutcome(text)
	case func() []Flight:
		flights := list(text, readFlight)
		return func() []Flight { return flights }
	}
	panic(fmt.Sprintf("no words for %T", zero))
}

func list[T any](text string, of func(string) T) []T {
	var all []T
	for s := range strings.SplitSeq(text, ",") {
		all = append(all, of(s))
	}
	return all
}

func readNumber(s string) uint64 { return must(strconv.ParseUint(s, 10, 64)) }

func readNode(s string) Node {
	name, incarnation, ok := strings.Cut(s, "/")
	if !ok {
		return Node{}
	}
	return Node{name, readNumber(incarnation)}
}

func readFlight(s string) (f Flight) {
	must(fmt.Sscanf(s, "%d.%d.%d", &f.Part, &f.Gen, &f.Seq))
	return f
}

func readPartGen(s string) (g PartGen) {
	must(fmt.Sscanf(s, "%d.%d", &g.Part, &g.Gen))
	return g
}

func readKind(s string) Kind {
	for k := KindValue; k <= KindAbandon; k++ {
		if strings.ReplaceAll(k.String(), " ", "-") == s {
			return k
		}
	}
	panic("unknown kind " + s)
}

func readValue(s string) (v Value) {
	for i, word := range strings.Split(s, "+") {
		name, text, _ := strings.Cut(word, ":")
		switch {
		case i == 0:
			v.Revision = readNumber(word)
		case name == "tag":
			v.Tags = append(v.Tags, text)
		case name == "payload":
			v.Payload = text
		default:
			v.Keep, v.Stale = v.Keep || name == "keep", v.Stale || name == "stale"
		}
	}
	return v
}

func readFailure(s string) (f Failure) {
	code, pause, ok := strings.Cut(s, "+")
	f.Code = uint32(readNumber(code))
	if ok {
		f.RetryAfter = must(time.ParseDuration(pause))
	}
	return f
}

// readOutcome reads what a Rejoin carries; read fills in neither flight nor key,
// which the core takes from the Rejoin.
func readOutcome(s string) *Outcome {
	kind, text, _ := strings.Cut(s, ":")
	o := &Outcome{Kind: readKind(kind)}
	switch o.Kind {
	case KindValue:
		o.Value = readValue(text)
	case KindError:
		o.Failure = readFailure(text)
	}
	return o
}

func readTable(s string) *Table {
	epoch, parts, _ := strings.Cut(s, ":")
	var owners []Node
	var gens []uint64
	for part := range strings.SplitSeq(parts, ",") {
		owner, gen, _ := strings.Cut(part, "@")
		owners, gens = append(owners, readNode(owner)), append(gens, readNumber(gen))
	}
	return encodeTable(readNumber(epoch), owners, gens)
}

func readChange(s string) NodeChange {
	who, rest, _ := strings.Cut(s, "@")
	revision, state, _ := strings.Cut(rest, "+")
	if who[0] == '-' {
		return NodeChange{Name: who[1:], Revision: readNumber(revision)}
	}
	record := &NodeRecord{Node: readNode(who), Weight: 1}
	for of := Live; of <= Tombstone; of++ {
		if of.String() == state {
			record.State = of
		}
	}
	return NodeChange{record.Name, record, readNumber(revision)}
}

// written is an action in words.
func written(a Action) string {
	switch a := a.(type) {
	case Send:
		return fmt.Sprintf("%s: %s", a.To.Name, fields(a.Message))
	case Note:
		what := notes[a.What]
		a.What = 0
		return "(" + what + strings.TrimPrefix(fields(a), "Note") + ")"
	}
	return fields(a)
}

func fields(of any) string {
	v := reflect.ValueOf(of)
	var b strings.Builder
	b.WriteString(v.Type().Name())
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			b.WriteString(" " + lower(v.Type().Field(i).Name))
			if f.Kind() != reflect.Bool {
				b.WriteString("=" + writtenField(f.Interface()))
			}
		}
	}
	return b.String()
}

func writtenField(v any) string {
	switch v := v.(type) {
	case Kind:
		return strings.ReplaceAll(v.String(), " ", "-")
	case Value:
		return writtenValue(v)
	case Failure:
		return writtenFailure(v)
	case PartGen:
		return fmt.Sprintf("%d.%d", v.Part, v.Gen)
	case Gift:
		return fmt.Sprintf("%d:%v", v.Part, v.To)
	case Burial:
		return fmt.Sprintf("%v@%d", v.Node, v.Revision)
	case *Table:
		return writtenTable(v)
	case *Outcome:
		switch v.Kind {
		case KindValue:
			return "value:" + writtenValue(v.Value)
		case KindError:
			return "error:" + writtenFailure(v.Failure)
		}
		return v.Kind.String()
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice {
		var all []string
		for i := range r.Len() {
			all = append(all, writtenField(r.Index(i).Interface()))
		}
		return strings.Join(all, ",")
	}
	return fmt.Sprint(v)
}

func writtenValue(v Value) string {
	s := fmt.Sprint(v.Revision)
	if v.Keep {
		s += "+keep"
	}
	if v.Stale {
		s += "+stale"
	}
	for _, tag := range v.Tags {
		s += "+tag:" + tag
	}
	if v.Payload != nil {
		s += fmt.Sprintf("+payload:%v", v.Payload)
	}
	return s
}

func writtenFailure(f Failure) string {
	if f.RetryAfter == 0 {
		return fmt.Sprint(f.Code)
	}
	return fmt.Sprintf("%d+%v", f.Code, f.RetryAfter)
}

func writtenTable(t *Table) string {
	var parts []string
	for p := range t.Owner {
		parts = append(parts, fmt.Sprintf("%v@%d", t.OwnerOf(p), t.Gen[p]))
	}
	return fmt.Sprintf("%d:%s", t.Epoch, strings.Join(parts, ","))
}

func readDuration(s string) time.Duration { return must(time.ParseDuration(s)) }
