// Package codec has the Codecs that a cache with a Store or a Coordinator is
// usually given.
//
//	corral.Options[[]byte]{Codec: codec.Bytes{}}
//	corral.Options[string]{Codec: codec.String{}}
//	corral.Options[Product]{Codec: codec.JSON[Product]{}}
//	corral.Options[*pb.Product]{Codec: codec.Proto[*pb.Product]{}}
//
// Processes that share keys, and a store's next process, must use the same one,
// and types that each can read of the other's: a value that cannot be decoded is
// an error for its callers, or, from a store, not there.
package codec

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/corralcache/corral"
)

// Bytes is the codec of bytes, which it does not copy. Nil becomes empty on the
// way.
type Bytes struct{}

var _ corral.Codec[[]byte] = Bytes{}

// Encode gives the value itself.
func (Bytes) Encode(value []byte) ([]byte, error) { return value, nil }

// Decode gives data itself, cut so that to append to it is to copy it.
func (Bytes) Decode(data []byte) ([]byte, error) { return data[:len(data):len(data)], nil }

// String is the codec of strings: their bytes, valid UTF-8 or not.
type String struct{}

var _ corral.Codec[string] = String{}

// Encode gives the bytes of the value.
func (String) Encode(value string) ([]byte, error) { return []byte(value), nil }

// Decode gives the bytes as a string.
func (String) Decode(data []byte) (string, error) { return string(data), nil }

// JSON is the codec of what encoding/json can carry. Fields without a JSON form,
// unexported ones among them, are lost on the way.
type JSON[V any] struct{}

// Encode gives the value's JSON.
func (JSON[V]) Encode(value V) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("codec: encode %T as JSON: %w", value, err)
	}
	return data, nil
}

// Decode reads JSON. Fields that V does not have are passed over, so that a
// newer process's values can be read.
func (JSON[V]) Decode(data []byte) (value V, err error) {
	if err = json.Unmarshal(data, &value); err != nil {
		return *new(V), fmt.Errorf("codec: decode %T from JSON: %w", value, err)
	}
	return value, nil
}

// Proto is the codec of a generated protobuf message, M being the pointer to it.
type Proto[M proto.Message] struct{}

// Encode gives the message's wire form. Nil is an empty message.
func (Proto[M]) Encode(value M) ([]byte, error) {
	data, err := proto.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("codec: encode %T: %w", value, err)
	}
	return data, nil
}

// Decode reads a message. Fields that it does not know stay in it.
func (Proto[M]) Decode(data []byte) (M, error) {
	var none M
	message := none.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(data, message); err != nil {
		return none, fmt.Errorf("codec: decode %T: %w", none, err)
	}
	return message.(M), nil
}
