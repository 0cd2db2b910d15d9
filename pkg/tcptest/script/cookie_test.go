package script

import (
	"encoding/hex"
	"net/netip"
	"testing"
)

// TestLinuxCookie: a cookie that the public collection's scripts tell with its key and addresses.
func TestLinuxCookie(t *testing.T) {
	k, ok := parseCookieKey("a0bf63f7-ed803d81-cd641d30-cebc4a90")
	got := hex.EncodeToString(k.cookie(netip.MustParseAddr("10.248.0.2"), netip.MustParseAddr("192.168.0.2")))
	if want := "00abaaabe8e954c2"; !ok || got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
