// Package script runs scripts in packetdrill's language against a stack in virtual time: a script takes milliseconds, and
// no privileges. A script has packets arrive (<), expects packets of the stack (>), makes system calls, and asserts on
// TCP_INFO, each at its time. The language is described in packetdrill's documentation (syntax.md of
// github.com/google/packetdrill, and "packetdrill: Scriptable Network Stack Testing", USENIX ATC 2013); here is the part
// of it that has to do with TCP over IPv4 and with the socket calls. What is outside of it is an Error that names it.
//
// # What runs
//
// Parse reads a script; a program can also make one up, as a Script. Run makes a stack and descriptors over it (package
// bsd), with settings by the script's options and commands, and runs the events one by one. The transcript shows what
// happened; the error, where the first difference is.
//
// There is no World of package tcptest here: that has hosts, and paths that lose and delay; a script is itself the path and
// the peer of one stack, and the clock stands still unless the script lets time pass.
//
// # Times
//
// A relative time counts from when the event before took place. A packet may come earlier or later than its time by the
// tolerance, 4 ms if --tolerance_usecs says nothing; everything else happens on time. What the stack sends while the script
// expects nothing waits for the script to expect it: as in packetdrill, what is not expected by the end is overlooked,
// unless RunOptions.Silence is set.
//
// # Packets
//
// Sequence numbers are relative to those of the two SYNs; the number of a SYN is as written. Windows are as in the header.
// An expected packet must have the flags, the numbers and the options as written, in this order; the window, the
// urgent pointer, the ECN field and the time to live if they are written; and text of zeros, which nobody looks at. <...>
// stands for any options.
//
// Timestamps of the stack's are not known beforehand: the one that is written stands for the one that comes, wherever the
// peer echoes it. With --tcp_ts_tick_usecs their differences must fit the time that has passed. Fast Open cookies of the
// stack's are such names, too.
//
// The stack has no offload here. Where a script expects a packet that only a kernel with offload sends, segments that
// make it up together are taken for it, with PSH or without, unless --strict_segments is set.
//
// Without ports a packet belongs to the connection at hand: the last one that a SYN has opened. Inbound, the first SYN after
// listen opens a new one. With ports (< 5000 > 8080 S ...) a script has several connections, whose packets need not come in
// the order in which they are expected of different ones; a port that the stack chooses gets its number in the script where
// its SYN is expected.
//
// # Calls
//
// A call that waits is written with the time of its return, +0...0.2; several may wait at once. A result of ? or ... may be
// anything, and an error without a name any error.
//
// # Commands
//
// Commands in backticks set up the kernel; those that set net.ipv4's TCP, and common/defaults.sh of the public collection,
// set up the stack. Before the first event they are settings of the stack, later of the sockets that come after. Commands
// that only matter to the kernel's devices do nothing. The congestion controllers do not pace, as on a kernel without fq.
//
// # Every event in every state
//
// The scripts of testdata each show a paragraph of an RFC. Beside them the tests make a script for each event (segments,
// calls, time-outs, ICMP errors) in each state, from the table testdata/matrix.txt, whose answers follow from RFC 9293 section
// 3.10 and not from this stack. To read them, or to run them elsewhere:
//
//	go test ./pkg/tcptest/script -run TestMatrix$ -write DIR
//
// # What it may touch
//
// All that pkg/tcptest may: it belongs to that room. cmd/tcpd runs scripts with it.
package script
