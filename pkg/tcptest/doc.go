// Package tcptest runs many stacks in one process, in virtual time: one goroutine a world, one source of chance, no sleep. The
// same seed gives the same trace, to the byte.
//
// A World has hosts, each a stack.Stack turned by hand, and paths between them that delay, lose, reorder, duplicate, corrupt
// and split. A watcher on the paths holds every segment against what TCP allows, and after every turn the stack's own
// invariants are checked. In a strict world, where it has seen all that the hosts are told, the watcher also knows what a
// receiver who has exactly what has come would refuse (receiver.go), and how much a sender has reason to send again
// (resent.go). Each of its rules is broken once in a test.
//
// # Scripts and chance
//
// Users do what a script tells them, or what a Recipe says. A recipe is a world as data, drawn from a seed (Draw): up to 50
// hosts and a thousand connections, what their users do, and misfortunes: paths that let nothing through for a while, hosts
// that vanish and come back, clocks that jump, budgets that run out. All that ends must end, and where a world is calm, well.
//
//	go test ./pkg/tcptest -run World -worlds 1000000 -seed 1
//
// runs the worlds of a million seeds, on all processors, and -minutes as many as there is time for. A world that fails is
// made small (Shrink), and its recipe printed as text; put into a file,
//
//	go test ./pkg/tcptest -run World -world FILE
//
// plays it again, and prints the transcript. Small worlds that have failed once stand in testdata/worlds, and are run each time.
package tcptest
