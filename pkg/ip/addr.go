package ip

import "net/netip"

// Addr is an IP address; IPv4 is kept mapped, as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). The zero Addr is "::",
// which is no IPv4 address.
type Addr [16]byte

// V4 returns the IPv4 address of the four bytes b, in network order.
func V4(b [4]byte) Addr {
	return Addr{10: 0xff, 11: 0xff, 12: b[0], 13: b[1], 14: b[2], 15: b[3]}
}

// FromNetip returns a without its zone; an invalid a gives the zero Addr.
func FromNetip(a netip.Addr) Addr {
	if !a.IsValid() {
		return Addr{}
	}
	return a.As16()
}

// Is4 reports whether a is an IPv4 address.
func (a Addr) Is4() bool { return [12]byte(a[:12]) == [12]byte{10: 0xff, 11: 0xff} }

// As4 returns the last four bytes of a: the IPv4 address when a.Is4().
func (a Addr) As4() [4]byte { return [4]byte(a[12:]) }

// Netip returns a as a netip.Addr, IPv4 unmapped.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// String returns the usual notation: "10.7.0.2".
func (a Addr) String() string { return a.Netip().String() }

// IsUnicast reports whether a is an IPv4 address that can name one host on a wire: not 0/8 ("this network"), not
// loopback, not multicast, not class E with its broadcast (RFC 1122 3.2.1.3). Directed broadcasts can't be told,
// for that takes a mask.
func (a Addr) IsUnicast() bool {
	return a.Is4() && a[12] != 0 && a[12] != 127 && a[12] < 224
}

// IsMulticast reports whether a is in 224/4 (RFC 1112 4).
func (a Addr) IsMulticast() bool { return a.Is4() && a[12]&0xf0 == 224 }

// IsBroadcast reports whether a is 255.255.255.255, the limited broadcast (RFC 1122 3.2.1.3 c).
func (a Addr) IsBroadcast() bool { return a == V4([4]byte{255, 255, 255, 255}) }
