// Package corraltest is the test kit for programs that use Corral and for
// whoever writes a Coordinator or a Store for it.
//
// It has four parts:
//
//   - Fakes of the ports. A Script is a Coordinator that answers as it is told:
//     every kind of answer, errors, late ones, none at all. A Domain is one that
//     works: N caches in one process behave as N processes with one owner for
//     each key. A Store keeps records in memory and honours the contract.
//   - Faults. FailNth makes the nth call of a store, a coordinator or a codec
//     fail, hang, go deaf or panic; FailTimes, Hang, Deaf, Panics, Exits and
//     Slow are loaders that misbehave.
//   - A Log, in which fakes note their calls, so that a test reads as a
//     transcript.
//   - TestStore and TestCoordinator, which say in code what the contracts in
//     package corral say in words, and TestStoreFaults and TestCoordinatorFaults,
//     which put an implementation under whole caches and let the nth of its
//     calls go wrong, for each n and each Fault. The fakes pass them; so must
//     every other implementation, but for the promises that it says it does not
//     make (Weak).
//
// All of it works in virtual time (testing/synctest): whatever waits, waits on a
// channel or a timer, and no goroutine outlives the call or the context that
// began it, except that of a deaf call, which lives until it is released.
//
// Nothing here is meant for production: a Domain and a Store keep what they
// are given without a limit.
package corraltest
