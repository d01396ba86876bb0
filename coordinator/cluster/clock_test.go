package cluster

import (
	"testing"
	"time"
)

func TestATenureEndsNoLaterThanItsLeaseHoweverLateItIsPublished(t *testing.T) {
	until := boottime().Add(time.Second)
	time.Sleep(20 * time.Millisecond) // what a step takes, or for how long the process is stopped in it
	var tenure tenure
	tenure.extend(until)
	ours := until.Sub(boottime())
	if left := time.Until(tenure.now.Load().mono); left > ours {
		t.Errorf("the tenure runs for %v, and the lease for %v", left, ours)
	}
	tenure.extend(boottime())
	if tenure.standing() {
		t.Error("the tenure runs, and the lease is over")
	}
}
