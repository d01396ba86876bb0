package peer

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/peerpb"
)

// keepCalling has a session with the peer, whose name is the greater one, until
// ctx ends: after each that ends it calls again.
func (p *peer) keepCalling(ctx context.Context, member *membership, place Place) {
	pause := firstPause
	for call := uint64(1); ctx.Err() == nil; call++ {
		begun := time.Now()
		opened, err := p.call(ctx, member, place, call)
		switch {
		case err == errClosed:
			return
		case !opened:
			p.transport.sayRefused("a call was in vain", p.name, err, "address", place.Address)
		case time.Since(begun) >= steadyAfter:
			pause = firstPause
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
		}
		pause = min(2*pause, longestPause)
	}
}

// call has one session, and returns why it ended, or why it did not begin.
func (p *peer) call(ctx context.Context, member *membership, place Place, call uint64) (opened bool, err error) {
	t := p.transport
	s := t.newSession(ctx, p, member)
	if s == nil {
		return false, errClosed
	}
	defer t.over(s)
	connection, err := t.connect(place.Address, control)
	if err != nil {
		return false, err
	}
	defer connection.Close()
	late := time.AfterFunc(dialTimeout, func() { s.end(errLate) })
	defer late.Stop()
	s.stream, err = peerpb.NewPeerClient(connection).Control(s.ctx)
	if err != nil {
		return false, s.why(err)
	}
	node := core.Node{Name: p.name, Incarnation: place.Incarnation}
	if err := s.greet(member.hello(Version, OldestVersion, call)); err != nil {
		return false, err
	}
	b, err := s.hear()
	if err != nil {
		return false, err
	}
	if err := member.judgeCallee(b, node, place.Address); err != nil {
		return false, err
	}
	late.Stop()
	if err := p.admit(s, node, 0); err != nil {
		return false, err
	}
	return s.run(), context.Cause(s.ctx)
}

// sayRefused logs that a session did not begin.
func (t *Transport) sayRefused(what, whom string, err error, attributes ...any) {
	if t.ctx.Err() != nil {
		return
	}
	level := slog.LevelWarn
	if passes(err) {
		level = slog.LevelInfo
	}
	t.quiet.say(level, what, whom, reason(err), append(attributes,
		"effect", "the two nodes ask each other for nothing; keys that one of them owns are refused at the other after 5 s",
		"remedy", "none if it passes; else the cause says what is wrong: that node's process, its address, the way to it, its certificate, its version, or its cluster")...)
}
