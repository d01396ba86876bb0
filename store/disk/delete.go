package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/corralcache/corral"
)

var noSync = pebble.NoSync

// errNoPlace says that too many prefixes wait to be swept.
var errNoPlace = errors.New("too many prefixes")

// Delete lets nothing that an invalidation concerns be returned any more, by this
// process or a later one. What is under its keys is taken out; the rest is below
// a floor, and taken out behind it. It returns when that is synced. If it fails,
// the store tells itself again once the disk works, and until then a restart
// would begin empty.
func (s *Store) Delete(ctx context.Context, inv corral.Invalidation) error {
	if err := context.Cause(ctx); err != nil {
		return s.failed("delete", "", err)
	}
	s.raiseFloors(inv)
	for {
		s.roomMu.Lock()
		swept := s.swept
		s.roomMu.Unlock()
		err := s.with(context.WithoutCancel(ctx), func(e *engine) error { return s.tell(e, inv) })
		if errors.Is(err, errNoPlace) {
			s.nudge()
			select {
			case <-swept:
				continue
			case <-s.closing.Done():
				err = ErrClosed
			case <-ctx.Done():
				err = fmt.Errorf("%w: %w", err, context.Cause(ctx))
			}
		}
		if err != nil {
			return s.failed("delete", "", s.owe(inv, err))
		}
		s.sums.deletes.Add(1)
		return nil
	}
}

// raiseFloors makes an invalidation count for who reads and who writes, before
// it is told (D3). Prefixes are raised when there is a place for them, in tell.
func (s *Store) raiseFloors(inv corral.Invalidation) {
	if inv.Forget {
		return
	}
	if inv.All {
		raise(&s.floors.all, inv.Revision)
	}
	for _, tag := range inv.Tags {
		s.floors.tags.raise(slotOf(tag), inv.Revision)
	}
	for _, key := range inv.Keys {
		s.floors.keys.raise(slotOf(key), inv.Revision)
	}
}

// tell takes out what is under an invalidation's keys, and writes its floors.
// It returns when all that is synced (D4).
func (s *Store) tell(e *engine, inv corral.Invalidation) error {
	if !inv.Forget {
		for _, prefix := range inv.Prefixes {
			if !s.floors.raisePrefix(prefix, inv.Revision) {
				return errNoPlace
			}
		}
	}
	took := false
	for _, key := range inv.Keys {
		gone, err := s.takeIf(e, key, func(entry *entry) bool { return inv.Forget || entry.revision < inv.Revision })
		if err != nil {
			return err
		}
		took = took || gone
	}
	if inv.Forget && !took {
		return nil
	}
	told, err := s.sync(e, inv)
	if err != nil {
		return err
	}
	s.trust.raise(told)
	if inv.All || len(inv.Tags) > 0 || len(inv.Prefixes) > 0 {
		s.chores.sweep(inv.All || len(inv.Tags) > 0)
		s.nudge()
	}
	return nil
}

// sync writes an invalidation's floors and counts it, and waits for the disk.
func (s *Store) sync(e *engine, inv corral.Invalidation) (told uint64, err error) {
	batch := e.db.NewBatch()
	defer batch.Close()
	e.telling.Lock()
	e.told++
	told = e.told
	batch.Set(metaKey(metaTold), number(told), nil)
	if !inv.Forget {
		s.writeFloors(batch, inv)
	}
	err = e.db.ApplyNoSyncWait(batch, pebble.Sync)
	e.telling.Unlock()
	if err == nil {
		err = batch.SyncWait()
	}
	if err == nil {
		err = e.fuse.err()
	}
	if err == nil && !inv.Forget {
		raise(&s.floors.revision, inv.Revision)
	}
	return told, err
}

// writeFloors writes floors as they are in memory, which may be higher than the
// invalidation's: another one is on its way then.
func (s *Store) writeFloors(batch *pebble.Batch, inv corral.Invalidation) {
	batch.Set(metaKey(metaRevision), number(max(inv.Revision, s.floors.revision.Load())), nil)
	if inv.All {
		batch.Set(metaKey(metaAll), number(s.floors.all.Load()), nil)
	}
	for _, tag := range inv.Tags {
		slot := slotOf(tag)
		batch.Set(binary.BigEndian.AppendUint16(metaKey(metaTag), slot), number(s.floors.tags.at(slot)), nil)
	}
	for _, prefix := range inv.Prefixes {
		// One that has been swept meanwhile is not needed: what it took out lies
		// before this in Pebble's log. Nobody would take it off the disk.
		if revision, stands := s.floors.standing(prefix); stands {
			batch.Set(append(metaKey(metaPrefix), prefix...), number(revision), nil)
		}
	}
}

// owe notes an invalidation that could not be told, and takes the witness away.
// It gives the error of the Delete.
func (s *Store) owe(inv corral.Invalidation, cause error) error {
	s.oweing.Lock()
	defer s.oweing.Unlock()
	if len(s.owed) == maxOwed {
		s.owed, s.oweAll = nil, true
	}
	if !s.oweAll {
		s.owed = append(s.owed, inv)
	}
	s.nudge()
	if err := s.trust.end(); err != nil {
		return fmt.Errorf("%w; and %q cannot be removed, so that a restart would not know: %w", cause, s.trust.path(), err)
	}
	return cause
}

// pay tells what is owed, while the disk works.
func (s *Store) pay(e *engine) error {
	s.oweing.Lock()
	defer s.oweing.Unlock()
	if s.oweAll {
		return errors.New("more Deletes failed than are remembered") // the next start empties the store
	}
	for len(s.owed) > 0 {
		if err := s.tell(e, s.owed[0]); err != nil {
			return err
		}
		s.owed = s.owed[1:]
	}
	s.owed = nil
	e.telling.Lock()
	told := e.told
	e.telling.Unlock()
	return s.trust.begin(told)
}

// owes reports whether there is something to pay.
func (s *Store) owes() bool {
	s.oweing.Lock()
	defer s.oweing.Unlock()
	return s.oweAll || len(s.owed) > 0
}
