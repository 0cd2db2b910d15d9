// Package stack is a TCP/IP host on a link: it finds the connection that a packet is for, keeps the timers, listens,
// and lets connections send.
//
// # One turn
//
// A stack has one shard for each queue of its link, and each shard one goroutine, which runs to completion:
//
//	read until EAGAIN or 64 frames -> one look at the clock -> take in -> expire timers -> drain the inbox -> send
//
// No lock is taken on the way. Handlers, the users of connections, are called between one segment and the next, and
// not at the end of the turn: so they see text in the packet that brought it, and most of it is never copied. What they
// write goes out at the turn's end: first from connections with little to send, then of those with much from one after the other.
// Mere acknowledgments to near peers wait while the device has more to be read, for a millisecond at most.
//
// Other goroutines reach a shard through its inbox, a stack of tasks that each wait there at most once.
//
// # Flows that are not at home
//
// A passive flow lives on the shard whose queue brought its SYN, an active one on the shard that dialled. The kernel
// delivers most of a flow's packets to that queue, but not all: not fragments, ICMP errors, nor flows that were idle.
// A shard that finds no connection for a packet asks the others' presence filters, and sends the packet on to each that
// may have it, before it answers with a RST or takes a SYN for a new one. The filters are counts by hash that only their
// shard writes and everybody may read, so there is no index to lock, and a flow costs two stores in its life. That the
// filter may send a packet round in vain costs a copy; it is never wrong.
//
// # Opening
//
// A SYN goes to the listener with the longest prefix. Its hook, if it has one, decides first, at once or in its own time
// (Request); a SYN with a valid cookie of Fast Open opens a connection at once; else there is a half-open one, as long as the
// budgets last, of the stack, of the listener, of the source; beyond them the SYN,ACK is a cookie, and nothing is kept. The
// accept queue has its budgets, too: while they are spent, last ACKs are not taken, and come again.
//
// Connections have a number for their settings, not the settings: there are at most 256 different ones in a stack, and they
// stay.
//
// # Being watched
//
// A shard tells those who watch it (Watch) what happens, on its own goroutine: a watch that may come and go at any time needs
// no lock for that, and nothing is looked up for events that nobody wants. The flight recorder is not a watch, but part of the
// shard: what it notes of a connection lies under the record's own index, and ends with it. As a Tracer of another package it
// would need a map of connections, and a lock to be read.
//
// # Memory
//
// Records lie in slabs, without pointers, and are named by index. A flow in SYN-RECEIVED or in TIME-WAIT has a record
// much smaller than a connection's. TIME-WAITs are in a list in the order of their ends, not in the wheel: 2 MSL is the
// same for all. Records keep their flow in 12 bytes (key): with addresses of 16 bytes, IPv6's, a third of a TIME-WAIT would
// be zeros.
package stack
