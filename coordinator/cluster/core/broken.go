//go:build !sim

package core

// broken reports whether a rule is switched off. In a build for the simulator
// (the build tag sim) one can be, to show that the checks notice; else none is,
// and the compiler removes the question.
func broken(variant) bool { return false }
