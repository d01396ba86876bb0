package corral

import "sync"

// chores are goroutines that the cache starts beside loads: for the store and
// the coordinator. Unlike a sync.WaitGroup's, their end can be waited for
// together with a timeout.
type chores struct {
	mu    sync.Mutex
	n     int
	quiet chan struct{} // closed when n falls to zero, if somebody waits
}

// Go runs f on a goroutine of its own.
func (c *chores) Go(f func()) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	go func() {
		defer c.done()
		f()
	}()
}

func (c *chores) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 && c.quiet != nil {
		close(c.quiet)
		c.quiet = nil
	}
}

func (c *chores) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// empty gives a channel that is closed once none runs.
func (c *chores) empty() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == 0 {
		quiet := make(chan struct{})
		close(quiet)
		return quiet
	}
	if c.quiet == nil {
		c.quiet = make(chan struct{})
	}
	return c.quiet
}
