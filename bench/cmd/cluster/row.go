package main

import "github.com/corralcache/corral/bench/internal/rounds"

// A row is one line of the table of figures.
type row = rounds.Row[*bench]

// rows are all there are, in the order of their measurement. The last ones need
// clusters of their own.
var rows = []row{oneRow, crowdRow, stampedeRow, cycleRow, stalledRow, writesRow, mirrorRow, invalidateRow, killedRow, stoppedRow, movesRow, memoryRow, sizesRow}
