//go:build sim

package core

// Broken switches one rule off, in this process.
var Broken Variant

func broken(v variant) bool { return Broken == v }
