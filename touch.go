package corral

// Touch counts a value that Peek found, and that was used, as the hit that Get
// would have made of it. It is for callers who must see a value before they
// know whether it is theirs.
func (c *Cache[V]) Touch(key string) {
	if e := c.table.Get(key); e != nil {
		e.node.Touch()
		c.n.hits.inc()
	}
}
