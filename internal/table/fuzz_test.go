package table

import "testing"

// A model is what a table does, said as plainly as possible: every entry that
// is not dead, with its pin. Values are in the world's books.
type model struct {
	*world
	alive  map[string]*thing
	pinned map[*thing]bool
}

func newModel(t testing.TB, maxBytes int64) *model {
	return &model{newWorld(t, maxBytes), map[string]*thing{}, map[*thing]bool{}}
}

// settle forgets the entries that have neither pin nor value any more.
func (m *model) settle() {
	for k, e := range m.alive {
		if !m.pinned[e] && m.live[e] == 0 {
			delete(m.alive, k)
		}
	}
}

// Bytes of a fuzzed program: operation, key, amount.
const (
	opAdd = iota
	opPin
	opUnpin
	opPut
	opPutUnpin
	opPutReserved
	opDrop
	opUpdate
	opReserve
	opRelease
	opTouch
	opBurst
	ops
)

func FuzzATableDoesWhatItsModelDoes(f *testing.F) {
	f.Add([]byte{opAdd, 1, 0, opPutUnpin, 1, 40, opAdd, 2, 0, opPut, 2, 70, opDrop, 1, 0, opUnpin, 2, 0})
	f.Add([]byte{opReserve, 0, 60, opBurst, 0, 200, opAdd, 3, 0, opPutReserved, 3, 50, opTouch, 3, 0, opBurst, 9, 255})
	f.Add([]byte{opAdd, 1, 0, opPut, 1, 101, opUnpin, 1, 0, opAdd, 1, 0, opPutUnpin, 1, 100, opPin, 1, 0, opBurst, 50, 9})
	f.Fuzz(runProgram)
}

func runProgram(t *testing.T, program []byte) {
	const maxBytes, longest = 100, 3 * 200
	program = program[:min(len(program), longest)]
	m := newModel(t, maxBytes)
	var known [8]*thing // entries by number, dead ones too
	for ; len(program) >= 3 && !t.Failed(); program = program[3:] {
		op, number, amount := program[0]%ops, program[1]%8, int64(program[2])
		e := known[number]
		if e == nil && op != opReserve && op != opRelease && op != opBurst {
			op = opAdd
		}
		m.step(op, key(int(number)), e, amount, &known[number])
		m.settle()
		m.check()
		is(t, "Len()", m.table.Len(), len(m.alive))
		for k, e := range m.alive {
			is(t, "Get()", m.table.Get(k), e)
		}
	}
}

func (m *model) step(op byte, key string, e *thing, amount int64, known **thing) {
	alive := e != nil && m.alive[key] == e
	fits := max(amount, 1) <= m.table.MaxBytes()-m.table.Reserved()
	switch op {
	case opAdd:
		got, added := m.add(key)
		is(m, "GetOrAdd() added", added, m.alive[key] == nil)
		if added {
			m.alive[key], m.pinned[got], *known = got, true, got
		}
		is(m, "GetOrAdd()", got, m.alive[key])
	case opPin:
		is(m, "Pin()", m.table.Pin(e), alive)
		m.pinned[e] = alive
	case opUnpin:
		m.table.Unpin(e)
		m.pinned[e] = false
	case opPut, opPutUnpin:
		old := m.live[e]
		got := m.put(e, max(amount, 1), op == opPutUnpin)
		is(m, "Put()", got, alive && fits)
		if !got {
			is(m, "the value after a refused Put()", m.live[e], old)
		} else {
			is(m, "the value after Put()", m.live[e], max(amount, 1))
		}
		m.pinned[e] = m.pinned[e] && op == opPut
	case opPutReserved:
		release := min(amount, m.table.Reserved())
		fits = max(amount, 1) <= m.table.MaxBytes()-m.table.Reserved()+release
		got := m.table.Put(e, Put{Weight: amount, Release: release, Publish: func() { m.publish(e, max(amount, 1)) }})
		is(m, "Put() of reserved bytes", got, alive && fits)
	case opDrop:
		is(m, "Drop()", m.drop(e), alive)
	case opUpdate:
		is(m, "Update()", m.table.Update(e, func() {}), alive)
	case opReserve:
		before := m.table.Reserved()
		got := m.table.Reserve(amount)
		is(m, "Reserve()", got, amount <= m.table.MaxBytes()-before)
		if got {
			before += amount
		}
		is(m, "Reserved()", m.table.Reserved(), before)
	case opRelease:
		m.table.Release(min(amount, m.table.Reserved()))
	case opTouch:
		e.node.Touch()
	case opBurst:
		for i := range amount / 4 {
			k := "burst-" + key[4:] + string(rune('a'+i%26))
			got, added := m.add(k)
			if added {
				m.put(got, 1+i%30, true)
			}
			if m.live[got] > 0 {
				m.alive[k] = got
			}
		}
	}
}
