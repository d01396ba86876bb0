package server

import (
	"context"
	"time"
)

// idlePause is how often it is looked whether the process is idle.
const idlePause = 5 * time.Second

// idleRequests is how many requests may end within idlePause in a process that
// is idle: scrapers and checks of health do not keep it awake.
const idleRequests = 10

// settle gives what dead objects take back to the system when few requests
// come, once after each time of activity. Without requests there is nothing
// that makes Go collect, and what was garbage when the last one ended would
// stay in memory until the next.
func (s *Server) settle(stop context.Context, free func()) {
	ticker := time.NewTicker(idlePause)
	defer ticker.Stop()
	last, settled := s.ended.Load(), true
	for {
		select {
		case <-stop.Done():
			return
		case <-ticker.C:
		}
		ended := s.ended.Load()
		idle := ended-last < idleRequests && s.inFlight.Load() < idleRequests
		if idle && !settled {
			free()
		}
		last, settled = ended, idle
	}
}
