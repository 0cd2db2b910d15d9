// Package tcp is a TCP connection without I/O (RFC 9293): bytes become facts, facts become transitions, transitions
// become actions, actions become bytes, and only the caller touches the world.
//
// In go Input with a segment, Timeout with the time, and the user's calls; out come Output's segments, Deadline, and
// TakeEvents. There is no clock, no chance, no lock, no goroutine and no log: the time, sequence numbers and settings
// are arguments.
//
// # How it is cut
//
// This package decides which facts are true; package fsm decides what they mean. The state is assigned in one place,
// fire, and nothing here asks for it by name: what to send follows SND.UNA and SND.NXT, and the one split by state that
// RFC 9293 makes, between SYN-SENT and what comes after it, is the fact whether their SYN has been seen.
//
// The files are named after the RFC: user.go is section 3.10.1 to 3.10.6, input.go is 3.10.7 with its checks in order
// (check.go, ack.go, text.go), timeout.go is 3.10.8, output.go is what SEND and the rest leave to the sender, isn.go is
// RFC 6528, rtt.go RFC 6298, cookie.go RFC 4987, ecn.go RFC 3168 and 9768, mtu.go RFC 1191 and 4821, urgent.go RFC 6093,
// icmp.go RFC 5461 and 5927, fastopen.go RFC 7413.
//
// Losses are found in sack.go (RFC 2018, 2883, 6675) and rack.go (RFC 8985) over the scoreboard of flight.go, and
// answered in recovery.go (RFC 6937, 5682, 3522). What is lost is a fate of spans on the scoreboard; SND.NXT never
// goes back. A peer without SACK is treated as if each of its duplicate ACKs had selected one segment.
//
// # Where memory lies
//
// A Conn holds no pointer. Rings and lists of text out of order are attached when they are needed and lie in the
// caller's Memory, under a handle. Congestion state lies in the Conn itself, as a few words that its algorithm
// interprets (package cc): a handle to an object of its own would cost more than it holds. SYN-RECEIVED of a passive open and
// TIME-WAIT, of which there may be millions, are packed into a HalfOpen and a TimeWait between segments.
//
// Text is copied as rarely as can be. What arrives in order is first shown to the user where it lies, in the packet
// (Unread), and goes into the receive ring only if he leaves it (Store). What is sent goes out from the send ring.
//
// # Where it departs from the letter
//
// Text and FIN on a SYN are not taken, and so sent again by the peer: section 3.10.7.2 would have them queued; text is
// taken with a cookie that shows who the peer is (RFC 7413). A FIN alone is taken although the window is closed, since it
// takes no room. The order of the options in a SYN, the 200 ms below which the retransmission time-out does not fall, the
// 40 ms of the delayed acknowledgment, one acknowledgment for a superframe, Nagle's algorithm in Minshall's form, the
// smallest MSS of 48 and the limit of one challenge ACK in 500 ms are Linux's, and so is the tick of the timestamp clock by
// which a segment may be older than the last before PAWS drops it. A segment without the timestamps that were agreed on is
// taken, as Linux takes it (RFC 7323 section 3.2 would have it dropped).
//
// RACK's reordering window also takes in how late segments have come that were thought lost, where RFC 8985 knows only of
// D-SACKs; a D-SACK, or the echo of an older timestamp, for what was sent again shows reordering, too. ICMP soft errors
// end no connection, whatever its state (section 3.9.2.2); RFC 5461 describes hosts that give up while it opens. Of AccECN
// (RFC 9768) the counter in the header is sent and used, the option neither; it is optional.
package tcp
