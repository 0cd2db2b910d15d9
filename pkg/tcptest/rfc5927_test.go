package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// RFC 5927 section 4.2, RFC 6056: the local ports that a stack chooses are none that an attacker could tell from others
// he has seen: where its search begins is a secret, and another one for each peer. They lie in Linux's range, and no two
// connections to a peer have the same.
//
// Proves: RFC 5927 4.2-1
func TestPortsAreNotGuessed(t *testing.T) {
	first := func(k [2]tcp.Secret, port uint16) int {
		p := newHand(t, HostOptions{Secrets: &k}, allOptions)
		p.host.Dial(p.peer, port, 0)
		p.Run(0)
		return int(p.one().SrcPort)
	}
	seen := map[int]bool{}
	for n := range uint64(20) {
		for _, at := range []int{first([2]tcp.Secret{{n, 2}, {3, n}}, 5000), first([2]tcp.Secret{{1, 2}, {3, 4}}, uint16(5000+n))} {
			if at < 32768 || at > 60999 {
				t.Errorf("port %d", at)
			}
			seen[at], seen[at+1] = true, true
		}
	}
	if len(seen) < 60 { // of 78: those of one secret and one port are the same, others by chance
		t.Errorf("%d different ports, and their neighbours", len(seen))
	}
	p := newHand(t, HostOptions{}, allOptions)
	ports := map[uint16]bool{}
	for range 200 {
		p.host.Dial(p.peer, 5000, 0)
		p.Run(0)
		ports[p.one().SrcPort] = true
		p.take()
	}
	if len(ports) != 200 {
		t.Errorf("%d ports of 200 connections", len(ports))
	}
}
