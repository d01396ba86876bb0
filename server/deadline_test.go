package server

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A timedPipe is a deadline before a timer that ends calls, as a socket's does.
type timedPipe struct {
	deadline
	net.Conn
	arms int
}

func newTimedPipe(conn net.Conn) *timedPipe {
	p := &timedPipe{Conn: conn}
	p.arm = func(at time.Time) error { p.arms++; return conn.SetReadDeadline(at) }
	return p
}

func (p *timedPipe) Read(b []byte) (int, error) {
	for {
		n, err := p.Conn.Read(b)
		if err == nil || !p.early(err) {
			return n, err
		}
	}
}

func TestADeadlineEndsACallAtTheMomentThatIsWanted(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			defer theirs.Close()
			p, random := newTimedPipe(ours), rand.New(rand.NewPCG(seed, 0))
			start := time.Now()
			var wanted time.Time
			for range random.IntN(6) {
				wanted = time.Time{}
				if random.IntN(4) > 0 {
					wanted = start.Add(time.Duration(random.IntN(100)-20) * time.Second)
				}
				if err := p.set(wanted); err != nil {
					t.Fatal(err)
				}
			}
			ended := make(chan error, 1)
			go func() {
				_, err := p.Read(make([]byte, 1))
				ended <- err
			}()
			synctest.Wait()
			if waits := wanted.IsZero() || wanted.After(start); waits && random.IntN(2) > 0 { // moved meanwhile
				wanted = start.Add(time.Duration(random.IntN(100)) * time.Second)
				p.set(wanted)
			}
			if wanted.IsZero() {
				time.Sleep(time.Hour)
				synctest.Wait()
				select {
				case err := <-ended:
					t.Fatalf("seed %d: no deadline, and the call ended after %v with %v", seed, time.Since(start), err)
				default:
				}
				ours.Close()
				<-ended
				return
			}
			if err := <-ended; !os.IsTimeout(err) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if at := time.Since(start); at != max(wanted.Sub(start), 0) {
				t.Fatalf("seed %d: ended after %v, wanted %v", seed, at, wanted.Sub(start))
			}
		})
	}
}

func TestADeadlineThatMovesOnArmsNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		defer theirs.Close()
		p := newTimedPipe(ours)
		for range 100 {
			p.set(time.Now().Add(10 * time.Second))
			go theirs.Write([]byte("x"))
			if _, err := io.ReadFull(p, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			p.set(time.Time{})
			time.Sleep(time.Second)
		}
		if p.arms > 11 {
			t.Errorf("the timer was armed %d times in 100 s, want once in ten", p.arms)
		}
	})
}
