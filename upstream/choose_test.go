package upstream

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Unix(1_000_000_000, 0)

// newRoster makes a roster of members a, b, c … with weights.
func newRoster(policy Policy, weights ...int) *roster {
	r := &roster{policy: policy, limit: -1}
	for i, w := range weights {
		r.members = append(r.members, &member{
			index: i, weight: w, seed: mix(hash(letter(i))),
			standing: standing{after: 1, forTime: time.Second, maxTime: time.Minute, downAfter: 1, upAfter: 1},
		})
	}
	return r
}

func letter(i int) string { return string(rune('a' + i)) }

// name is the letter of a member.
func name(m *member) string {
	if m == nil {
		return "-"
	}
	return letter(m.index)
}

// choices are n in a row of requests that end before the next.
func choices(r *roster, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(name(r.choose(start, mix(uint64(i)), nil)))
	}
	return b.String()
}

func TestTurnsAreSpreadAsEvenlyAsWeightsAllow(t *testing.T) {
	for _, policy := range []Policy{RoundRobin, LeastRequests} {
		for _, row := range []struct {
			weights []int
			want    string
		}{
			{[]int{1}, "aaa"},
			{[]int{1, 1}, "abab"},
			{[]int{2, 1}, "abaaba"},
			{[]int{5, 1, 1}, "aabacaaaabacaa"},
			{[]int{1, 3}, "babbbabb"},
		} {
			if got := choices(newRoster(policy, row.weights...), len(row.want)); got != row.want {
				t.Errorf("policy %d, weights %v: %s, want %s", policy, row.weights, got, row.want)
			}
		}
	}
}

func TestLeastRequestsAreCountedByWeight(t *testing.T) {
	for _, row := range []struct {
		weights, inFlight []int
		want              string
	}{
		{[]int{1, 1}, []int{1, 0}, "b"},
		{[]int{1, 1, 1}, []int{3, 2, 1}, "c"},
		{[]int{2, 1}, []int{1, 1}, "a"},
		{[]int{2, 1}, []int{2, 1}, "a"}, // equal: a's turn
		{[]int{2, 1}, []int{3, 1}, "b"},
		{[]int{3, 2, 1}, []int{6, 3, 2}, "b"},
		{[]int{1, 1, 1}, []int{2, 1, 1}, "b"},
	} {
		r := newRoster(LeastRequests, row.weights...)
		for i, n := range row.inFlight {
			r.members[i].inFlight = n
		}
		if got := choices(r, 1); got != row.want {
			t.Errorf("weights %v with %v in flight: %s, want %s", row.weights, row.inFlight, got, row.want)
		}
	}
}

func TestRoundRobinDoesNotLookAtWhatIsInFlight(t *testing.T) {
	r := newRoster(RoundRobin, 1, 1)
	r.members[0].inFlight = 100
	if got := choices(r, 4); got != "abab" {
		t.Fatalf("chose %s, want abab", got)
	}
}

func TestAMemberWithItsLimitIsNotChosen(t *testing.T) {
	for _, policy := range []Policy{LeastRequests, RoundRobin, Hash} {
		r := newRoster(policy, 1, 1, 1)
		r.limit = 2
		r.members[0].inFlight, r.members[1].inFlight, r.members[2].inFlight = 2, 1, 2
		if got := choices(r, 4); got != "bbbb" {
			t.Errorf("policy %d: chose %s, want bbbb", policy, got)
		}
		r.members[1].inFlight = 2
		if got := choices(r, 1); got != "-" {
			t.Errorf("policy %d: chose %s although none has room", policy, got)
		}
	}
}

func TestHealthIsIgnoredBelowTheMinimum(t *testing.T) {
	for _, row := range []struct {
		minHealthy float64
		down       string
		want       string
	}{
		{0, "", "abcdabcd"},
		{0, "a", "bcdbcdbc"},
		{0, "abc", "dddddddd"},
		{0, "abcd", "abcdabcd"},
		{0.5, "ab", "cdcdcdcd"},
		{0.5, "abc", "abcdabcd"},
		{0.51, "ab", "abcdabcd"},
		{1, "a", "abcdabcd"},
	} {
		r := newRoster(RoundRobin, 1, 1, 1, 1)
		r.minHealthy = row.minHealthy
		for _, m := range r.members {
			m.standing.down = strings.Contains(row.down, name(m))
		}
		if got := choices(r, 8); got != row.want {
			t.Errorf("at least %v healthy, %q down: %s, want %s", row.minHealthy, row.down, got, row.want)
		}
	}
}

func TestWhatWasTriedIsChosenOnlyIfNothingElseIs(t *testing.T) {
	for _, policy := range []Policy{LeastRequests, RoundRobin, Hash} {
		r := newRoster(policy, 9, 9, 1)
		a, b, c := r.members[0], r.members[1], r.members[2]
		if got := r.choose(start, 1, []*member{a, b}); got != c {
			t.Errorf("policy %d: chose %s, want c", policy, name(got))
		}
		if got := r.choose(start, 1, []*member{a, b, c}); got == nil {
			t.Errorf("policy %d: chose none after all were tried", policy)
		}
		r.limit, c.inFlight = 1, 1
		if got := r.choose(start, 1, []*member{a, b}); got != nil {
			t.Errorf("policy %d: chose %s, which was tried, while another is only full", policy, name(got))
		}
		c.standing.down = true
		if got := r.choose(start, 1, []*member{a, b}); got == nil || got == c {
			t.Errorf("policy %d: chose %s, want a or b, since c is down", policy, name(got))
		}
	}
}

func TestAServerThatLeavesMovesItsOwnKeysOnly(t *testing.T) {
	r := newRoster(Hash, 1, 1, 1, 1)
	before := choices(r, 4000)
	r.members[2].standing.down = true
	after := choices(r, 4000)
	moved := 0
	for i := range before {
		switch {
		case before[i] == 'c':
			moved++
		case before[i] != after[i]:
			t.Fatalf("key %d moved from %c to %c", i, before[i], after[i])
		}
	}
	if moved < 900 || moved > 1100 {
		t.Fatalf("%d of 4000 keys were c's, want about 1000", moved)
	}
	r.members[2].standing.down = false
	slices.Reverse(r.members)
	if got := choices(r, 4000); got != before {
		t.Fatal("keys depend on the order of servers, or on what happened between")
	}
}

func TestKeysAreSpreadByWeight(t *testing.T) {
	const n = 60_000
	got := choices(newRoster(Hash, 1, 2, 3), n)
	for i, want := range []float64{n / 6, n / 3, n / 2} {
		// Five standard deviations of a fair draw; the draw is always the same.
		if count := float64(strings.Count(got, letter(i))); math.Abs(count-want) > 5*math.Sqrt(want) {
			t.Errorf("%s has %v keys, want about %v", letter(i), count, want)
		}
	}
}

func TestOneHotKeyIsSpreadOverServersByTheBound(t *testing.T) {
	for _, row := range []struct {
		bound float64
		want  []int // in flight, sorted, after 40 requests for one key that do not end
	}{
		{0, []int{0, 0, 0, 40}},
		{1.25, []int{2, 12, 13, 13}},
		{2, []int{0, 0, 20, 20}},
	} {
		r := newRoster(Hash, 1, 1, 1, 1)
		r.hashBound = row.bound
		var got []int
		for range 40 {
			r.choose(start, 7, nil).inFlight++
		}
		for _, m := range r.members {
			got = append(got, m.inFlight)
		}
		slices.Sort(got)
		if !slices.Equal(got, row.want) {
			t.Errorf("bound %v: %v in flight, want %v", row.bound, got, row.want)
		}
	}
}

// TestAHashIsTheSameInEveryProcess holds what is agreed between processes of
// different versions: a change would move all keys at the next deployment.
func TestAHashIsTheSameInEveryProcess(t *testing.T) {
	if got, want := hash("http", "shop.test", "/"), uint64(0x93c32c2205e2a396); got != want {
		t.Errorf("hash = %#x, want %#x", got, want)
	}
	if hash("a", "b") == hash("ab", "") {
		t.Error("hash does not tell where a text ends")
	}
	if got := choices(newRoster(Hash, 1, 1, 1), 16); got != "caccaabbaabcacab" {
		t.Errorf("keys are at %s", got)
	}
}

func TestTheFirstToComeBackIsNotLeftAlone(t *testing.T) {
	for _, row := range []struct {
		healthy bool // a third one
		want    bool
	}{{false, true}, {true, false}} {
		r := newRoster(RoundRobin, 1, 1, 1)
		for _, m := range r.members[:2] {
			m.standing.ends(start, failed)
		}
		r.members[2].standing.down = !row.healthy
		back := &r.members[0].standing
		back.ends(start, answered)
		r.returned(start, r.members[0])
		if got := r.members[1].standing.available(start); got != row.want {
			t.Errorf("with another healthy (%v): the second may be tried: %v, want %v", row.healthy, got, row.want)
		}
	}
}

// FuzzAChoiceIsByTheRules plays requests that come, end and fail.
func FuzzAChoiceIsByTheRules(f *testing.F) {
	f.Add([]byte{0, 2, 0, 5, 1, 9, 200, 3, 7, 7, 7})
	f.Add([]byte{2, 1, 130, 8, 16, 24, 32, 1, 2, 3, 255})
	f.Fuzz(func(t *testing.T, play []byte) {
		if len(play) < 3 {
			return
		}
		r := newRoster(Policy(play[0]%3), 1, 2, 3, 1)
		r.limit, r.minHealthy = int(play[1]%4)+1, float64(play[2]%5)/4
		if play[2] >= 128 && r.policy == Hash {
			r.hashBound = 1.25
		}
		now := start
		for i, b := range play[3:] {
			now = now.Add(time.Duration(b%8) * time.Second / 4)
			m := r.members[b>>3&3]
			switch b >> 5 {
			case 0, 1, 2, 3: // a request that stays
				available := 0
				room := false
				for _, o := range r.members {
					if o.standing.available(now) {
						available++
					}
				}
				ignored := available == 0 || float64(available) < r.minHealthy*float64(len(r.members))
				for _, o := range r.members {
					room = room || (ignored || o.standing.available(now)) && o.inFlight < r.limit
				}
				got := r.choose(now, mix(uint64(b)), nil)
				switch {
				case (got != nil) != room:
					t.Fatalf("step %d: chose %s, room: %v (C4)", i, name(got), room)
				case got == nil:
				case got.inFlight >= r.limit:
					t.Fatalf("step %d: chose %s with %d in flight (C1)", i, name(got), got.inFlight)
				case !ignored && !got.standing.available(now):
					t.Fatalf("step %d: chose %s, which is not available (C2)", i, name(got))
				default:
					got.inFlight++
				}
			case 4:
				m.inFlight = max(0, m.inFlight-1)
			case 5, 6:
				o := []outcome{failed, answered}[b>>5-5]
				m.standing.end(now, m.standing.begin(now), o)
			case 7:
				m.standing.asked(b&1 == 0)
			}
		}
	})
}
