package main

import "context"

// cacheAside is what everybody begins with: look into Redis, and whoever finds
// nothing asks the database. Between the first who finds nothing and the first
// who has written, everybody finds nothing.
func (s *service) cacheAside(ctx context.Context) (List, error) {
	var list List
	if found, err := s.get(ctx, &list); found || err != nil {
		return list, err
	}
	return s.queryAndSet(ctx)
}
