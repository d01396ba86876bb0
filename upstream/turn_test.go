package upstream

import (
	"errors"
	"net/url"
	"testing"
	"testing/synctest"
	"time"
)

// ready makes a pool that may send one request a second, has sent it, and has
// another waiting. Its timer does not come when it should, as timers do.
func ready(t *testing.T) (*Pool, *waiter) {
	t.Helper()
	p, err := New(Options{Servers: []Server{{URL: &url.URL{Scheme: "http", Host: "a.test"}}}, Rate: 1, Burst: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if w := p.mustJoin(t); w.ready != nil {
		t.Fatal("the first request waits")
	}
	first := p.mustJoin(t)
	if first.ready == nil {
		t.Fatal("the second request does not wait")
	}
	p.timer.Stop()
	time.Sleep(time.Second)
	return p, first
}

func (p *Pool) mustJoin(t *testing.T) *waiter {
	t.Helper()
	w, err := p.join(0)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *waiter) seated() bool {
	select {
	case <-w.ready:
		return true
	default:
		return w.ready == nil
	}
}

func TestNobodyOvertakesWhoWaitsBeforeTheTimerComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, first := ready(t)
		if _, ok := p.retake(0, nil, false); ok {
			t.Fatal("a retry overtook who waited")
		}
		late := p.mustJoin(t)
		if !first.seated() || late.seated() {
			t.Fatalf("seated: first %v, late %v; want the first", first.seated(), late.seated())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !late.seated() {
			t.Fatal("the timer did not come for the second")
		}
	})
}

func TestASeatThatComesAsItsWaiterLeavesIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, first := ready(t)
		p.wake()
		s, err := p.giveUp(first, errors.New("gone"))
		if err != nil || s.server != p.servers[0] {
			t.Fatalf("giveUp = %v, %v; want the seat, for it is counted", s, err)
		}
	})
}
