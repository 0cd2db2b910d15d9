// Package tcptest runs many stacks in one process, in virtual time: one goroutine, one source of chance, no sleep. The
// same seed gives the same trace, to the byte.
//
// A World has hosts, each a stack.Stack turned by hand, and paths between them that delay, lose, reorder, duplicate and
// corrupt. A watcher on the paths holds every segment against what TCP allows, and after every turn the stack's own
// invariants are checked. Users driven by the seed open, write, read and close; scenarios do it by script.
package tcptest
