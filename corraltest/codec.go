package corraltest

import "github.com/corralcache/corral"

// A CodecFunc is a Codec made of two functions.
type CodecFunc[V any] struct {
	EncodeFunc func(value V) ([]byte, error)
	DecodeFunc func(data []byte) (V, error)
}

// Encode calls EncodeFunc.
func (c CodecFunc[V]) Encode(value V) ([]byte, error) { return c.EncodeFunc(value) }

// Decode calls DecodeFunc.
func (c CodecFunc[V]) Decode(data []byte) (V, error) { return c.DecodeFunc(data) }

// Text is the Codec of strings: their bytes.
func Text() corral.Codec[string] {
	return CodecFunc[string]{
		EncodeFunc: func(value string) ([]byte, error) { return []byte(value), nil },
		DecodeFunc: func(data []byte) (string, error) { return string(data), nil },
	}
}
