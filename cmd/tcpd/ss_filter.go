package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/control"
)

// ssQuery is what the command line of ss asks for.
type ssQuery struct {
	control.Filter
	listening bool // listeners, too
}

const stateListen = "LISTEN"

// ssNames are the states whose names are others in ss than in RFC 9293.
var ssNames = map[string]string{"ESTABLISHED": "ESTAB", "SYN-RECEIVED": "SYN-RECV"}

// ssName is what ss prints for a state.
func ssName(state string) string {
	if name := ssNames[state]; name != "" {
		return name
	}
	return state
}

// ssStates are the states that ss calls by a name.
func ssStates(name string) []string {
	all := append(control.States(), stateListen)
	but := func(out ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(out, s) })
	}
	switch name = strings.ToLower(name); name {
	case "all":
		return all
	case "connected":
		return but(stateListen)
	case "synchronized":
		return but(stateListen, "SYN-SENT")
	case "bucket":
		return []string{"SYN-RECEIVED", "TIME-WAIT"}
	case "big":
		return but("SYN-RECEIVED", "TIME-WAIT")
	case "listening", "listen":
		return []string{stateListen}
	case "established", "estab":
		return []string{"ESTABLISHED"}
	case "syn-recv", "syn-received":
		return []string{"SYN-RECEIVED"}
	}
	if s := strings.ToUpper(name); slices.Contains(all, s) {
		return []string{s}
	}
	return nil
}

// parseSSFilter reads what follows the options.
func parseSSFilter(opt *ssOptions, args []string) (*ssQuery, error) {
	q := &ssQuery{}
	var states, excluded []string
	for len(args) > 0 {
		word := args[0]
		if len(args) < 2 {
			return nil, fmt.Errorf("%q is not a filter: something is to follow", word)
		}
		value := args[1]
		args = args[2:]
		var err error
		switch word {
		case "state", "exclude":
			list := ssStates(value)
			if list == nil {
				return nil, fmt.Errorf("%q is no state", value)
			}
			if word == "state" {
				states = append(states, list...)
			} else {
				excluded = append(excluded, list...)
			}
		case "src":
			q.Local, err = ssAddress(value)
		case "dst":
			q.Remote, err = ssAddress(value)
		case "sport", "dport":
			if slices.Contains([]string{"=", "==", "eq"}, value) && len(args) > 0 {
				value, args = args[0], args[1:]
			}
			to := &q.LocalPort
			if word == "dport" {
				to = &q.RemotePort
			}
			*to, err = ssPort(value)
		default:
			err = fmt.Errorf("%q is none of state, exclude, src, dst, sport, dport", word)
		}
		if err != nil {
			return nil, err
		}
	}
	if states == nil {
		states = usualStates(opt)
	}
	for _, s := range states {
		switch {
		case slices.Contains(excluded, s):
		case s == stateListen:
			q.listening = true
		case !slices.Contains(q.States, s):
			q.States = append(q.States, s)
		}
	}
	return q, nil
}

// usualStates are those of which no filter says anything.
func usualStates(opt *ssOptions) []string {
	switch {
	case opt.listening:
		return []string{stateListen}
	case opt.all:
		return ssStates("all")
	}
	return slices.DeleteFunc(ssStates("big"), func(s string) bool { return s == stateListen })
}

// connections reports whether the query is for connections.
func (q *ssQuery) connections() bool { return len(q.States) > 0 }

// listener reports whether the query is for the listener l.
func (q *ssQuery) listener(l *control.Listener) bool {
	local := true
	if q.Local != "" {
		p, err := netip.ParsePrefix(q.Local)
		local = err == nil && p.Overlaps(l.Prefix)
	}
	return local && (q.LocalPort == 0 || l.Port == q.LocalPort) && q.Remote == "" && q.RemotePort == 0
}

// ssAddress reads an address or a prefix.
func ssAddress(s string) (string, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.String(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return "", fmt.Errorf("%q is neither an address nor a prefix", s)
	}
	return netip.PrefixFrom(a, a.BitLen()).String(), nil
}

func ssPort(s string) (uint16, error) {
	p, err := strconv.ParseUint(strings.TrimPrefix(s, ":"), 10, 16)
	if err != nil || p == 0 {
		return 0, fmt.Errorf("%q is no port, such as :80", s)
	}
	return uint16(p), nil
}
