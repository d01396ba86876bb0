package etcd

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var three = []string{"127.0.0.1:7070", "127.0.0.2:7070", "127.0.0.3:7070"}

// A village is some nodes that reach each other without a network.
type village struct {
	t   *testing.T
	dir string

	mu   sync.Mutex
	runs map[string]*Bootstrap // by address; nil: it is down
}

func newVillage(t *testing.T) *village {
	return &village{t: t, dir: t.TempDir(), runs: make(map[string]*Bootstrap)}
}

func (v *village) dirOf(address string) string {
	return filepath.Join(v.dir, strings.ReplaceAll(address, ":", "_"))
}

func (v *village) config(address string, peers []string, begin bool) BootstrapConfig {
	return BootstrapConfig{Self: address, Peers: peers, New: begin, Dir: v.dirOf(address), Ask: v.ask, Log: new(logged).logger()}
}

func (v *village) ask(_ context.Context, address string, mine []byte) ([]byte, error) {
	v.mu.Lock()
	b := v.runs[address]
	v.mu.Unlock()
	if b == nil {
		return nil, errors.New("connection refused")
	}
	return b.Answer(mine, func(string) error { return nil })
}

func (v *village) up(c BootstrapConfig) (*Bootstrap, error) {
	b, err := NewBootstrap(c)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.runs[c.Self] = b
	return b, err
}

func (v *village) down(address string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.runs, address)
}

type planned struct {
	Plan
	err error
	at  time.Duration
}

// run starts a node that looks for the cluster.
func (v *village) run(c BootstrapConfig) <-chan planned {
	v.t.Helper()
	b, err := v.up(c)
	if err != nil {
		v.t.Fatal(err)
	}
	begun, found := time.Now(), make(chan planned, 1)
	go func() {
		p, err := b.Run(v.t.Context())
		found <- planned{p, err, time.Since(begun)}
	}()
	return found
}

func TestNodesThatBeginTogetherAreOneCluster(t *testing.T) {
	for name, begin := range map[string][]bool{"all may": {true, true, true}, "one may": {false, false, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVillage(t)
				var all []<-chan planned
				for i, address := range three {
					all = append(all, v.run(v.config(address, rotated(three, i), begin[i])))
					time.Sleep(time.Second)
				}
				first := <-all[0]
				for i, address := range three {
					p := first
					if i > 0 {
						p = <-all[i]
					}
					if p.err != nil || p.Cluster != first.Cluster || p.Server == nil || p.Server.Token != p.Cluster ||
						!reflect.DeepEqual(p.Server.Members, first.Server.Members) || p.Server.Members[address] != p.Server.Peer ||
						p.Endpoints[0] != p.Server.Client || len(p.Endpoints) != 3 {
						t.Fatalf("node %s: got %+v, want the cluster of %+v", address, p, first)
					}
					if p.at > time.Duration(2-i)*time.Second+3*askEvery {
						t.Errorf("node %s was without a plan for %v", address, p.at)
					}
				}

				v.down(three[1])
				v.down(three[2])
				again := <-v.run(v.config(three[0], three, false))
				again.at, first.at = 0, 0
				if !reflect.DeepEqual(again, first) {
					t.Errorf("a node that starts again, alone: got %+v, want %+v", again, first)
				}
			})
		})
	}
}

func rotated(all []string, by int) []string { return slices.Concat(all[by:], all[:by]) }

func TestANodeBehindTheFirstThreeLearnsWhereEtcdIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t)
		four := append(slices.Clone(three), "127.0.0.4:7070")
		late := v.run(v.config(four[3], four, true))
		time.Sleep(time.Second)
		var first planned
		for i, address := range three {
			defer func(p <-chan planned) { <-p }(v.run(v.config(address, three, i == 0)))
		}
		first = <-late
		if first.err != nil || first.Server != nil || len(first.Endpoints) != 3 {
			t.Fatalf("the fourth node: got %+v, want three endpoints and no server", first)
		}
		for _, address := range three {
			v.down(address)
		}
		again := <-v.run(v.config(four[3], four, false))
		if again.err != nil || again.Cluster != first.Cluster || again.at != 0 {
			t.Errorf("the fourth node again, alone: got %+v, want %+v at once", again, first)
		}
	})
}

func TestOneNodeBeginsAloneOnlyWhenItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t)
		if p := <-v.run(v.config(three[0], three[:1], false)); !errors.Is(p.err, ErrBegin) || p.at != 0 || !strings.Contains(p.err.Error(), "begin a cluster with --cluster.new") {
			t.Fatalf("alone, without --cluster.new: got %+v", p)
		}
		if p := <-v.run(v.config(three[0], three[:1], true)); p.err != nil || p.at != 0 || len(p.Server.Members) != 1 {
			t.Fatalf("alone, with --cluster.new: got %+v", p)
		}
		p := <-v.run(v.config(three[1], three[:2], false))
		if p.err != nil || p.Server != nil || p.Cluster == "" {
			t.Fatalf("the second of two: got %+v", p)
		}
	})
}

func TestAnEmptyDirectoryIsPatientAndThenSaysWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		up    int
		begin bool
		says  string
	}{
		"nobody answers":         {1, true, "no answer from 127.0.0.2:7070 (connection refused), 127.0.0.3:7070 (connection refused)"},
		"nobody may begin":       {3, false, "no node that runs etcd was started with --cluster.new"},
		"one of three is silent": {2, true, "no answer from 127.0.0.3:7070 (connection refused)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVillage(t)
				var all []<-chan planned
				for _, address := range three[:test.up] {
					all = append(all, v.run(v.config(address, three, test.begin)))
				}
				for i := range all {
					p := <-all[i]
					if !errors.Is(p.err, ErrBegin) || p.at != DefaultPatience || i == 0 && !strings.Contains(p.err.Error(), test.says) {
						t.Errorf("got %v after %v, want %q after %v", p.err, p.at, test.says, DefaultPatience)
					}
				}
			})
		})
	}
}

func TestNodesThatDoNotFitTogetherRefuse(t *testing.T) {
	begun := func(t *testing.T, v *village) {
		var all []<-chan planned
		for _, address := range three {
			all = append(all, v.run(v.config(address, three, true)))
		}
		for _, p := range all {
			if p := <-p; p.err != nil {
				t.Fatal(p.err)
			}
		}
	}
	wipe := func(t *testing.T, v *village, address string) {
		v.down(address)
		if err := os.RemoveAll(v.dirOf(address)); err != nil {
			t.Fatal(err)
		}
	}
	const fourth = "127.0.0.4:7070"
	for name, test := range map[string]struct {
		do   func(*testing.T, *village) error
		says string
	}{
		"a member that lost its directory": {func(t *testing.T, v *village) error {
			begun(t, v)
			wipe(t, v, three[2])
			return (<-v.run(v.config(three[2], three, true))).err
		}, "with another data directory than"},
		"other peers at another node": {func(t *testing.T, v *village) error {
			v.run(v.config(three[0], three, false))
			return (<-v.run(v.config(fourth, []string{three[0], three[1], fourth}, false))).err
		}, "name the same ones everywhere"},
		"other peers than the cluster has": {func(t *testing.T, v *village) error {
			begun(t, v)
			_, err := v.up(v.config(three[0], []string{three[0], three[1], fourth}, false))
			return err
		}, "name the former first"},
		"two clusters meet": {func(t *testing.T, v *village) error {
			begun(t, v)
			wipe(t, v, three[1])
			wipe(t, v, three[2])
			kept := v.runs[three[0]]
			v.down(three[0])
			other := v.config(three[0], three, true)
			other.Dir = filepath.Join(v.dir, "other")
			begunAgain := []<-chan planned{v.run(other), v.run(v.config(three[1], three, true)), v.run(v.config(three[2], three, true))}
			for _, p := range begunAgain {
				<-p
			}
			v.runs[three[0]] = kept
			return (<-v.run(v.config(fourth, append(slices.Clone(three), fourth), false))).err
		}, "two clusters meet"},
		"a directory of another node": {func(t *testing.T, v *village) error {
			begun(t, v)
			c := v.config(three[0], three, false)
			c.Dir = v.dirOf(three[1])
			_, err := v.up(c)
			return err
		}, "is of the node at 127.0.0.2:7070, not of 127.0.0.1:7070"},
		"other ports than the others know": {func(t *testing.T, v *village) error {
			begun(t, v)
			c := v.config(three[0], three, false)
			c.Listen = "127.0.0.1:1,2"
			_, err := v.up(c)
			return err
		}, "leave out --cluster.etcd-listen"},
		"a node named otherwise elsewhere": {func(t *testing.T, v *village) error {
			b, err := v.up(v.config(three[0], three, false))
			if err != nil {
				t.Fatal(err)
			}
			v.runs["127.0.0.9:7070"] = b
			return (<-v.run(v.config(three[1], []string{"127.0.0.9:7070", three[1], three[2]}, true))).err
		}, "the node there calls itself 127.0.0.1:7070"},
		"a file that cannot be read": {func(t *testing.T, v *village) error {
			begun(t, v)
			if err := os.WriteFile(filepath.Join(v.dirOf(three[0]), "etcd-begin"), []byte(`{"format":2}`), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := v.up(v.config(three[0], three, false))
			return err
		}, "format 2"},
		"no peers": {func(t *testing.T, v *village) error { _, err := v.up(v.config(three[0], nil, true)); return err }, "--cluster.peers"},
		"a peer twice": {func(t *testing.T, v *village) error {
			_, err := v.up(v.config("a:1", []string{"a:1", "a:1"}, true))
			return err
		}, "name each once"},
		"ports that are none": {func(t *testing.T, v *village) error {
			c := v.config(three[0], three, true)
			c.Listen = "127.0.0.1:1"
			_, err := v.up(c)
			return err
		}, "is not HOST:PEERPORT,CLIENTPORT"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVillage(t)
				if err := test.do(t, v); !errors.Is(err, ErrBegin) || !strings.Contains(err.Error(), test.says) {
					t.Fatalf("got %v, want ErrBegin with %q", err, test.says)
				}
			})
		})
	}
}

// Whatever order nodes hear each other in, and start again in, and with however
// many directories emptied before their nodes had agreed.
func TestANodeAgreesOnceAndWithItsOwnOffer(t *testing.T) {
	agreements := 0
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 0))
		v, agreed := newVillage(t), make(map[string]string)
		restart := func(address string) {
			if _, err := v.up(v.config(address, three, true)); err != nil {
				t.Fatal(err)
			}
		}
		for _, address := range three {
			restart(address)
		}
		for step := range 60 {
			address := three[random.IntN(3)]
			b := v.runs[address]
			switch random.IntN(8) {
			case 0:
				restart(address)
			case 1:
				if b.mine.Agreed == nil {
					if err := os.RemoveAll(v.dirOf(address)); err != nil {
						t.Fatal(err)
					}
					restart(address)
				}
			case 2, 3:
				_, _ = b.decide()
			default:
				if other := three[random.IntN(3)]; other != address {
					mine, _ := b.mine.encode()
					_ = b.askOne(t.Context(), other, mine)
				}
			}
			now := v.runs[address].mine
			if was := agreed[address]; now.Agreed == nil && was != "" || was != "" && was != now.Agreed.Cluster {
				t.Fatalf("seed %d, step %d: %s agreed to %s, and then to %+v", seed, step, address, was, now.Agreed)
			}
			if now.Agreed != nil {
				agreed[address] = now.Agreed.Cluster
				if now.Agreed.Members[address] != *now.Offer {
					t.Fatalf("seed %d, step %d: %s offers %+v, and agreed to %+v", seed, step, address, now.Offer, now.Agreed)
				}
			}
		}
		agreements += len(agreed)
	}
	if agreements == 0 {
		t.Error("nobody ever agreed")
	}
}

func FuzzAnAnnouncementIsRefusedOrComesBack(f *testing.F) {
	members := map[string]Offer{"a:1": {ID: "i", Peer: "a:2", Client: "a:3"}}
	agreed := agree(members)
	for _, a := range []Announcement{
		{From: "a:1", Voters: []string{"a:1"}, New: true},
		{From: "a:1", Voters: []string{"a:1", "b:1", "c:1"}, Offer: &Offer{ID: "i", Peer: "a:2", Client: "a:3"}, Agreed: &agreed},
	} {
		data, err := a.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := decodeAnnouncement(data)
		if errors.Is(err, ErrFormat) {
			return
		}
		if err != nil {
			t.Fatalf("decodeAnnouncement(%q): %v", data, err)
		}
		again, err := a.encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeAnnouncement(again); err != nil || !reflect.DeepEqual(back, a) {
			t.Fatalf("decodeAnnouncement(%q): got %+v, %v, want %+v", again, back, err, a)
		}
	})
}

func TestTheSameOffersAreTheSameCluster(t *testing.T) {
	offers := map[string]Offer{"a:7070": {ID: "I", Peer: "a:1", Client: "a:2"}}
	if got, want := agree(offers).Cluster, "5ba4f256-71aa-af98-fd5a-9ecc45484743"; got != want {
		t.Errorf("agree(%v): got %s, want %s", offers, got, want)
	}
	offers["a:7070"] = Offer{ID: "J", Peer: "a:1", Client: "a:2"}
	if got, other := agree(offers).Cluster, "5ba4f256-71aa-af98-fd5a-9ecc45484743"; got == other {
		t.Errorf("agree(%v): got %s, want another", offers, got)
	}
}
