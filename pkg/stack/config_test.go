package stack_test

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Settings are all or none: what was set in part is an error, and not thrown away.
func TestSettingsInPart(t *testing.T) {
	with := func(change func(*tcp.Settings)) tcp.Settings {
		s := tcp.Defaults()
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		settings tcp.Settings
		want     string
	}{
		"none":       {tcp.Settings{}, ""},
		"all":        {with(func(s *tcp.Settings) { s.NoDelay = true }), ""},
		"in part":    {tcp.Settings{NoDelay: true}, "begin with tcp.Defaults()"},
		"without":    {tcp.Settings{Congestion: tcp.Defaults().Congestion, TTL: 9}, "MSL 0s"},
		"no buffers": {with(func(s *tcp.Settings) { s.SendBuffer = 0 }), "buffers of 0 and"},
		"RTO":        {with(func(s *tcp.Settings) { s.RTOMax = s.RTOMin - 1 }), "RTOMax"},
		"DSCP":       {with(func(s *tcp.Settings) { s.DSCP = 64 }), "DSCP 64"},
	} {
		a, _ := pipe.New(1, pipe.Options{})
		s, err := stack.New(stack.Config{Link: a, Addrs: []netip.Prefix{netip.PrefixFrom(addrA, 32)}, TCP: c.settings})
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", name, err)
		case err == nil && s.Settings().NoDelay != c.settings.NoDelay:
			t.Errorf("%s: the settings are thrown away", name)
		}
	}
}

// Who gives no secrets gets some: two stacks do not have the same.
func TestSecretsAreDrawn(t *testing.T) {
	syn := func() (first uint32) {
		a, b := pipe.New(1, pipe.Options{})
		s, err := stack.New(stack.Config{Link: a, Addrs: []netip.Prefix{netip.PrefixFrom(addrA, 32)}, Now: (&bench{now: 1e12}).clock})
		if err != nil {
			t.Fatal(err)
		}
		dialTo(t, s, 9, &sink{})
		if _, err := s.Turn(0); err != nil {
			t.Fatal(err)
		}
		batch := link.NewBatch()
		if err := b.Queues[0].Read(batch); err != nil || len(batch.Packets) != 1 {
			t.Fatalf("%d packets, %v", len(batch.Packets), err)
		}
		return binary.BigEndian.Uint32(batch.Packets[0].Head[ip.HeaderLen+4:])
	}
	if a, b := syn(), syn(); a == b {
		t.Errorf("both begin at %d", a)
	}
}
