package disk

import (
	"fmt"
	"log/slog"
)

// Options say where a store is and how much it may take.
type Options struct {
	// Dir is the directory, made if it is not there. It belongs to the store
	// alone.
	Dir string
	// MaxBytes is how much records may take on disk, at least 1 MiB. See the
	// package comment for what comes on top. What was written first makes room
	// first, unless it was read since. A record of more than a quarter of it is
	// refused.
	MaxBytes int64
	// Memory is what the store may use for blocks that were read and records that
	// are not written yet, together. Zero means 64 MiB; a sixteenth of MaxBytes
	// is of use where that is less.
	Memory int64
	// Logger is told what an operator should know, once for each thing. Nil means
	// slog.Default().
	Logger *slog.Logger
}

const (
	minMaxBytes   = 1 << 20
	minMemory     = 4 << 20
	defaultMemory = 64 << 20

	// BodyThreshold is the length from which on a body is a file of its own.
	// Below, it is kept beside its value.
	BodyThreshold = 64 << 10

	// objectShare is the part of MaxBytes that one record may take: 1/objectShare.
	objectShare = 4
	// burstShare is by which part of MaxBytes puts may be ahead of eviction
	// before they wait: 1/burstShare.
	burstShare = 16
)

// Validate names the first field that does not fit.
func (o Options) Validate() error {
	switch {
	case o.Dir == "":
		return fmt.Errorf("disk: Options.Dir is empty: name a directory that the store has to itself")
	case o.MaxBytes < minMaxBytes:
		return fmt.Errorf("disk: Options.MaxBytes is %d: set %d (1 MiB) or more", o.MaxBytes, minMaxBytes)
	case o.Memory < 0 || o.Memory > 0 && o.Memory < minMemory:
		return fmt.Errorf("disk: Options.Memory is %d: set %d (4 MiB) or more, or 0 for 64 MiB", o.Memory, minMemory)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// memTable is the size of one of Pebble's tables in memory. There are at most
// memTables of them, together half of Memory.
func (o Options) memTable() int64 {
	return max(minMemTable, min(o.Memory/2/memTables, o.MaxBytes/8))
}

const (
	minMemTable = 256 << 10
	memTables   = 4
)

// Slack is what a store takes on disk beside MaxBytes at most while it is
// written to, as far as Pebble lets it be said: the log of its tables in memory
// and what awaits compaction.
func (o Options) Slack() int64 {
	return 2*memTables*o.withDefaults().memTable() + o.MaxBytes/burstShare + o.MaxBytes/4
}
