package tcp

// Drop is why a segment was not taken; DropNone if it was.
type Drop uint8

// The reasons.
const (
	DropNone         Drop = iota
	DropShort             // shorter than a TCP header
	DropDataOffset        // data offset inside the header or beyond the segment
	DropOptionLength      // illegal option length (MUST-7)
	DropChecksum          // checksum wrong (MUST-3)
	DropPort              // port 0
	DropSequence          // fails the sequence number test (section 3.10.7.4 first)
	DropPAWS              // timestamp older than the last (RFC 7323 section 5)
	DropNoACK             // no ACK where there must be one
	DropOldACK            // ACK of what was acknowledged long ago (RFC 5961 section 5)
	DropFutureACK         // ACK of something never sent
	DropBlindRST          // RST not at RCV.NXT (RFC 5961 section 3)
	DropBlindSYN          // SYN inside a synchronized connection (RFC 5961 section 4)
	DropRepeatedSYN       // the SYN that is being answered, again
	DropRepeatedFIN       // the FIN that was acknowledged, again
	DropRST               // RST that names nothing we know, or that TIME-WAIT ignores (RFC 1337)
	DropLate              // in TIME-WAIT: any other late segment
	DropNoConnection      // no connection: answered with RST (section 3.10.7.1)
	DropRefused           // SYN to a port without a listener: answered with RST
	DropAfterClose        // text after the user let go: answered with RST
	DropSynSent           // in SYN-SENT: neither SYN nor RST, or an unacceptable ACK
	DropReorderFull       // beyond the memory for text out of order
	NumDrops
)

var dropNames = [NumDrops]string{
	DropNone: "none", DropShort: "tcp_short", DropDataOffset: "tcp_data_offset", DropOptionLength: "tcp_option_length",
	DropChecksum: "tcp_checksum", DropPort: "tcp_port_zero", DropSequence: "tcp_sequence", DropPAWS: "tcp_paws",
	DropNoACK: "tcp_no_ack", DropOldACK: "tcp_old_ack", DropFutureACK: "tcp_future_ack", DropBlindRST: "tcp_blind_rst",
	DropBlindSYN: "tcp_blind_syn", DropRepeatedSYN: "tcp_repeated_syn", DropRepeatedFIN: "tcp_repeated_fin",
	DropRST: "tcp_rst", DropLate: "tcp_time_wait_late", DropNoConnection: "tcp_no_connection",
	DropRefused: "tcp_refused", DropAfterClose: "tcp_after_close", DropSynSent: "tcp_syn_sent",
	DropReorderFull: "tcp_reorder_full",
}

// String is the reason's name in counters.
func (d Drop) String() string { return dropNames[d] }
