package httpcache

import (
	"io"
	"sync"
)

// bufferBytes is how much of a body is read at once.
const bufferBytes = 32 << 10

// buffers are for copying bodies. It is an httputil.BufferPool.
var buffers bufferPool

type bufferPool struct{ pool sync.Pool }

func (b *bufferPool) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferBytes]byte); ok {
		return buffer[:]
	}
	return new([bufferBytes]byte)[:]
}

func (b *bufferPool) Put(buffer []byte) { b.pool.Put((*[bufferBytes]byte)(buffer)) }

// copyAll is io.Copy with a buffer of the pool.
func copyAll(w io.Writer, r io.Reader) error {
	buffer := buffers.Get()
	defer buffers.Put(buffer)
	_, err := io.CopyBuffer(w, r, buffer)
	return err
}
