package peer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/status"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/peerpb"
)

// A source is a body that is read in steps, and knows that it was closed.
type source struct {
	steps  chan []byte // closed: the end
	end    error
	once   sync.Once
	closed chan struct{}
	left   []byte
}

func newSource(end error, steps ...string) *source {
	s := &source{steps: make(chan []byte, 10_000), end: end, closed: make(chan struct{})}
	for _, step := range steps {
		s.steps <- []byte(step)
	}
	return s
}

func (s *source) Read(b []byte) (int, error) {
	if len(s.left) == 0 {
		select {
		case step, more := <-s.steps:
			if !more {
				return 0, s.end
			}
			s.left = step
		case <-s.closed:
			return 0, context.Canceled
		}
	}
	n := copy(b, s.left)
	s.left = s.left[n:]
	return n, nil
}

func (s *source) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *source) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// holds makes a node answer Body with what open returns.
func (d *node) holds(open func(id uint64, offset int64) (io.ReadCloser, error)) {
	d.body = func(_ context.Context, id uint64, offset int64) (io.ReadCloser, error) { return open(id, offset) }
}

func TestABodyArrivesWholeFromAnyOffsetInBothDirections(t *testing.T) {
	content := make([]byte, 1<<20+1)
	random := rand.NewChaCha8([32]byte{})
	random.Read(content)
	for _, offset := range []int64{0, 1, chunkBytes, 1 << 20, 1<<20 + 1} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			a, b := n.node("a", 1), n.node("b", 1)
			open := func(id uint64, offset int64) (io.ReadCloser, error) {
				if id != 3 {
					return nil, ErrNoBody
				}
				return io.NopCloser(bytes.NewReader(content[offset:])), nil
			}
			a.holds(open)
			b.holds(open)
			acquaint(a, b)
			for _, row := range []struct{ from, to *node }{{a, b}, {b, a}} {
				body, err := row.to.Fetch(t.Context(), row.from.self.Name, 3, offset)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(body)
				if err != nil || !bytes.Equal(got, content[offset:]) {
					t.Errorf("from %d: %d bytes, %v", offset, len(got), err)
				}
				if err := body.Close(); err != nil {
					t.Error(err)
				}
				if _, err := row.to.Fetch(t.Context(), row.from.self.Name, 4, 0); !errors.Is(err, ErrNoBody) {
					t.Errorf("a body that is not there: %v", err)
				}
			}
		})
	}
}

func TestAGrowingBodyArrivesAsItGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 1)
		s := newSource(io.EOF, "first ")
		b.holds(func(uint64, int64) (io.ReadCloser, error) { return s, nil })
		acquaint(a, b)
		body, err := a.Fetch(t.Context(), "b", 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		read := func() string {
			buffer := make([]byte, 100)
			k, err := body.Read(buffer)
			if err != nil {
				return err.Error()
			}
			return string(buffer[:k])
		}
		if got := read(); got != "first " {
			t.Errorf("got %q", got)
		}
		time.Sleep(time.Hour)
		s.steps <- []byte("second")
		if got := read(); got != "second" {
			t.Errorf("got %q", got)
		}
		close(s.steps)
		if got := read(); got != "EOF" {
			t.Errorf("got %q", got)
		}
		synctest.Wait()
		if !s.isClosed() {
			t.Error("the body was not closed")
		}
	})
}

func TestABodyThatBreaksEndsWithAnErrorAfterWhatCameBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 1)
		s := newSource(errors.New("the origin broke off"), "half")
		close(s.steps)
		b.holds(func(uint64, int64) (io.ReadCloser, error) { return s, nil })
		acquaint(a, b)
		body, err := a.Fetch(t.Context(), "b", 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		got, err := io.ReadAll(body)
		if string(got) != "half" || err == nil || !strings.Contains(err.Error(), "the origin broke off") {
			t.Errorf("got %q, %v", got, err)
		}
		if _, again := body.Read(make([]byte, 1)); again != err {
			t.Errorf("read again: %v", again)
		}
	})
}

func TestABodyThatCannotBeHadIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 2)
		opened := 0
		b.holds(func(uint64, int64) (io.ReadCloser, error) { opened++; return nil, errors.New("the disk is gone") })
		acquaint(a, b)
		for _, row := range []struct {
			name, want string
		}{
			{"b", `peer: fetch body 1 of "b": rpc error: code = Unknown desc = the disk is gone`},
			{"a", `peer: fetch body 1 of "a": there is no such node`},
			{"c", `peer: fetch body 1 of "c": there is no such node`},
		} {
			if _, err := a.Fetch(t.Context(), row.name, 1, 0); err == nil || err.Error() != row.want {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
		}
		opened = 0
		for _, row := range []struct {
			request *peerpb.FetchRequest
			want    string
		}{
			{&peerpb.FetchRequest{Cluster: "herd", Holder: &peerpb.Node{Name: "b", Incarnation: 1}, Body: 4}, "node b/2 has no body 4 of b/1 at 0"},
			{&peerpb.FetchRequest{Cluster: "herd", Body: 4}, "node b/2 has no body 4 of nobody at 0"},
			{&peerpb.FetchRequest{Cluster: "herd", Holder: &peerpb.Node{Name: "b", Incarnation: 2}, Body: 4, Offset: -1}, "node b/2 has no body 4 of b/2 at -1"},
			{&peerpb.FetchRequest{Cluster: "flock", Holder: &peerpb.Node{Name: "b", Incarnation: 2}, Body: 4}, `two clusters meet: a body is asked for by a node of "flock", and node b/2 belongs to "herd"`},
		} {
			stream, err := n.stranger("b").Fetch(t.Context(), row.request)
			if err == nil {
				_, err = stream.Recv()
			}
			if status.Convert(err).Message() != row.want || opened > 0 {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
		}
	})
}

func TestABodyNobodyReadsDelaysNeitherMessagesNorOtherBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 1)
		stalled, step := newSource(io.EOF), strings.Repeat("x", chunkBytes)
		for range 10_000 {
			stalled.steps <- []byte(step)
		}
		b.holds(func(id uint64, _ int64) (io.ReadCloser, error) {
			if id == 1 {
				return stalled, nil
			}
			return io.NopCloser(strings.NewReader(step + step + step)), nil
		})
		acquaint(a, b)
		body, err := a.Fetch(t.Context(), "b", 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // as much is sent as ever will be
		// What is on its way: the window, and what gRPC takes in before it makes the sender wait.
		if sent := (10_000 - len(stalled.steps)) * chunkBytes; sent < bodyWindow || sent > bodyWindow+8*chunkBytes {
			t.Errorf("%d bytes were taken from a body that nobody reads, with a window of %d", sent, bodyWindow)
		}
		begun := time.Now()
		for ask := range uint64(100) {
			a.say(b, core.Leave{Ask: ask})
			b.say(a, core.Leave{Ask: ask})
			other, err := a.Fetch(t.Context(), "b", 2, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(other); err != nil || len(got) != 3*chunkBytes {
				t.Fatalf("another body: %d bytes, %v", len(got), err)
			}
			other.Close()
		}
		synctest.Wait()
		if took, got := time.Since(begun), len(a.gets())+len(b.gets()); took != 0 || got != 200 {
			t.Errorf("%d of 200 messages in %v", got, took)
		}
		body.Close()
		synctest.Wait()
		if !stalled.isClosed() {
			t.Error("a body that was closed here is still open there")
		}
	})
}

func TestAReaderIsLetGoByCloseByItsContextAndByTheHoldersEnd(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(a, b *node, body io.Closer, cancel func())
		want string
	}{
		{"Close", func(_, _ *node, body io.Closer, _ func()) { body.Close() }, "context canceled"},
		{"context", func(_, _ *node, _ io.Closer, cancel func()) { cancel() }, "context canceled"},
		{"another incarnation", func(a, b *node, _ io.Closer, _ func()) { a.SetPeers(map[string]Place{"b": {"b", 9}}) }, "code = Canceled"},
		{"the holder closes", func(_, b *node, _ io.Closer, _ func()) { b.Close() }, "context canceled"},
		{"the reader's node closes", func(a, _ *node, _ io.Closer, _ func()) { a.Close() }, "code = Canceled"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				a, b := n.node("a", 1), n.node("b", 1)
				s := newSource(io.EOF)
				b.holds(func(uint64, int64) (io.ReadCloser, error) { return s, nil })
				acquaint(a, b)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				body, err := a.Fetch(ctx, "b", 1, 0)
				if err != nil {
					t.Fatal(err)
				}
				ended := make(chan error)
				go func() {
					_, err := body.Read(make([]byte, 1))
					ended <- err
				}()
				synctest.Wait()
				row.end(a, b, body, cancel)
				if err := <-ended; err == nil || err == io.EOF || !strings.Contains(err.Error(), row.want) {
					t.Errorf("got %v, want %s", err, row.want)
				}
				synctest.Wait()
				if !s.isClosed() {
					t.Error("the body is still open at its holder")
				}
			})
		})
	}
}

func TestContactNeedsNoCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, err := New(Config{Listener: n.listen("a"), Dial: n.dial})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		b, err := New(Config{Listener: n.listen("b"), Dial: n.dial, Contact: func(_ context.Context, theirs []byte) ([]byte, error) {
			if len(theirs) == 0 {
				return nil, errors.New("other peers are listed here")
			}
			return append([]byte("hello "), theirs...), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if got, err := a.Contact(t.Context(), "b", []byte("a")); err != nil || string(got) != "hello a" {
			t.Errorf("got %q, %v", got, err)
		}
		for _, row := range []struct {
			address string
			ours    []byte
			want    string
		}{
			{"b", nil, "other peers are listed here"},
			{"b", make([]byte, announcementBytes+1), "an announcement of 65537 bytes is more than 65536"},
			{"a", nil, "this node has nothing to announce"},
			{"c", nil, "nobody listens at c"},
		} {
			if _, err := b.Contact(t.Context(), row.address, row.ours); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
		}
	})
}
