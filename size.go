package corral

import (
	"reflect"
	"slices"
)

// defaultSize measures values without being told how: the length of a string
// or []byte, else what is reachable from the value. What pointers, slices and
// maps share is counted once a value, the bytes of a string each time;
// channels, functions and what they refer to are not counted. The allocator's
// rounding up is not counted either: see TestSizesAreThoseOfRealMemory.
func defaultSize[V any]() func(V) int64 {
	var zero V
	switch any(&zero).(type) {
	case *string:
		return func(v V) int64 { return int64(len(*any(&v).(*string))) }
	case *[]byte:
		return func(v V) int64 { return int64(cap(*any(&v).(*[]byte))) }
	}
	t := reflect.TypeFor[V]()
	shallow := int64(t.Size())
	if flat(t) {
		return func(V) int64 { return shallow }
	}
	return func(v V) int64 {
		m := measure{}
		return shallow + m.beyond(reflect.ValueOf(&v).Elem())
	}
}

// flat reports whether values of a type refer to nothing that counts.
func flat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.String, reflect.Map, reflect.Interface:
		return false
	case reflect.Array:
		return t.Len() == 0 || flat(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !flat(t.Field(i).Type) {
				return false
			}
		}
	}
	return true
}

// measure walks one value. What a reference leads to is put aside and not
// walked at once, so that a long list does not become a deep stack.
type measure struct {
	total int64
	seen  map[reference]bool // so that shared parts and cycles count once
	aside []reflect.Value    // references that have been counted and not followed
}

type reference struct {
	at   uintptr
	kind reflect.Type
}

// beyond is what a value refers to, without the value's own bytes.
func (m *measure) beyond(v reflect.Value) int64 {
	m.count(v)
	for len(m.aside) > 0 {
		last := len(m.aside) - 1
		v, m.aside = m.aside[last], m.aside[:last]
		m.follow(v)
	}
	return m.total
}

// count adds what the references in a value lead to, one step far.
func (m *measure) count(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		m.total += int64(v.Len())
	case reflect.Pointer:
		if !v.IsNil() && m.first(v) {
			m.add(int64(v.Type().Elem().Size()), v, v.Type().Elem())
		}
	case reflect.Slice:
		if !v.IsNil() && m.first(v) {
			m.add(int64(v.Cap())*int64(v.Type().Elem().Size()), v, v.Type().Elem())
		}
	case reflect.Map:
		if !v.IsNil() && m.first(v) {
			m.add(mapSize(v), v, v.Type().Key(), v.Type().Elem())
		}
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		if inside := v.Elem(); pointerShaped(inside.Kind()) {
			m.count(inside)
		} else {
			m.add(int64(inside.Type().Size()), v, inside.Type())
		}
	case reflect.Array:
		if flat(v.Type()) {
			return
		}
		for i := range v.Len() {
			m.count(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			m.count(v.Field(i))
		}
	}
}

// add counts what a reference leads to, and puts the reference aside unless
// the types of what is there say that it leads no further.
func (m *measure) add(size int64, ref reflect.Value, types ...reflect.Type) {
	m.total += size
	if !slices.ContainsFunc(types, func(t reflect.Type) bool { return !flat(t) }) {
		return
	}
	m.aside = append(m.aside, ref)
}

func (m *measure) follow(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		m.count(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			m.count(v.Index(i))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			m.count(it.Key())
			m.count(it.Value())
		}
	}
}

// pointerShaped reports whether an interface holds a value of a kind itself,
// and not a reference to it.
func pointerShaped(kind reflect.Kind) bool {
	switch kind {
	case reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return true
	}
	return false
}

// What Go's maps cost: a header and groups of eight slots with a control byte
// each, as many groups as a power of two; of more than one group, seven
// eighths are filled at most. Keys and values over 128 bytes stand outside
// their slot.
const (
	mapHeader  = 48
	mapGroup   = 8
	mapInSlot  = 128
	mapControl = 1
)

func mapSize(v reflect.Value) int64 {
	n := int64(v.Len())
	if n == 0 {
		return mapHeader
	}
	slots := int64(mapGroup)
	for slots < n || slots > mapGroup && slots*7/8 < n {
		slots *= 2
	}
	slot, outside := int64(mapControl), int64(0)
	for _, t := range []reflect.Type{v.Type().Key(), v.Type().Elem()} {
		size := int64(t.Size())
		if size > mapInSlot {
			outside += size
			size = int64(reflect.TypeFor[uintptr]().Size())
		}
		slot += size
	}
	return mapHeader + slot*slots + outside*n
}

// first reports whether a reference has not been followed before.
func (m *measure) first(v reflect.Value) bool {
	if m.seen == nil {
		m.seen = map[reference]bool{}
	}
	ref := reference{v.Pointer(), v.Type()}
	if m.seen[ref] {
		return false
	}
	m.seen[ref] = true
	return true
}
