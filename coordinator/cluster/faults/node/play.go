package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// A player makes the requests of one faults.Play and writes down what became of
// them. What a killed process had not written yet is lost, and nothing is judged
// by its absence.
type player struct {
	s       *subject
	play    faults.Play
	over    context.CancelFunc
	ended   chan struct{} // closed once all requests have ended and are written
	problem error         // in the end; read after ended

	asking sync.WaitGroup
	mu     sync.Mutex // guards the fields below
	out    *bufio.Writer
	lines  *json.Encoder
}

// flushEvery is how much of what it read a killed node takes with it.
const flushEvery = 50 * time.Millisecond

func (s *subject) begin(play faults.Play, patience time.Duration) error {
	file, err := os.Create(play.Path)
	if err != nil {
		return err
	}
	ctx, over := context.WithCancel(context.Background())
	p := &player{s: s, play: play, over: over, ended: make(chan struct{}), out: bufio.NewWriter(file)}
	p.lines = json.NewEncoder(p.out)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.player != nil {
		over()
		file.Close()
		return errors.New("it plays already")
	}
	s.player = p
	go func() {
		defer close(p.ended)
		p.run(ctx, patience)
		p.problem = errors.Join(p.flush(), file.Close())
	}()
	return nil
}

// rest ends what begin began.
func (s *subject) rest() error {
	s.mu.Lock()
	p := s.player
	s.player = nil
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	p.over()
	<-p.ended
	return p.problem
}

// run makes requests until ctx ends, and waits for their answers. It begins with
// those that are due now, and later makes up for what it has missed.
func (p *player) run(ctx context.Context, patience time.Duration) {
	interval := float64(time.Second) / p.play.Rate
	flushed := time.Now()
	late := max(faults.Now().Sub(p.play.From), 0)
	for i := int(float64(late) / interval); ctx.Err() == nil; i++ {
		due := p.play.From + faults.Instant(float64(i)*interval)
		if wait := due.Sub(faults.Now()); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				continue
			}
		}
		p.asking.Go(func() { p.ask(p.key(i), patience) })
		if time.Since(flushed) > flushEvery {
			_ = p.flush() // which fails again in the end
			flushed = time.Now()
		}
	}
	p.asking.Wait()
}

func (p *player) key(i int) string {
	if len(p.play.Keys) == 0 {
		return fmt.Sprint(p.play.Prefix, i)
	}
	return p.play.Keys[rand.N(len(p.play.Keys))]
}

func (p *player) ask(key string, patience time.Duration) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errImpatient)
	defer cancel()
	read := faults.Read{Key: key, Call: faults.Now()}
	value, err := p.s.cache.Get(ctx, key)
	read.Return = faults.Now()
	read.Value, read.Error = string(value), text(err)
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.lines.Encode(read) // an error stays with the writer, and Flush returns it
}

func (p *player) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Flush()
}
