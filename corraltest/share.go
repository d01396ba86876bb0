package corraltest

import (
	"math"
	"sync/atomic"

	"github.com/corralcache/corral"
)

// A share is a part of a rate: all of it in the zero value.
type share struct{ less atomic.Uint64 } // what is missing, as bits

var _ corral.Divider = (*Process)(nil)

// Share is what SetShare has said; 1 before.
func (s *share) Share() float64 { return 1 - math.Float64frombits(s.less.Load()) }

// SetShare says what part of a rate falls to the process, in (0, 1]. A Domain does
// not divide rates by itself.
func (s *share) SetShare(part float64) { s.less.Store(math.Float64bits(1 - part)) }
