package table

import (
	"math/rand/v2"
	"testing"
)

func TestAGhostTellsOnceWhereItCameFromAndWhen(t *testing.T) {
	for _, c := range []struct {
		name     string
		fromMain bool
		age, now uint16
		later    uint16
		want     uint16
	}{
		{"from small, at once", false, 0, 0, 0, 0},
		{"from main", true, 5, 9, 0, 5},
		{"time goes on", false, 5, 9, 7, 12},
		{"across the end of the clock", true, 5, 65_535, 3, 8},
		{"stamped before the clock's end", false, 10, 2, 1, 11},
		{"the oldest that can be told", false, stampMask, 40_000, 0, stampMask},
		{"older than can be told", false, stampMask + 1, 40_000, 0, stampMask},
	} {
		t.Run(c.name, func(t *testing.T) {
			var gs ghosts
			const hash = 0xfeed_beef_dead_cafe
			gs.add(hash, c.fromMain, c.age, c.now, 1)
			is(t, "take(another)", gs.take(hash^1), 0)
			g := gs.take(hash)
			is(t, "fromMain()", g.fromMain(), c.fromMain)
			is(t, "age()", g.age(c.now+c.later), c.want)
			is(t, "take() again", gs.take(hash), 0)
		})
	}
}

func TestAGhostOfAHashWithoutLowBitsIsNotAnEmptySlot(t *testing.T) {
	var gs ghosts
	is(t, "take() of an empty table", gs.take(0), 0)
	gs.add(0, false, 0, 0, 1)
	is(t, "take() = 0", gs.take(0) == 0, false)
	is(t, "take() again", gs.take(0), 0)
}

func TestABucketForgetsItsOldestGhost(t *testing.T) {
	var gs ghosts
	for i := range uint64(slotsPerBucket + 1) {
		gs.add(i+1, false, uint16(i), 0, 1)
	}
	is(t, "take(the first)", gs.take(1), 0)
	for i := uint64(1); i <= slotsPerBucket; i++ {
		is(t, "age()", gs.take(i+1).age(0), uint16(i))
	}
}

func TestGhostsRememberAboutTwoTurnsInBoundedMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var gs ghosts
	var hashes []uint64
	for _, values := range []int{10_000, 11_000, 14_000, 20_000, 60_000, 5_000, 100} {
		for range 4 * values {
			hashes = append(hashes, r.Uint64())
			gs.add(hashes[len(hashes)-1], false, 0, 0, values)
		}
		if slots, most := len(gs.buckets)*slotsPerBucket, max(minBuckets*slotsPerBucket*5/4, values*5/2+slotsPerBucket); slots > most {
			t.Errorf("%d slots for %d values, want at most %d", slots, values, most)
		}
		found := 0
		for _, h := range hashes[len(hashes)-values:] {
			if gs.take(h) != 0 {
				found++
			}
		}
		if found < values*98/100 {
			t.Errorf("%d of the last %d ghosts are there, want 98 %%", found, values)
		}
		for i := range gs.buckets {
			for j := 1; j < slotsPerBucket; j++ {
				if gs.buckets[i][j-1] == 0 && gs.buckets[i][j] != 0 {
					t.Fatalf("G2: bucket %d has a hole at %d", i, j-1)
				}
			}
		}
	}
}

func TestGhostsSurviveAChangeOfSize(t *testing.T) {
	for _, to := range []int{50, 99, 101, 125, 200, 1000} {
		r := rand.New(rand.NewPCG(1, 2))
		var gs ghosts
		gs.buckets = make([]bucket, 100)
		hashes := make([]uint64, 400) // so few that no bucket overflows
		for i := range hashes {
			hashes[i] = r.Uint64()
			b := gs.bucket(hashes[i])
			copy(b[1:], b[:])
			b[0] = fingerprint(hashes[i])
		}
		gs.resize(to)
		found := 0
		for _, h := range hashes {
			if gs.take(h) != 0 {
				found++
			}
		}
		if want := 396; found < want {
			t.Errorf("from 100 to %d buckets %d of 400 ghosts survived, want %d", to, found, want)
		}
	}
}

func TestAStrangerIsRarelyTakenForAGhost(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var gs ghosts
	for range 100_000 {
		gs.add(r.Uint64(), false, 0, 0, 10_000)
	}
	mistaken := 0
	for range 1_000_000 {
		if gs.take(r.Uint64()) != 0 {
			mistaken++
		}
	}
	if mistaken > 250 {
		t.Errorf("%d of 1,000,000 strangers were taken for ghosts, want at most 250", mistaken)
	}
}
