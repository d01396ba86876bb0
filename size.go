package corral

import (
	"reflect"
)

// defaultSize measures values without being told how: the length of a string
// or []byte, else what is reachable from the value. Shared parts are counted
// once a value; channels, functions and what they refer to are not counted.
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

// measure walks one value. seen holds what was counted, so that shared parts
// and cycles count once.
type measure struct {
	seen map[reference]bool
}

type reference struct {
	at   uintptr
	kind reflect.Type
}

// beyond is what a value refers to, without the value's own bytes.
func (m *measure) beyond(v reflect.Value) int64 {
	switch v.Kind() {
	case reflect.String:
		return int64(v.Len())
	case reflect.Pointer:
		if v.IsNil() || !m.first(v.Pointer(), v.Type()) {
			return 0
		}
		return int64(v.Type().Elem().Size()) + m.beyond(v.Elem())
	case reflect.Slice:
		if v.IsNil() || !m.first(v.Pointer(), v.Type()) {
			return 0
		}
		return int64(v.Cap())*int64(v.Type().Elem().Size()) + m.elements(v)
	case reflect.Array:
		return m.elements(v)
	case reflect.Interface:
		if v.IsNil() {
			return 0
		}
		return int64(v.Elem().Type().Size()) + m.beyond(v.Elem())
	case reflect.Map:
		return m.table(v)
	case reflect.Struct:
		var total int64
		for i := range v.NumField() {
			total += m.beyond(v.Field(i))
		}
		return total
	}
	return 0
}

func (m *measure) elements(v reflect.Value) int64 {
	if flat(v.Type().Elem()) {
		return 0
	}
	var total int64
	for i := range v.Len() {
		total += m.beyond(v.Index(i))
	}
	return total
}

// mapHeader and mapSlack are what Go's maps cost beside their keys and values:
// a header, and control bytes and free slots at the usual load.
const (
	mapHeader = 48
	mapSlack  = 1.3
)

func (m *measure) table(v reflect.Value) int64 {
	if v.IsNil() || !m.first(v.Pointer(), v.Type()) {
		return 0
	}
	slot := int64(v.Type().Key().Size() + v.Type().Elem().Size() + 1)
	total := mapHeader + int64(float64(slot*int64(v.Len()))*mapSlack)
	for it := v.MapRange(); it.Next(); {
		total += m.beyond(it.Key()) + m.beyond(it.Value())
	}
	return total
}

func (m *measure) first(at uintptr, kind reflect.Type) bool {
	if m.seen == nil {
		m.seen = map[reference]bool{}
	}
	ref := reference{at, kind}
	if m.seen[ref] {
		return false
	}
	m.seen[ref] = true
	return true
}
