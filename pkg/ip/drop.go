package ip

// Drop says why a packet was not taken. DropNone, the zero value, says that it was.
type Drop uint8

const (
	DropNone Drop = iota

	// Packet.Parse, in the order of its checks.
	DropTooShort     // no 20 bytes for a header
	DropVersion6     // an IPv6 packet: a kernel solicits routers on any new device
	DropVersion      // neither 4 nor 6 (RFC 1122 3.2.1.1)
	DropHeaderLength // IHL below 5, or beyond the packet (RFC 791 3.1)
	DropTotalLength  // total length below the header's, or beyond the packet (RFC 791 3.1)
	DropChecksum     // of the header (RFC 1122 3.2.1.2)
	DropOptions      // an option without its length, or beyond the header (RFC 791 3.1)
	DropSourceRoute  // loose or strict source route (RFC 7126 4.3, 4.4)
	DropSource       // not one host (RFC 1122 3.2.1.3)
	DropDestination  // 0/8, 127/8, or class E without its broadcast (RFC 1122 3.2.1.3)

	// Reassembler.Add.
	DropFragmentHeld      // no fault: kept until its datagram is whole
	DropFragmentDuplicate // the same bytes at the same place again
	DropFragmentLength    // empty, or not the last and no multiple of 8 bytes (RFC 791 3.2)
	DropFragmentBeyond    // its datagram would be longer than 65,535 bytes
	DropFragmentTiny      // would cut or overwrite a TCP header (RFC 1858 3, RFC 3128)
	DropFragmentOverlap   // overlaps another (RFC 5722)
	DropFragmentEnd       // disagrees with another about where the datagram ends
	DropFragmentECN       // ECN-capable and not, in one datagram (RFC 3168 5.3)
	DropFragmentMany      // one more than a datagram may have
	DropFragmentCondemned // of a datagram that was dropped for one of the reasons above
	DropFragmentSpace     // the byte cap leaves no room for its datagram

	// ICMP.
	DropICMPTooShort // no 8 bytes (RFC 792)
	DropICMPChecksum // RFC 792
	DropICMPQuote    // an error that quotes no usable packet (RFC 1122 3.2.2)

	numDrops
)

// NumDrops is the number of Drops, DropNone included: the length of an array of counters.
const NumDrops = int(numDrops)

var dropNames = [NumDrops]string{
	DropNone:              "none",
	DropTooShort:          "ip_too_short",
	DropVersion6:          "ip_version6",
	DropVersion:           "ip_version",
	DropHeaderLength:      "ip_header_length",
	DropTotalLength:       "ip_total_length",
	DropChecksum:          "ip_checksum",
	DropOptions:           "ip_options",
	DropSourceRoute:       "ip_source_route",
	DropSource:            "ip_source",
	DropDestination:       "ip_destination",
	DropFragmentHeld:      "ip_fragment_held",
	DropFragmentDuplicate: "ip_fragment_duplicate",
	DropFragmentLength:    "ip_fragment_length",
	DropFragmentBeyond:    "ip_fragment_beyond",
	DropFragmentTiny:      "ip_fragment_tiny",
	DropFragmentOverlap:   "ip_fragment_overlap",
	DropFragmentEnd:       "ip_fragment_end",
	DropFragmentECN:       "ip_fragment_ecn",
	DropFragmentMany:      "ip_fragment_many",
	DropFragmentCondemned: "ip_fragment_condemned",
	DropFragmentSpace:     "ip_fragment_space",
	DropICMPTooShort:      "icmp_too_short",
	DropICMPChecksum:      "icmp_checksum",
	DropICMPQuote:         "icmp_quote",
}

// String returns a short name in snake case, fit for a counter's label: "ip_checksum".
func (d Drop) String() string {
	if int(d) >= NumDrops {
		return "unknown"
	}
	return dropNames[d]
}
