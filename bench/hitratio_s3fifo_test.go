package bench

import "container/list"

// s3fifo is S3-FIFO as in Algorithm 1 of Yang et al., "FIFO queues are all you
// need for cache eviction", SOSP 2023: a small queue of 10 %, two-bit counters,
// and a ghost queue as long as main.
type s3fifo struct {
	capacity           int
	small, main, ghost *list.List // of *s3entry
	entries            map[int32]*s3entry
}

type s3entry struct {
	key   int32
	freq  int
	queue *list.List
	place *list.Element
}

func newS3FIFO(capacity int) *s3fifo {
	return &s3fifo{capacity, list.New(), list.New(), list.New(), map[int32]*s3entry{}}
}

func (c *s3fifo) get(key int32) bool {
	e := c.entries[key]
	if e != nil && e.queue != c.ghost {
		e.freq = min(e.freq+1, 3)
		return true
	}
	for c.small.Len()+c.main.Len() >= c.capacity {
		c.evict()
	}
	if e = c.entries[key]; e != nil {
		c.move(e, c.main)
		return false
	}
	e = &s3entry{key: key}
	c.entries[key] = e
	c.move(e, c.small)
	return false
}

func (c *s3fifo) evict() {
	if c.small.Len() < max(1, c.capacity/10) && c.main.Len() > 0 {
		c.evictMain()
		return
	}
	for c.small.Len() > 0 {
		e := c.small.Back().Value.(*s3entry)
		if e.freq > 1 {
			c.move(e, c.main)
			continue
		}
		c.move(e, c.ghost)
		if c.ghost.Len() > c.capacity-c.capacity/10 {
			c.remove(c.ghost.Back().Value.(*s3entry))
		}
		return
	}
	c.evictMain()
}

func (c *s3fifo) evictMain() {
	for {
		e := c.main.Back().Value.(*s3entry)
		if e.freq == 0 {
			c.remove(e)
			return
		}
		freq := e.freq - 1
		c.move(e, c.main)
		e.freq = freq
	}
}

// move puts e at the head of a queue, with no hits.
func (c *s3fifo) move(e *s3entry, to *list.List) {
	if e.queue != nil {
		e.queue.Remove(e.place)
	}
	e.queue, e.freq = to, 0
	e.place = to.PushFront(e)
}

func (c *s3fifo) remove(e *s3entry) {
	e.queue.Remove(e.place)
	delete(c.entries, e.key)
}
