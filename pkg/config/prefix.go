package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// Prefix is a range of addresses; a single one is written without its length.
type Prefix struct{ netip.Prefix }

// UnmarshalText reads "10.7.0.2" or "10.7.0.0/28".
func (p *Prefix) UnmarshalText(text []byte) error {
	s := string(text)
	if strings.Contains(s, "/") {
		v, err := netip.ParsePrefix(s)
		if err != nil {
			return fmt.Errorf("%q is no prefix such as 10.7.0.0/28", s)
		}
		p.Prefix = v.Masked()
		return nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return fmt.Errorf("%q is neither an address such as 10.7.0.2 nor a prefix such as 10.7.0.0/28", s)
	}
	p.Prefix = netip.PrefixFrom(a, a.BitLen())
	return nil
}

// within reports whether all of p lies in o.
func (p Prefix) within(o Prefix) bool { return p.Bits() >= o.Bits() && o.Overlaps(p.Prefix) }

// MarshalText is what UnmarshalText reads.
func (p Prefix) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String is the address, or the prefix of more than one.
func (p Prefix) String() string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.Prefix.String()
}
