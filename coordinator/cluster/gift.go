package cluster

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/corralcache/corral"
)

// A stream of gifts is what a node has kept, for another to keep: one record
// after the other, each preceded by the lengths of its parts.
//
//	key       length, bytes: the cache's name, a zero byte, the key
//	revision  number
//	tags      count, then each as length, bytes
//	parcel    length, bytes: the record with its value
//	body      1 + length, bytes; or 0: none
//
// Numbers are unsigned varints.

// maxGiftBytes bounds the value and the body of what is handed over. It is held
// in memory as a whole at the receiver, one record at a time.
const maxGiftBytes = 8 << 20

// maxGiftTags bounds the tags of a record; maxHeadBytes does their bytes.
const maxGiftTags = 1 << 14

// giftBuffer is what is read and written at once.
const giftBuffer = 64 << 10

var errGift = errors.New("it breaks the format")

// writeGift writes a record, and closes its body. It reports false for one that
// is not handed over: larger than maxGiftBytes, or still arriving.
func writeGift(w *bufio.Writer, key string, record *corral.Record) (sent bool, err error) {
	size := int64(0)
	if record.Body != nil {
		defer record.Body.Close()
		body, is := record.Body.(interface{ Len() (int64, bool) })
		if !is {
			return false, nil
		}
		whole := false
		if size, whole = body.Len(); !whole {
			return false, nil
		}
	}
	p := pack(record)
	if int64(len(record.Value))+size > maxGiftBytes || p.headBytes() > maxHeadBytes || len(record.Tags) > maxGiftTags {
		return false, nil
	}
	b := appendGiftText(nil, key)
	b = binary.AppendUvarint(b, record.Revision)
	b = binary.AppendUvarint(b, uint64(len(record.Tags)))
	for _, tag := range record.Tags {
		b = appendGiftText(b, tag)
	}
	packed, err := p.AppendBinary(nil)
	if err != nil {
		return false, err
	}
	b = appendGiftText(b, packed)
	if record.Body == nil {
		b = binary.AppendUvarint(b, 0)
	} else {
		b = binary.AppendUvarint(b, uint64(size)+1)
	}
	if _, err := w.Write(b); err != nil || record.Body == nil {
		return err == nil, err
	}
	_, err = io.CopyN(w, record.Body, size)
	return err == nil, err
}

func appendGiftText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// readGift reads a record; io.EOF is the end of the stream.
func readGift(r *bufio.Reader) (key string, record *corral.Record, err error) {
	name, err := readGiftText(r, maxKeyBytes)
	if err != nil {
		return "", nil, err // io.EOF before the first byte
	}
	revision, tags, err := readGiftHead(r)
	if err != nil {
		return "", nil, unexpected(err)
	}
	packed, err := readGiftText(r, maxGiftBytes+maxHeadBytes+1024)
	if err != nil {
		return "", nil, unexpected(err)
	}
	p, err := decodeParcel(packed)
	if err != nil {
		return "", nil, err
	}
	if p.ref != (ref{}) {
		return "", nil, fmt.Errorf("%w: a record has its value elsewhere", errGift)
	}
	record = &p.record
	record.Revision, record.Tags, record.Outcome, record.BodySize = revision, tags, corral.Keep, -1
	size, err := binary.ReadUvarint(r)
	switch {
	case err != nil:
		return "", nil, unexpected(err)
	case size == 0:
		return string(name), record, nil
	case size-1 > maxGiftBytes:
		return "", nil, fmt.Errorf("%w: a body of %d bytes, at most %d are handed over", errGift, size-1, maxGiftBytes)
	}
	body := make([]byte, size-1)
	if _, err := io.ReadFull(r, body); err != nil {
		return "", nil, unexpected(err)
	}
	record.Body, record.BodySize = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return string(name), record, nil
}

func readGiftHead(r *bufio.Reader) (revision uint64, tags []string, err error) {
	if revision, err = binary.ReadUvarint(r); err != nil {
		return 0, nil, err
	}
	count, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, nil, err
	}
	if count > maxGiftTags {
		return 0, nil, fmt.Errorf("%w: a record has %d tags, at most %d are handed over", errGift, count, maxGiftTags)
	}
	for range count {
		tag, err := readGiftText(r, maxHeadBytes)
		if err != nil {
			return 0, nil, err
		}
		tags = append(tags, string(tag))
	}
	return revision, tags, nil
}

func readGiftText(r *bufio.Reader, limit uint64) ([]byte, error) {
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%w: a part of %d bytes, at most %d are taken", errGift, size, limit)
	}
	text := make([]byte, size)
	_, err = io.ReadFull(r, text)
	return text, unexpected(err)
}

// unexpected is an error within a record.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
