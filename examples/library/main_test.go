package main

import (
	"strings"
	"testing"
)

func TestAThousandCallersAndOneQuery(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil || out.String() != "sku-42 costs 1299 cents; 1001 callers, 1 query\n" {
		t.Errorf("run = %v, printed %q; want one query for 1001 callers", err, out.String())
	}
}
