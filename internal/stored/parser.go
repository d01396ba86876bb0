package stored

import "encoding/binary"

// A parser reads fields off the front of a form. Once one does not fit, broken
// is set and every further field is zero.
type parser struct {
	data   []byte
	broken bool
}

// take gives the next n bytes, or nil.
func (p *parser) take(n uint64) []byte {
	if p.broken || n > uint64(len(p.data)) {
		p.broken = true
		return nil
	}
	taken := p.data[:n:n]
	p.data = p.data[n:]
	return taken
}

func (p *parser) byte() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) uint64() uint64 {
	if b := p.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (p *parser) uvarint() uint64 {
	n, length := binary.Uvarint(p.data)
	return advance(p, n, length)
}

func (p *parser) varint() int64 {
	n, length := binary.Varint(p.data)
	return advance(p, n, length)
}

// advance goes on behind a number, which is broken if it has no length.
func advance[N int64 | uint64](p *parser, n N, length int) N {
	if length <= 0 {
		p.broken = true
	}
	if p.broken {
		return 0
	}
	p.data = p.data[length:]
	return n
}

func (p *parser) bytes() []byte { return p.take(p.uvarint()) }

// tags reads a list of strings. Each takes a byte at least, which bounds what
// is allocated for a number that is wrong.
func (p *parser) tags() []string {
	n := p.uvarint()
	if n > uint64(len(p.data)) {
		p.broken = true
	}
	if p.broken || n == 0 {
		return nil
	}
	tags := make([]string, n)
	for i := range tags {
		tags[i] = string(p.bytes())
	}
	return tags
}
