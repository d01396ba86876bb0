package server

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsGivenBackOnceAfterEachTimeOfActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, freed := new(Server), 0
		go s.settle(t.Context(), func() { freed++ })
		for _, step := range []struct {
			ended, inFlight int64 // in the next idlePause
			freed           int
		}{
			{0, 0, 0}, // nothing was done yet
			{idleRequests, 0, 0},
			{idleRequests - 1, 0, 1},
			{0, 0, 1},
			{1000, 0, 1},
			{0, idleRequests, 1}, // nothing ends, but much runs
			{0, idleRequests - 1, 2},
		} {
			s.ended.Add(step.ended)
			s.inFlight.Store(step.inFlight)
			time.Sleep(idlePause)
			synctest.Wait()
			if freed != step.freed {
				t.Fatalf("%+v: given back %d times", step, freed)
			}
		}
	})
}
