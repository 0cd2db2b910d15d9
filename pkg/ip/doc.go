// Package ip is the IPv4 beneath the TCP: a parsed view of a packet and its inverse, the Internet checksum,
// the part of ICMP that a host owes, and reassembly.
//
// # Views, verdicts, no I/O
//
// Packet and ICMP are views: Parse checks every field that RFC 791, RFC 792 and RFC 1122 give a host to check,
// and leaves slices that alias the input. Nothing is copied and nothing is allocated, and a view is valid for as
// long as the bytes beneath it. What builds a packet (Header.Put, EchoReply, Unreachable, TimeExceeded) writes
// into the caller's buffer.
//
// A packet that is not taken has one Drop, the reason. Drops are small numbers so that a caller counts them in
// an array; DropNone is zero and means "taken". No input makes this package panic.
//
// The package has no clock, no lock and no goroutine: now is an argument, in nanoseconds of any monotonic clock.
//
// # Addresses
//
// Addr holds 16 bytes, IPv4 as ::ffff:a.b.c.d. It is comparable and holds no pointer, so that a table of
// millions of flows costs the garbage collector nothing. (pkg/stack's records keep IPv4 addresses in 4 bytes.)
//
// # Fragments
//
// A Reassembler believes in honest senders only: fragments of one datagram that overlap, that disagree about
// its end, or that are shaped to hide a TCP header condemn the datagram, in the spirit of RFC 5722. What it holds
// is bounded by one number of bytes that includes the bookkeeping.
//
// # Left out
//
// Source routes (RFC 7126: such packets are dropped), answers that carry options, and the LAND check, which needs the
// ports. Split is there for long echo replies: TCP fits its segments to the path and is never fragmented here.
package ip
