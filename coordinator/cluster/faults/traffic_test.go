package faults_test

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// traffic asks for cold keys, each once and at one node, while faults happen.
type traffic struct {
	cluster *cluster
	stop    chan struct{}
	stopped sync.WaitGroup

	mu    sync.Mutex
	asked []*pending
}

// A trip is what became of one request.
type trip struct {
	node   string
	key    string
	sent   time.Time
	answer faults.Answer
	ok     bool // false: the process has ended without an answer
}

// failed reports whether the caller was told an error.
func (t trip) failed() bool { return len(t.answer.Errors) > 0 }

// drive begins traffic: one key every so often, at each node in turn, until it
// is ended or there are no more keys.
func (c *cluster) drive(nodes []*node, keys []string, every, patience time.Duration) *traffic {
	f := &traffic{cluster: c, stop: make(chan struct{})}
	f.stopped.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for i, key := range keys {
			select {
			case <-tick.C:
			case <-f.stop:
				return
			}
			sent := nodes[i%len(nodes)].send(faults.Command{Do: faults.Get, Key: key, Patience: patience})
			f.mu.Lock()
			f.asked = append(f.asked, sent)
			f.mu.Unlock()
		}
	})
	return f
}

// shuffled mixes keys of different owners.
func shuffled(keys []string) []string {
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

// end stops asking and waits for every answer.
func (f *traffic) end() (trips []trip) {
	close(f.stop)
	f.stopped.Wait()
	for _, p := range f.asked {
		a, ok := p.wait()
		trips = append(trips, trip{p.process.node.name, p.command.Key, p.sent, a, ok})
	}
	return trips
}

// judged counts trips, and the calls that each key has cost, and returns them.
func (r *report) judged(o *origin, trips []trip) []trip {
	for _, one := range trips {
		if one.ok {
			r.answered(one.key, 1, one.answer)
		}
		r.charge(o.calls(one.key), 1)
	}
	return trips
}
