package main

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/config"
)

// TestToken: the page is wherever a web server listens; port 80 needs no mention, and a prefix has a first address.
func TestToken(t *testing.T) {
	c := config.Defaults()
	c.Addresses = []config.Prefix{{Prefix: netip.MustParsePrefix("10.7.0.2/32")}, {Prefix: netip.MustParsePrefix("10.8.0.0/24")}}
	c.Services = []config.Service{{Port: 80, Service: "http"}, {Port: 7, Service: "echo"}, {Port: 8080, Service: "http"}}
	r := &reloader{loaded: config.Loaded{Config: c}}
	got := r.token("cafe")
	want := []string{"http://10.7.0.2/#cafe", "http://10.8.0.1/#cafe", "http://10.7.0.2:8080/#cafe", "http://10.8.0.1:8080/#cafe"}
	if got.Token != "cafe" || !slices.Equal(got.Pages, want) {
		t.Errorf("%+v", got)
	}
	r.loaded.Config.Services = nil
	if got := r.token("cafe"); got.Pages == nil || len(got.Pages) != 0 {
		t.Errorf("without a web server: %+v", got)
	}
}
