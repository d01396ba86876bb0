package etcd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestAMemberThatIsStoppedLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	read, written, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = written, written
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()

	log := new(logged)
	config := members(t, 1)[0]
	config.Log = log.logger()
	s, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	c := dial(t, Config{Endpoints: []string{s.Client()}, Log: log.logger()})
	ctx, cancel := context.WithCancel(t.Context())
	applied, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- c.Watch(ctx, put(t, c, "a", ""), func(Change) { applied <- struct{}{}; <-ctx.Done() })
	}()
	wait(t, applied, "the watch to begin")

	began := time.Now()
	s.Stop()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("Stop with a watch under way took %v: it waited for it to end", took)
	}
	if s.Err() != nil {
		t.Errorf("Err after Stop: got %v, want nil", s.Err())
	}
	cancel()
	wait(t, ended, "the watch to end")
	c.Close()
	for _, address := range []string{config.Peer, config.Client} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatalf("the port of %s: %v", address, err)
		}
		l.Close()
	}
	s.Stop() // again

	os.Stdout, os.Stderr = stdout, stderr
	written.Close()
	if said, _ := io.ReadAll(read); len(said) > 0 {
		t.Errorf("on standard output and error: %q, want nothing", said)
	}
	read.Close()
	goleak.VerifyNone(t, before)
}

func TestWhatEtcdWouldEndTheProcessForEndsTheMember(t *testing.T) {
	s := start(t, members(t, 1)[0])
	ready(t, s)
	log := zapTo(s.config.Log, quiet, zap.WithFatalHook(s.onFatal()))
	after := make(chan bool, 1)
	go func() {
		defer close(after)
		log.Fatal("the disk is gone")
		after <- true
	}()
	if wait(t, after, "the goroutine to end") {
		t.Error("what comes after Fatal was done")
	}
	wait(t, s.Stopped(), "the member to end")
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("Err: got %v, want the disk is gone", err)
	}
}

func TestEtcdsLogIsHandedOnFromWarningsUp(t *testing.T) {
	var out strings.Builder
	handler := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	log := zapTo(slog.New(handler), quiet).With(zap.String("member", "a"))
	log.Debug("no")
	log.Info("no")
	log.Warn("slow", zap.Duration("took", time.Second), zap.Int("n", 2))
	log.Error("broken", zap.Error(errors.New("why")))
	want := `level=WARN msg="etcd: slow" member=a took=1s n=2
level=ERROR msg="etcd: broken" member=a error=why
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestThreeNodesBeginAnEtcdTogether(t *testing.T) {
	v, peers := newVillage(t), []string{freeAddress(t), freeAddress(t), freeAddress(t)}
	var found []<-chan planned
	for _, address := range peers {
		found = append(found, v.run(v.config(address, peers, true)))
	}
	var servers []*Server
	var plans []Plan
	for _, p := range found {
		plan := wait(t, p, "a plan")
		if plan.err != nil {
			t.Fatal(plan.err)
		}
		plan.Server.Log = new(logged).logger()
		servers, plans = append(servers, start(t, *plan.Server)), append(plans, plan.Plan)
	}
	ready(t, servers...)
	revision := put(t, dial(t, Config{Endpoints: plans[0].Endpoints[:1]}), "a", "1")
	got, err := dial(t, Config{Endpoints: plans[2].Endpoints[:1]}).Read(t.Context())
	if want := (KV{[]byte("1"), revision}); err != nil || got.Keys["a"].Revision != want.Revision {
		t.Fatalf("Read at another member: got %+v, %v, want %+v", got, err, want)
	}

	for _, s := range servers { // each in turn, from what its directory knows
		s.Stop()
		b, err := v.up(v.config(s.config.Name, peers, false))
		if err != nil {
			t.Fatal(err)
		}
		plan, err := b.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		plan.Server.Log = s.config.Log
		ready(t, start(t, *plan.Server))
	}
}
