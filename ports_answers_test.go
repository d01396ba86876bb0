package corral_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

func TestAStaleAnswerIsKeptAsStale(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		record := text("old")
		record.TTL, record.StaleFor, record.StaleOnError = -time.Second, time.Minute, 2*time.Minute
		r.script.On("a", corraltest.Gives(record), corraltest.Silent())
		g := r.get("a")
		g.want(t, "old", corral.Remote, 0)
		if g.info.TTL != -time.Second || g.item.StaleFor != time.Minute || g.item.StaleOnError != 2*time.Minute {
			t.Fatalf("got %+v, %+v", g.info, g.item)
		}
		r.get("a").want(t, "old", corral.Stale, 0) // and a refresh behind it
		r.wantLog("join a", "join a")
	})
}

func TestAnAnswerToShareIsNotKept(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		record := text("theirs")
		record.Outcome = corral.Share
		r.script.On("a", corraltest.Gives(record))
		for range 2 {
			g := r.get("a")
			g.want(t, "theirs", corral.Remote, 0)
			if g.info.Kept || g.info.Outcome != corral.Share {
				t.Fatalf("got %+v, want a value that is not kept", g.info)
			}
		}
		r.wantLog("join a", "join a")
	})
}

func TestAPassFromTheOwnerLetsEachCallerLoad(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.On("a", corraltest.Refuses(corral.AnswerPass))
		r.load = answering(corral.Item[string]{Value: "own", Outcome: corral.Pass})
		for _, g := range atOnce(3, func(int) came { return r.get("a") }) {
			g.want(t, "own", corral.Loaded, 0)
		}
		r.wantLog("join a", "load a", "load a", "load a")
		r.get("a").want(t, "own", corral.Loaded, 0) // the mark stays
		r.wantLog("load a")
	})
}

func TestAPassFromTheOwnerLeavesWhatIsKeptForValidation(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withScript(r, o)
		o.PassTTL = time.Minute
	}, func(t *testing.T, r *rig) {
		r.load = answering(corral.Item[string]{Value: "own", Outcome: corral.Validate})
		r.get("a").want(t, "own", corral.Loaded, 0)
		r.wantLog("join a", "load a", "pass a")
		time.Sleep(time.Minute)
		r.script.On("a", corraltest.Refuses(corral.AnswerPass))
		r.load = func(_ context.Context, _ string, prev *corral.Item[string]) (corral.Item[string], error) {
			return prev.NotModified(), nil
		}
		for _, g := range atOnce(3, func(int) came { return r.get("a") }) {
			g.want(t, "own", corral.Loaded, 0)
		}
		r.wantLog("join a", "load a", "load a", "load a")
	})
}

func TestAnErrorFromElsewhereComesWithItsPause(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.On("a", corraltest.Reports(errPort, 7*time.Second))
		for _, g := range atOnce(3, func(int) came { return r.get("a") }) {
			g.wantErr(t, errPort, 0)
			var failure *corral.LoadError
			if !errors.As(g.err, &failure) || failure.RetryAfter != 7*time.Second || failure.Err != errPort {
				t.Fatalf("got %#v, want a LoadError with the cause and a pause of 7s", g.err)
			}
		}
		time.Sleep(7*time.Second - 1)
		r.get("a").wantErr(t, errPort, 0)
		r.wantLog("join a")
		time.Sleep(time.Nanosecond)
		r.get("a").wantErr(t, errPort, 0)
		r.wantLog("join a")
	})
}

func TestWhoCannotBeAnsweredIsToldWhyAtOnce(t *testing.T) {
	for _, row := range []struct {
		name  string
		reply corraltest.Reply
		want  error
	}{
		{"overloaded", corraltest.Refuses(corral.AnswerOverloaded), corral.ErrOverloaded},
		{"unavailable", corraltest.Refuses(corral.AnswerUnavailable), corral.ErrUnavailable},
		{"an unknown kind", corraltest.Refuses(99), corral.ErrUnavailable},
		{"a failing Join", corraltest.Errs(errPort), corral.ErrUnavailable},
		{"a failing Join, its cause", corraltest.Errs(errPort), errPort},
	} {
		t.Run(row.name, func(t *testing.T) {
			withPorts(t, withScript, func(t *testing.T, r *rig) {
				r.script.On("a", row.reply)
				for range 2 { // the key does not rest: it is not at fault
					r.get("a").wantErr(t, row.want, 0)
				}
				r.wantLog("join a", "join a")
			})
		})
	}
}

func TestAnOldValueCoversACoordinatorThatCannotAnswer(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withScript(r, o)
		o.StaleOnError = time.Hour
	}, func(t *testing.T, r *rig) {
		r.get("a").want(t, "a#1", corral.Loaded, loadTime)
		time.Sleep(time.Minute)
		r.script.On("a", corraltest.Refuses(corral.AnswerUnavailable))
		g := r.get("a")
		g.want(t, "a#1", corral.Stale, 0)
		if !errors.Is(g.info.Err, corral.ErrUnavailable) {
			t.Fatalf("Info.Err is %v, want %v", g.info.Err, corral.ErrUnavailable)
		}
	})
}

func TestALateAnswerIsAsGood(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.On("a", corraltest.Late(20*time.Second, giving("theirs")))
		for _, g := range atOnce(2, func(int) came { return r.get("a") }) {
			g.want(t, "theirs", g.info.Source, 20*time.Second)
		}
	})
}

func TestAJoinThatHangsEndsWithTheLoadsDeadline(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.On("a", corraltest.Silent())
		r.get("a").wantErr(t, corral.ErrLoadTimeout, 30*time.Second)
		synctest.Wait()
		if s := r.Stats(); s.Running != 0 || s.Zombies != 0 {
			t.Fatalf("got %d running, %d zombies; want none", s.Running, s.Zombies)
		}
	})
}

func TestAJoinThatIgnoresItsContextFreesItsKeyToo(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		release := make(chan struct{})
		r.script.On("a", corraltest.Held(release, giving("too late")), giving("theirs"))
		r.get("a").wantErr(t, corral.ErrLoadTimeout, 30*time.Second)
		synctest.Wait()
		if s := r.Stats(); s.Zombies != 1 {
			t.Fatalf("got %d zombies, want 1", s.Zombies)
		}
		time.Sleep(time.Second)
		r.get("a").want(t, "theirs", corral.Remote, 0)
		close(release)
		synctest.Wait()
		r.get("a").want(t, "theirs", corral.Hit, 0)
		if s := r.Stats(); s.Zombies != 0 || s.ZombieResults != 1 {
			t.Fatalf("got %d zombies, %d dropped results; want 0 and 1", s.Zombies, s.ZombieResults)
		}
	})
}

func TestACallerThatLeavesEndsTheJoin(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.On("a", corraltest.Silent())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		getFrom(r.Cache, ctx, "a").wantErr(t, context.DeadlineExceeded, time.Second)
		synctest.Wait()
		if s := r.Stats(); s.Running != 0 || s.Abandoned != 1 {
			t.Fatalf("got %d running, %d abandoned; want 0 and 1", s.Running, s.Abandoned)
		}
	})
}

func TestAnAnswerWithoutItsRecordIsAnError(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.On("a", func(context.Context, corral.Request) (corral.Answer, error) {
			return corral.Answer{Kind: corral.AnswerValue}, nil
		})
		if g := r.get("a"); g.err == nil || !strings.Contains(g.err.Error(), "without a record") {
			t.Fatalf("got %q, %v; want an error that says so", g.item.Value, g.err)
		}
	})
}

func TestABodyOfAnotherProcessIsReadAsItArrives(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		arriving, source := io.Pipe()
		record := text("header")
		record.Body = arriving
		r.script.On("a", func(context.Context, corral.Request) (corral.Answer, error) {
			return corral.Answer{Kind: corral.AnswerValue, Record: &record}, nil
		})
		first, second := r.get("a"), r.get("a")
		first.want(t, "header", corral.Remote, 0)
		second.want(t, "header", corral.Hit, 0)
		go func() {
			io.WriteString(source, "one ")
			time.Sleep(time.Second)
			io.WriteString(source, "two")
			source.Close()
		}()
		for _, g := range []came{first, second} {
			if data, err := io.ReadAll(g.item.Body); string(data) != "one two" || err != nil {
				t.Fatalf("read %q, %v; want %q", data, err, "one two")
			}
			g.item.Body.Close()
		}
		synctest.Wait()
		late := r.get("a")
		if data, err := io.ReadAll(late.item.Body); string(data) != "one two" || err != nil {
			t.Fatalf("read %q, %v; want %q", data, err, "one two")
		}
		late.item.Body.Close()
	})
}

func TestABodyThatBreaksElsewhereIsBrokenHereAndNotKept(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		arriving, source := io.Pipe()
		record := text("header")
		record.Body = arriving
		r.script.On("a", func(context.Context, corral.Request) (corral.Answer, error) {
			return corral.Answer{Kind: corral.AnswerValue, Record: &record}, nil
		}, giving("again"))
		g := r.get("a")
		go func() {
			io.WriteString(source, "one ")
			source.CloseWithError(errPort)
		}()
		data, err := io.ReadAll(g.item.Body)
		if string(data) != "one " || !errors.Is(err, corral.ErrBroken) || !errors.Is(err, errPort) {
			t.Fatalf("read %q, %v; want %q and %v", data, err, "one ", corral.ErrBroken)
		}
		g.item.Body.Close()
		synctest.Wait()
		r.get("a").want(t, "again", corral.Remote, 0)
		if b := r.Stats().BytesInFlight; b != 0 {
			t.Fatalf("%d bytes are still in flight", b)
		}
	})
}

func TestALeaseIsExtendedEverySecondWhileItsHolderComputes(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.load = corraltest.Slow(4500*time.Millisecond, answering(corral.Item[string]{Value: "v"})).Load
		r.get("a").want(t, "v", corral.Loaded, 4500*time.Millisecond)
		time.Sleep(10 * time.Second)
		s := time.Second
		if got := r.log.Times("extend a"); !slices.Equal(got, []time.Duration{s, 2 * s, 3 * s, 4 * s}) {
			t.Fatalf("extended at %v, want at 1s, 2s, 3s and 4s", got)
		}
	})
}

func TestALeaseIsExtendedWhileABodyArrives(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.OnLease = func(l *corraltest.Lease) { l.OnFill = readBody(new(string)) }
		r.load = streaming("header", 2500*time.Millisecond, "body")
		g := r.get("a")
		io.Copy(io.Discard, g.item.Body)
		g.item.Body.Close()
		time.Sleep(10 * time.Second)
		if got := r.log.Times("extend a"); !slices.Equal(got, []time.Duration{time.Second, 2 * time.Second}) {
			t.Fatalf("extended at %v, want at 1s and 2s", got)
		}
	})
}

func TestALostLeaseIsNotExtended(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.load = corraltest.Slow(4500*time.Millisecond, answering(corral.Item[string]{Value: "v"})).Load
		answer := r.goGet("a")
		time.Sleep(2500 * time.Millisecond)
		r.script.Leases()[0].Lose()
		(<-answer).want(t, "v", corral.Loaded, 4500*time.Millisecond)
		if got := r.log.Times("extend a"); len(got) != 2 {
			t.Fatalf("extended at %v, want twice, before it was lost", got)
		}
	})
}

func TestWhatIsComputedUnderALostLeaseIsDeliveredAndNotKept(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		answers := []<-chan came{r.goGet("a"), r.goGet("a")}
		r.script.Leases()[0].Lose()
		for _, answer := range answers {
			g := <-answer
			g.want(t, "a#1", g.info.Source, loadTime)
			if g.info.Kept {
				t.Fatalf("got %+v, want a value that is not kept", g.info)
			}
		}
		r.wantLog("store get a", "join a", "load a", "fill a")
		if record := r.script.Leases()[0].Endings()[0].Record; record.Outcome != corral.Share {
			t.Fatalf("the owner was told %v, want %v", record.Outcome, corral.Share)
		}
		if _, _, ok := r.Peek("a"); ok {
			t.Fatal("the value was kept")
		}
	})
}

func TestALateAcknowledgementDelaysNobody(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.OnLease = func(l *corraltest.Lease) {
			l.OnFill = func(ctx context.Context, _ *corral.Record) error { return sleepIn(ctx, 20*time.Second) }
		}
		r.get("a").want(t, "a#1", corral.Loaded, loadTime)
		r.get("a").want(t, "a#1", corral.Hit, 0)
		if s := r.Stats(); s.Running != 1 {
			t.Fatalf("%d loads run, want 1 that offers its outcome", s.Running)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if s := r.Stats(); s.Running != 0 {
			t.Fatalf("%d loads run, want none", s.Running)
		}
	})
}

func TestAnOwnerThatDoesNotAcknowledgeIsAskedForALoadsTimeOnly(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.OnLease = func(l *corraltest.Lease) {
			l.OnFill = func(ctx context.Context, _ *corral.Record) error { <-ctx.Done(); return context.Cause(ctx) }
		}
		r.get("a").want(t, "a#1", corral.Loaded, loadTime)
		time.Sleep(30*time.Second - 1)
		synctest.Wait()
		if s := r.Stats(); s.Running != 1 {
			t.Fatalf("%d loads run, want 1", s.Running)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if s := r.Stats(); s.Running != 0 {
			t.Fatalf("%d loads run, want none", s.Running)
		}
	})
}

func TestALoaderThatDoesNotReturnFailsItsLease(t *testing.T) {
	for name, load := range map[string]corral.Loader[string]{
		"panic": corraltest.Panics[string]("boom"), "Goexit": corraltest.Exits[string](),
	} {
		t.Run(name, func(t *testing.T) {
			withPorts(t, withScript, func(t *testing.T, r *rig) {
				r.load = load.Load
				r.get("a").wantErr(t, corral.ErrPanic, 0)
				r.wantLog("join a", "load a", "fail a")
				if e := r.script.Leases()[0].Endings(); len(e) != 1 || !errors.Is(e[0].Cause, corral.ErrPanic) {
					t.Fatalf("the owner was told %+v, want the panic, once", e)
				}
			})
		})
	}
}

func TestAStreamIsFilledAsItArrives(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		var filled string
		r.script.OnLease = func(l *corraltest.Lease) { l.OnFill = readBody(&filled) }
		r.load = streaming("header", loadTime, "body")
		g := r.get("a")
		g.want(t, "header", corral.Loaded, 0)
		r.wantLog("store get a", "join a", "load a", "fill a") // at header time
		data, err := io.ReadAll(g.item.Body)
		if string(data) != "body" || err != nil {
			t.Fatalf("read %q, %v", data, err)
		}
		g.item.Body.Close()
		r.wantLog("store put a") // when it is whole
		if filled != "body" {
			t.Fatalf("the owner read %q, want %q", filled, "body")
		}
		record := r.store.Look("a")
		if stored, err := io.ReadAll(record.Body); string(stored) != "body" || err != nil || record.BodySize != 4 {
			t.Fatalf("the store has %q, %v, of size %d", stored, err, record.BodySize)
		}
	})
}

func TestAConfirmedValueIsFilledWithItsBody(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		var filled []string
		r.script.OnLease = func(l *corraltest.Lease) {
			l.OnFill = func(_ context.Context, record *corral.Record) error {
				if record.Body == nil {
					filled = append(filled, "no body")
					return nil
				}
				defer record.Body.Close()
				data, err := io.ReadAll(record.Body)
				filled = append(filled, string(data))
				return err
			}
		}
		r.load = streaming("header", 0, "body")
		g := r.get("a")
		io.ReadAll(g.item.Body)
		g.item.Body.Close()
		r.load = func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
			return corral.Item[string]{Outcome: corral.NotModified}, nil
		}
		item, _, err := r.GetItem(t.Context(), "a", corral.Fresh())
		if err != nil {
			t.Fatal(err)
		}
		item.Body.Close()
		synctest.Wait()
		if want := []string{"body", "body"}; !slices.Equal(filled, want) {
			t.Fatalf("the owner read %q, want %q", filled, want)
		}
	})
}

func TestAStreamThatBreaksIsBrokenForTheOwnerAndNotStored(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		var fillErr error
		r.script.OnLease = func(l *corraltest.Lease) {
			l.OnFill = func(_ context.Context, record *corral.Record) error {
				_, fillErr = io.ReadAll(record.Body)
				return fillErr
			}
		}
		r.load = func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
			return corral.Item[string]{Value: "header", Tail: func(_ context.Context, w io.Writer) error {
				io.WriteString(w, "bo")
				return errPort
			}}, nil
		}
		g := r.get("a")
		if _, err := io.ReadAll(g.item.Body); !errors.Is(err, corral.ErrBroken) {
			t.Fatalf("read %v, want %v", err, corral.ErrBroken)
		}
		g.item.Body.Close()
		r.wantLog("store get a", "join a", "load a", "fill a")
		if !errors.Is(fillErr, corral.ErrBroken) {
			t.Fatalf("the owner read %v, want %v", fillErr, corral.ErrBroken)
		}
		if b := r.Stats().BytesInFlight; b != 0 {
			t.Fatalf("%d bytes are still in flight", b)
		}
	})
}

// streaming gives a header at once and writes its body after a time.
func streaming(header string, after time.Duration, body string) corral.LoaderFunc[string] {
	return func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
		return corral.Item[string]{Value: header, Tail: func(ctx context.Context, w io.Writer) error {
			if err := sleepIn(ctx, after); err != nil {
				return err
			}
			_, err := io.WriteString(w, body)
			return err
		}}, nil
	}
}

// readBody is an owner that reads what it is filled with.
func readBody(into *string) func(context.Context, *corral.Record) error {
	return func(_ context.Context, record *corral.Record) error {
		defer record.Body.Close()
		data, err := io.ReadAll(record.Body)
		*into = string(data)
		return err
	}
}
