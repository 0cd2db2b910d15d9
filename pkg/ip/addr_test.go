package ip

import (
	"net/netip"
	"testing"
)

func TestAddrIsTheMappedForm(t *testing.T) {
	a := V4([4]byte{10, 7, 0, 2})
	if want := netip.MustParseAddr("::ffff:10.7.0.2").As16(); a != Addr(want) {
		t.Errorf("V4 = % x", a[:])
	}
	if !a.Is4() || a.As4() != [4]byte{10, 7, 0, 2} || a.String() != "10.7.0.2" {
		t.Errorf("%v: Is4 %v, As4 %v", a, a.Is4(), a.As4())
	}
	if n := netip.MustParseAddr("10.7.0.2"); a.Netip() != n || FromNetip(n) != a {
		t.Errorf("Netip %v, FromNetip %v", a.Netip(), FromNetip(n))
	}
}

func TestAddrOfIPv6(t *testing.T) {
	n := netip.MustParseAddr("fe80::1%eth0")
	a := FromNetip(n)
	if a.Is4() || a.IsUnicast() || a.IsMulticast() || a.Netip() != n.WithZone("") {
		t.Errorf("%v", a)
	}
	if (FromNetip(netip.Addr{}) != Addr{}) || (Addr{}).Is4() || (Addr{}).String() != "::" {
		t.Errorf("zero: %v", Addr{})
	}
}

// RFC 1122 3.2.1.3 lists the special addresses.
func TestAddrKinds(t *testing.T) {
	for _, c := range []struct {
		addr                          string
		unicast, multicast, broadcast bool
	}{
		{"0.0.0.0", false, false, false},
		{"0.255.255.255", false, false, false},
		{"1.0.0.0", true, false, false},
		{"126.255.255.255", true, false, false},
		{"127.0.0.1", false, false, false},
		{"127.255.255.255", false, false, false},
		{"128.0.0.0", true, false, false},
		{"223.255.255.255", true, false, false},
		{"224.0.0.1", false, true, false},
		{"239.255.255.255", false, true, false},
		{"240.0.0.0", false, false, false},
		{"255.255.255.254", false, false, false},
		{"255.255.255.255", false, false, true},
	} {
		a := FromNetip(netip.MustParseAddr(c.addr))
		if a.IsUnicast() != c.unicast || a.IsMulticast() != c.multicast || a.IsBroadcast() != c.broadcast {
			t.Errorf("%s: unicast %v, multicast %v, broadcast %v", c.addr, a.IsUnicast(), a.IsMulticast(), a.IsBroadcast())
		}
	}
}

func TestDropNamesAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for d := range Drop(NumDrops) {
		if n := d.String(); n == "" || n == "unknown" || seen[n] {
			t.Errorf("Drop %d is called %q", d, n)
		}
		seen[d.String()] = true
	}
	if Drop(NumDrops).String() != "unknown" || Drop(255).String() != "unknown" {
		t.Error("a number that is no Drop has a name")
	}
}
