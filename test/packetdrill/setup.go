//go:build cgo

package main

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcptest/bsd"
)

// setup is what the stack is made of.
type setup struct {
	tcp       tcp.Settings
	local     netip.Addr
	mtu       int
	split     bool            // superframes leave as segments
	lowat     int             // bsd.Options.NotSentLowat
	namespace bool            // take the settings from the network namespace
	given     map[string]bool // the flags that were given, and come first
}

// parseFlags reads --so_flags.
func parseFlags(flags string) (setup, error) {
	s := setup{tcp: bsd.LinuxSettings(), local: netip.AddrFrom4([4]byte{192, 168, 0, 1}), mtu: 1500, given: map[string]bool{}}
	for f := range strings.SplitSeq(flags, ",") {
		if f == "" {
			continue
		}
		name, value, _ := strings.Cut(f, "=")
		if err := s.flag(name, value); err != nil {
			return s, fmt.Errorf("--so_flags %s: %w", f, err)
		}
		s.given[name] = true
	}
	return s, nil
}

func (s *setup) flag(name, value string) (err error) {
	t := &s.tcp
	switch name {
	case "rcvbuf":
		t.ReceiveBuffer, err = strconv.Atoi(value)
	case "sndbuf":
		t.SendBuffer, err = strconv.Atoi(value)
	case "wscale":
		t.WindowScale, err = strconv.ParseBool(value)
	case "sack":
		t.SACK, err = strconv.ParseBool(value)
	case "timestamps":
		t.Timestamps, err = strconv.ParseBool(value)
	case "mtu":
		s.mtu, err = strconv.Atoi(value)
	case "local":
		s.local, err = netip.ParseAddr(value)
	case "congestion":
		return s.congestion(value)
	case "namespace":
		s.namespace = true
	default:
		return fmt.Errorf("no such flag")
	}
	return err
}

func (s *setup) congestion(name string) error {
	a, ok := bsd.LinuxCongestion(name)
	if !ok {
		return fmt.Errorf("no such algorithm")
	}
	s.tcp.Congestion = a
	return nil
}

// readNamespace takes from the sysctls of the namespace what no flag has said. What is not there stays as it is.
func (s *setup) readNamespace() {
	t := &s.tcp
	s.split = !offloads("tun0")
	if m := sysctl("tcp_rmem"); len(m) == 3 && !s.given["rcvbuf"] {
		t.ReceiveBuffer, t.ReceiveBufferMax = m[1]/2, m[2] // half is for overhead, and the scale of the window is that of the whole
	}
	if m := sysctl("tcp_wmem"); len(m) == 3 && !s.given["sndbuf"] {
		t.SendBuffer, t.SendBufferMax = m[1], m[2]
	}
	for _, b := range []struct {
		sysctl, flag string
		to           *bool
	}{{"tcp_window_scaling", "wscale", &t.WindowScale}, {"tcp_sack", "sack", &t.SACK}, {"tcp_timestamps", "timestamps", &t.Timestamps}} {
		if v := sysctl(b.sysctl); len(v) == 1 && !s.given[b.flag] {
			*b.to = v[0] != 0
		}
	}
	for _, n := range []struct {
		sysctl string
		to     *uint8
	}{{"tcp_syn_retries", &t.SynRetries}, {"tcp_synack_retries", &t.SynAckRetries}, {"tcp_retries1", &t.Retries1}, {"tcp_retries2", &t.Retries2}} {
		if v := sysctl(n.sysctl); len(v) == 1 {
			*n.to = uint8(v[0])
		}
	}
	if v := sysctl("tcp_notsent_lowat"); len(v) == 1 && v[0] < 1<<31 { // or it is not set
		s.lowat = v[0]
	}
	if v := sysctl("tcp_fin_timeout"); len(v) == 1 {
		t.FinTimeout = mono.Duration(v[0]) * mono.Second
	}
	if v := sysctl("tcp_min_tso_segs"); len(v) == 1 {
		t.LeastSuperframe = uint8(v[0])
	}
	if v := sysctl("tcp_ecn"); len(v) == 1 {
		t.ECN = ecn(v[0])
	}
}

// ecn is Linux's tcp_ecn as our setting.
func ecn(v int) tcp.ECN {
	switch v {
	case 0:
		return tcp.ECNOff
	case 1:
		return tcp.ECNOn
	case 3:
		return tcp.ECNAccurate
	}
	return tcp.ECNPassive
}

// sysctl reads numbers of net.ipv4.
func sysctl(name string) (list []int) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
	if err != nil {
		return nil
	}
	for _, f := range strings.Fields(string(b)) {
		n, err := strconv.Atoi(f)
		if err != nil {
			return nil
		}
		list = append(list, n)
	}
	return list
}
