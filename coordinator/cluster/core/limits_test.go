package core

import "testing"

func TestWhatIsBeyondALimitIsRefused(t *testing.T) {
	t.Run("parked on a key", func(t *testing.T) {
		transcript(t, scene{self: "o", others: "a", limits: Limits{ParkedOnKey: 1}}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Join ask=2 key=k gen=1 wait=30s
			→ a: Parked ask=2 flight=0.1.1 holder=a/1
		a: Join ask=3 key=k gen=1 wait=30s
			→ a: Reply ask=3 kind=overloaded gen=1
		# who leaves makes room
		a: Leave ask=2
		a: Join ask=4 key=k gen=1 wait=30s
			→ a: Parked ask=4 flight=0.1.1 holder=a/1
	`)
	})
	t.Run("parked", func(t *testing.T) {
		transcript(t, scene{self: "o", others: "a", limits: Limits{Parked: 1}}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Join ask=2 key=other gen=1 wait=30s
			→ a: Reply ask=2 kind=lease gen=1 flight=0.1.2 life=30s
		a: Join ask=3 key=k gen=1 wait=30s
			→ a: Parked ask=3 flight=0.1.1 holder=a/1
		a: Join ask=4 key=other gen=1 wait=30s
			→ a: Reply ask=4 kind=overloaded gen=1
	`)
	})
	t.Run("parked while the owner recovers", func(t *testing.T) {
		transcript(t, scene{self: "o", others: "a", table: "2:o/1@2", limits: Limits{Parked: 1}}, `
		a: Join ask=1 key=k gen=2 wait=30s
		a: Join ask=2 key=other gen=2 wait=30s
			→ a: Reply ask=2 kind=overloaded gen=2
	`)
	})
	t.Run("parked until the owner has applied what they have", func(t *testing.T) {
		transcript(t, scene{self: "o", others: "a", limits: Limits{Parked: 1}}, `
		a: Join ask=1 key=k gen=1 since=11 wait=30s
		a: Join ask=2 key=k gen=1 since=11 wait=30s
			→ a: Reply ask=2 kind=overloaded gen=1
	`)
	})
	t.Run("flights", func(t *testing.T) {
		transcript(t, scene{self: "o", others: "a", limits: Limits{Flights: 1}}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Join ask=2 key=other gen=1 wait=30s
			→ a: Reply ask=2 kind=overloaded gen=1
		a: Join ask=3 key=k gen=1 wait=30s
			→ a: Parked ask=3 flight=0.1.1 holder=a/1
	`)
	})
	t.Run("asks", func(t *testing.T) {
		transcript(t, scene{self: "a", others: "o", table: "1:o/1@1", limits: Limits{Asks: 1}}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		Ask id=2 key=k wait=30s
			→ Answered ask=2 kind=overloaded
	`)
	})
}

func TestTheOldestMarkMakesRoom(t *testing.T) {
	transcript(t, scene{self: "o", others: "a", limits: Limits{Marks: 1}}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Outcome flight=0.1.1 key=k kind=error failure=7+10s
			→ a: Taken flight=0.1.1
		a: Join ask=2 key=other gen=1 wait=30s
			→ a: Reply ask=2 kind=lease gen=1 flight=0.1.2 life=30s
		a: Outcome flight=0.1.2 key=other kind=error failure=8+10s
			→ a: Taken flight=0.1.2
		a: Join ask=3 key=other gen=1 wait=30s
			→ a: Reply ask=3 kind=error gen=1 failure=8+10s
		a: Join ask=4 key=k gen=1 wait=30s
			→ a: Reply ask=4 kind=lease gen=1 flight=0.1.3 life=30s
	`)
}

func TestAnAnswerToAHeartbeatCountsHoweverManyLeasesWereTakenMeanwhile(t *testing.T) {
	p := begin(t, scene{self: "a", others: "o", table: "1:o/1@1"})
	grant := func(id uint64) {
		p.step(Ask{ID: id, Key: "k", Wait: readDuration("30s")})
		p.step(Received{Node{"o", 1}, p.session["o"], Reply{Ask: id, Kind: KindLease, Gen: 1, Flight: Flight{0, 1, id}, Life: readDuration("30s")}})
	}
	grant(1)
	p.play("+1s")
	for id := range uint64(3 * maxBeats) {
		grant(2 + id)
	}
	p.play("o: Extended round=1 kept=0.1.1")
	if got, want := p.held[Flight{0, 1, 1}].until.Sub(p.began), readDuration("5.9s"); got != want {
		t.Errorf("extended until %v, want %v", got, want)
	}
}

func TestTheFirstHeartbeatOfEachOfManyLeasesCounts(t *testing.T) {
	p := begin(t, scene{self: "a", others: "o", table: "1:o/1@1"})
	for id := range uint64(3 * maxBeats) {
		p.step(Ask{ID: id, Key: "k", Wait: readDuration("30s")})
	}
	for id := range uint64(3 * maxBeats) {
		p.step(Received{Node{"o", 1}, p.session["o"], Reply{Ask: id, Kind: KindLease, Gen: 1, Flight: Flight{0, 1, id}, Life: readDuration("30s")}})
	}
	for id := range uint64(3 * maxBeats) {
		p.step(Received{Node{"o", 1}, p.session["o"], Extended{Kept: []Flight{{0, 1, id}}}})
	}
	for id, h := range p.held {
		if got, want := h.until.Sub(p.began), readDuration("4.9s"); got != want {
			t.Errorf("%v is extended until %v, want %v", id, got, want)
		}
	}
}
