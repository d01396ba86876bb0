package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redisconn"
)

// atOnce is how many keys are deleted in one pipeline.
const atOnce = 256

// deletion is one script of a Delete.
type deletion struct {
	script script
	key    string
	args   []string
	spared bool // a full Redis need not take it
}

// deletions are what an invalidation takes: generations, then keys. Keys alone
// raise the generations only where a process counts on from there: with a
// Coordinator, that would be a change to be heard of by everybody, for nothing.
func (s *Store) deletions(inv corral.Invalidation) (list []deletion) {
	if inv.Forget {
		for _, key := range inv.Keys {
			list = append(list, deletion{script: forget, key: s.values + key})
		}
		return list
	}
	concerned := concerns(inv)
	if concerned || s.sequence == "" && !s.gens.reached(inv.Revision) {
		list = append(list, deletion{raise, s.gens.key, s.gens.args(inv), !concerned})
	}
	removal := s.removal(inv.Revision)
	for _, key := range inv.Keys {
		list = append(list, deletion{script: remove, key: s.values + key, args: removal})
	}
	return list
}

// concerns reports whether an invalidation is one of generations.
func concerns(inv corral.Invalidation) bool {
	return inv.All || len(inv.Prefixes) > 0 || len(inv.Tags) > 0
}

// removal are the arguments of remove.
func (s *Store) removal(revision uint64) []string {
	whatever := "0"
	if s.sequence == "" {
		whatever = "1"
	}
	ttl := strconv.FormatInt(tombstoneTTL.Milliseconds(), 10)
	return []string{digits(revision), head(tombstone, revision, tombstoneTTL, "", 0), ttl, whatever}
}

func (s *Store) delete(ctx context.Context, inv corral.Invalidation) error {
	for some := range slices.Chunk(s.deletions(inv), atOnce) {
		answers, err := s.runAll(ctx, some)
		if err != nil {
			return err
		}
		for i, answer := range answers {
			if err := s.deleted(ctx, some[i], answer); err != nil {
				return err
			}
		}
	}
	return nil
}

// runAll runs scripts in one pipeline, or each with a wait for replicas.
func (s *Store) runAll(ctx context.Context, some []deletion) (answers []rueidis.RedisResult, err error) {
	if s.o.WaitReplicas > 0 {
		for _, d := range some {
			answer, err := s.runReplicated(ctx, d)
			if err != nil {
				return nil, err
			}
			answers = append(answers, answer)
		}
		return answers, nil
	}
	commands := make(rueidis.Commands, len(some))
	for i, d := range some {
		commands[i] = s.client.B().Evalsha().Sha1(d.script.hash).Numkeys(1).Key(d.key).Arg(d.args...).Build()
	}
	return s.client.DoMulti(ctx, commands...), nil
}

// deleted judges the answer to a script, and runs it again where that helps: the
// server did not know it, or what is under the key is not ours.
func (s *Store) deleted(ctx context.Context, d deletion, answer rueidis.RedisResult) error {
	if refusal, is := rueidis.IsRedisErr(answer.Error()); is && refusal.IsNoScript() {
		answer = d.script.exec.Exec(ctx, s.client, []string{d.key}, d.args)
	}
	err := redisconn.Explain(answer.Error())
	if d.spared && errors.Is(err, redisconn.ErrFull) {
		return nil
	}
	if unreadable(err) {
		if err = s.broken(ctx, d.key, err); err == nil {
			if answer, err = s.runAgain(ctx, d); err == nil {
				err = answer.Error()
			}
		}
	}
	if err != nil || d.key != s.gens.key {
		return err
	}
	fields, err := answer.ToArray()
	if err != nil {
		return err
	}
	_, err = s.gens.raised(fields)
	return err
}

// runAgain runs one script as runAll does.
func (s *Store) runAgain(ctx context.Context, d deletion) (rueidis.RedisResult, error) {
	if s.o.WaitReplicas > 0 {
		return s.runReplicated(ctx, d)
	}
	return d.script.exec.Exec(ctx, s.client, []string{d.key}, d.args), nil
}

// runReplicated runs a script and waits until Options.WaitReplicas replicas have
// what it wrote. WAIT speaks of its own connection's writes, so both go over one
// that is nobody else's meanwhile.
func (s *Store) runReplicated(ctx context.Context, d deletion) (answer rueidis.RedisResult, err error) {
	err = s.client.Dedicated(func(one rueidis.DedicatedClient) error {
		answer = one.Do(ctx, one.B().Eval().Script(d.script.text).Numkeys(1).Key(d.key).Arg(d.args...).Build())
		if answer.Error() != nil {
			return nil // the caller judges it
		}
		patience := s.o.HardTimeout * 3 / 4 // its answer comes before the call is given up
		wait := one.B().Wait().Numreplicas(int64(s.o.WaitReplicas)).Timeout(patience.Milliseconds()).Build()
		have, err := one.Do(ctx, wait).AsInt64()
		if err == nil && have < int64(s.o.WaitReplicas) {
			err = fmt.Errorf("%w: %d of %d within %v", redisconn.ErrReplicas, have, s.o.WaitReplicas, patience)
		}
		return err
	})
	return answer, err
}
