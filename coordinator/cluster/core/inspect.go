package core

// A KeyFlight is what the owner of a key knows of its present load.
type KeyFlight struct {
	Holder  Node // that computes it
	Waiters int  // Joins that wait for it, of all nodes
	Adopted bool // it was granted by an earlier owner of the key
}

// FlightOf is the load of a key of this node's, and false if there is none.
func (c *Core) FlightOf(key string) (KeyFlight, bool) {
	f := c.keys[key]
	if f == nil || f.outcome != nil {
		return KeyFlight{}, false
	}
	return KeyFlight{Holder: f.holder, Waiters: f.live, Adopted: f.adopted}, true
}

// Behind is by how many revisions the watch is behind what the last renewal has
// read. What others have written since is not known here.
func (c *Core) Behind() uint64 {
	if c.renewal.read <= c.applied {
		return 0
	}
	return c.renewal.read - c.applied
}
