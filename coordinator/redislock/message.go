package redislock

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"

	"github.com/corralcache/corral"
)

// errMessage says that what came over a channel is none of this package's
// messages. It is let go.
var errMessage = errors.New("redislock: not a message")

// notice is a message to everybody: an invalidation with its revision and the
// one before, so that a gap shows.
type notice struct {
	history          string // the history that the revisions belong to
	before, revision uint64
	from             string // the process that waits until it is applied
	target           corral.Target
}

// Flags of an encoded target.
const (
	targetAll = 1 << iota
	targetSoft
)

// encodeTarget writes a target: flags, then keys, prefixes and tags, each as a
// count and length-prefixed strings.
func encodeTarget(t *corral.Target) string {
	flags := byte(0)
	if t.All {
		flags |= targetAll
	}
	if t.Soft {
		flags |= targetSoft
	}
	text := []byte{flags}
	for _, list := range [][]string{t.Keys, t.Prefixes, t.Tags} {
		text = binary.AppendUvarint(text, uint64(len(list)))
		for _, s := range list {
			text = append(binary.AppendUvarint(text, uint64(len(s))), s...)
		}
	}
	return string(text)
}

// decodeTarget reads what encodeTarget wrote. Nothing at all is no target.
func decodeTarget(text string) (t corral.Target, err error) {
	if text == "" {
		return t, nil
	}
	if text[0]&^(targetAll|targetSoft) != 0 {
		return t, errMessage
	}
	t.All, t.Soft = text[0]&targetAll != 0, text[0]&targetSoft != 0
	text = text[1:]
	for _, list := range []*[]string{&t.Keys, &t.Prefixes, &t.Tags} {
		var count uint64
		if count, text, err = cutUvarint(text); err != nil || count > uint64(len(text)) {
			return corral.Target{}, errMessage
		}
		for range count {
			var size uint64
			if size, text, err = cutUvarint(text); err != nil || size > uint64(len(text)) {
				return corral.Target{}, errMessage
			}
			*list = append(*list, text[:size])
			text = text[size:]
		}
	}
	if text != "" {
		return corral.Target{}, errMessage
	}
	return t, nil
}

func cutUvarint(text string) (uint64, string, error) {
	head := []byte(text[:min(len(text), binary.MaxVarintLen64)])
	n, size := binary.Uvarint(head)
	if size <= 0 {
		return 0, "", errMessage
	}
	return n, text[size:], nil
}

func parseNotice(text string) (n notice, err error) {
	var before, revision string
	for _, field := range []*string{&n.history, &before, &revision, &n.from} {
		var found bool
		if *field, text, found = strings.Cut(text, "\n"); !found {
			return notice{}, errMessage
		}
	}
	var err1, err2 error
	n.before, err1 = strconv.ParseUint(before, 10, 64)
	n.revision, err2 = strconv.ParseUint(revision, 10, 64)
	if err1 != nil || err2 != nil || n.revision == 0 {
		return notice{}, errMessage
	}
	n.target, err = decodeTarget(text)
	if err != nil {
		return notice{}, err
	}
	return n, nil
}

// Kinds of letters.
const (
	letterValue    = 'V' // the outcome of a lease: a value
	letterRead     = 'R' // the same, too large for a letter: ask
	letterError    = 'E' // a failure
	letterPass     = 'P' // each for itself
	letterAgain    = 'A' // nothing was computed: ask
	letterUnwanted = 'U' // to a holder that has left: nobody waits
	letterApplied  = 'K' // a process has applied a revision
	letterProbe    = 'C' // who waits for this lease, and behind which: in search of a ring
)

// letter is a message to one process. token names the lease that it is about.
type letter struct {
	kind  byte
	token string
	// fence of the lease, 0 for one that an invalidation has detached; with
	// letterApplied the revision.
	fence uint64
	rest  string
}

func parseLetter(text string) (l letter, err error) {
	kind, text, ok1 := strings.Cut(text, "\n")
	token, text, ok2 := strings.Cut(text, "\n")
	fence, text, ok3 := strings.Cut(text, "\n")
	if !ok1 || !ok2 || !ok3 || len(kind) != 1 {
		return letter{}, errMessage
	}
	l = letter{kind: kind[0], token: token, rest: text}
	if l.fence, err = strconv.ParseUint(fence, 10, 64); err != nil {
		return letter{}, errMessage
	}
	return l, nil
}

// value takes the form of a record and its body out of a letter.
func (l *letter) value() (form, body string, hasBody bool, err error) {
	size, text, ok1 := strings.Cut(l.rest, "\n")
	flag, text, ok2 := strings.Cut(text, "\n")
	n, err := strconv.Atoi(size)
	if !ok1 || !ok2 || err != nil || n < 0 || n > len(text) || flag != "0" && flag != "1" {
		return "", "", false, errMessage
	}
	return text[:n], text[n:], flag == "1", nil
}

// failure takes an error and its pause out of a letter.
func (l *letter) failure() (pause int64, failure string, err error) {
	text, failure, ok := strings.Cut(l.rest, "\n")
	pause, err = strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return 0, "", errMessage
	}
	return pause, failure, nil
}

// encodeFailure writes an error with its meaning for other processes.
func encodeFailure(cause error) string {
	code, text := corral.EncodeError(cause)
	return strconv.FormatUint(uint64(code), 10) + "\n" + text
}

func decodeFailure(failure string) error {
	code, text, _ := strings.Cut(failure, "\n")
	n, err := strconv.ParseUint(code, 10, 32)
	if err != nil {
		return errMessage
	}
	return corral.DecodeError(uint32(n), text)
}
