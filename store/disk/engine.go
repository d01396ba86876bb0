package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// An engine is Pebble from when it is opened until it is closed, or its fuse has
// blown: then the store opens another.
type engine struct {
	db    *pebble.DB
	fuse  *fuse
	cache *pebble.Cache

	head     atomic.Int64 // the next position
	tail     atomic.Int64 // nothing is before it; the keeper alone moves it
	entries  atomic.Int64 // these three are estimates until counted
	live     atomic.Int64 // bytes of records that the index names
	files    atomic.Int64 // bytes of their bodies' files
	counted  atomic.Bool
	unsynced atomic.Bool // something was put since the last sync
	spared   int64       // bytes that eviction wrote again since there was room; the keeper's

	telling sync.Mutex
	told    uint64 // invalidations; guarded by telling

	unreadable atomic.Bool // Pebble cannot go on with what is on disk
}

// errUnreadable says that Pebble's files are not what it wrote.
var errUnreadable = errors.New("the store's files are damaged")

// openPebble opens Pebble in a directory. errUnreadable says that it does not
// for what is in it, any other error that the disk does not let it.
func openPebble(fs vfs.FS, dir string, o Options, log pebble.Logger) (*engine, error) {
	e := &engine{fuse: newFuse(fs), cache: pebble.NewCache(o.Memory / 2)}
	err := e.open(dir, e.options(o, log))
	if blown := e.fuse.err(); blown != nil {
		if err == nil {
			e.db.Close()
		}
		err = blown
	}
	if err != nil {
		e.cache.Unref()
		return nil, e.why(err)
	}
	return e, nil
}

// why says of an error at the start whether it is over what is on disk.
func (e *engine) why(err error) error {
	if err == nil || ofTheDisk(err) && !e.unreadable.Load() || errors.Is(err, errUnreadable) {
		return err
	}
	return fmt.Errorf("%w: %w", errUnreadable, err)
}

// open turns a panic over what is on disk into an error.
func (e *engine) open(dir string, options *pebble.Options) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("pebble panicked while it was opened: %v", p)
		}
	}()
	e.db, err = pebble.Open(dir, options)
	return err
}

// ofTheDisk tells an error of a read or write from one of what was read. A file
// that is missing is one of those: nobody but Pebble removes any.
func ofTheDisk(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number) && number != syscall.ENOENT && !pebble.IsCorruptionError(err)
}

func (e *engine) options(o Options, log pebble.Logger) *pebble.Options {
	options := &pebble.Options{
		FS:                          e.fuse,
		Cache:                       e.cache,
		Logger:                      engineLog{log, e},
		FormatMajorVersion:          pebble.FormatTableFormatV6, // goes with format in directory.go
		MemTableSize:                uint64(o.memTable()),
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       64,
		LBaseMaxBytes:               max(o.memTable()*4, 4<<20),
		BytesPerSync:                1 << 20,
		WALBytesPerSync:             1 << 20,
		MaxOpenFiles:                256,
		EventListener: &pebble.EventListener{
			BackgroundError: e.backgroundError,
			DataCorruption:  func(pebble.DataCorruptionInfo) {}, // whoever reads it is told; the default ends the process
		},
	}
	// With a limit that never changes nobody needs the other scheduler's goroutine,
	// which looks whether it has, and which a failed Open leaves behind.
	options.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		options.Levels[i].FilterType = pebble.TableFilter
		// Options.MaxBytes counts values as they are: squeezed they would make no
		// room for others, and a put would cost a third more.
		options.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	return options
}

// backgroundError is what Pebble met while it flushed or compacted. It would try
// again without a pause.
func (e *engine) backgroundError(err error) {
	if errors.Is(err, pebble.ErrCancelledCompaction) {
		return
	}
	if !ofTheDisk(err) {
		e.unreadable.Store(true)
	}
	e.fuse.blow(fmt.Errorf("in the background: %w", err))
}

// engineLog takes what Pebble has to say. Fatalf returns, as Pebble does not
// expect: behind a blown fuse it may go on.
type engineLog struct {
	pebble.Logger
	e *engine
}

func (l engineLog) Fatalf(format string, args ...any) {
	l.e.fuse.blow(fmt.Errorf(format, args...))
}

// close ends Pebble; what it wrote is on disk if its fuse has not blown.
func (e *engine) close() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("pebble panicked while it was closed: %v", p)
		}
	}()
	err = e.db.Close()
	e.cache.Unref()
	return errors.Join(err, e.fuse.err())
}

// taken is how much records take, bodies included.
func (e *engine) taken() int64 { return e.head.Load() - e.tail.Load() + e.files.Load() }

// get reads a key, and hands its value to use, which may not keep it.
func (e *engine) get(key []byte, use func([]byte) error) (found bool, err error) {
	value, closer, err := e.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer closer.Close()
	return true, use(value)
}

// lookup gives what the index has of a key.
func (e *engine) lookup(key string) (found bool, entry entry, err error) {
	var buffer [128]byte
	found, err = e.get(indexKey(buffer[:0], key), func(value []byte) (err error) {
		entry, err = parseEntry(value)
		return err
	})
	return found, entry, err
}

// apply commits a batch, without waiting for the disk.
func (e *engine) apply(batch *pebble.Batch) error {
	defer batch.Close()
	if err := e.db.Apply(batch, pebble.NoSync); err != nil {
		return err
	}
	return e.fuse.err()
}

// count adds to what the index names, or takes from it.
func (e *engine) count(entry *entry, sign int64) {
	e.entries.Add(sign)
	e.live.Add(sign * entry.size)
	e.files.Add(sign * entry.body)
}

// findEnds finds where records begin and end. Before, nothing is known of them.
func (e *engine) findEnds() (err error) {
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{valueSpace}, UpperBound: []byte{valueSpace + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if it.First() {
		first, _ := positionOf(it.Key())
		e.tail.Store(first)
		e.head.Store(first)
	}
	if it.Last() {
		last, is := positionOf(it.Key())
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if !is {
			return fmt.Errorf("%w: %q among the positions", errMeta, it.Key())
		}
		// No less than what the last one counts for: its key is in its head.
		e.head.Store(last + recordOverhead + 2*int64(len(value)))
	}
	return it.Error()
}

// empty drops everything at once, and begins anew with a sequence and a revision.
// It is synced when it returns.
func (e *engine) empty(sequence *string, revision uint64) error {
	batch := e.db.NewBatch()
	defer batch.Close()
	batch.DeleteRange([]byte{keySpace}, []byte{valueSpace + 1}, nil)
	if sequence != nil {
		batch.Set(metaKey(metaSequence), []byte(*sequence), nil)
	}
	batch.Set(metaKey(metaRevision), number(revision), nil)
	batch.Set(metaKey(metaTold), number(0), nil)
	if err := e.db.Apply(batch, pebble.Sync); err != nil {
		return err
	}
	e.tail.Store(e.head.Load())
	e.entries.Store(0)
	e.live.Store(0)
	e.files.Store(0)
	e.counted.Store(true)
	e.told = 0
	return e.fuse.err()
}

// sync brings what was put to the disk. Its errors blow the fuse.
func (e *engine) sync() {
	if e.counted.Load() {
		e.keepCounts()
	}
	e.db.LogData(nil, pebble.Sync)
}

// keepCounts writes the estimates of the next start.
func (e *engine) keepCounts() error {
	value := number(uint64(e.entries.Load()))
	value = binary.BigEndian.AppendUint64(value, uint64(e.live.Load()))
	value = binary.BigEndian.AppendUint64(value, uint64(e.files.Load()))
	batch := e.db.NewBatch()
	batch.Set(metaKey(metaCounts), value, nil)
	return e.apply(batch)
}
