package control

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

const (
	usualLimit = 1000
	mostLimit  = 10000
)

// query is which connections a client wants to see.
type query struct {
	cursor                stack.Cursor
	limit                 int
	info                  bool
	states                [1 << 8]bool // by fsm.State, if some
	some                  bool
	local, remote         netip.Prefix // all, if not valid
	localPort, remotePort uint16       // 0: all
}

// parseQuery reads the parameters of a listing. One that there is not is an error: it would not be what the client wants.
func parseQuery(v url.Values) (q query, err error) {
	q.limit = usualLimit
	for key, values := range v {
		for _, s := range values {
			if err := q.parameter(key, s); err != nil {
				return q, fmt.Errorf("%s=%s: %w", key, s, err)
			}
		}
	}
	return q, nil
}

func (q *query) parameter(key, s string) (err error) {
	switch key {
	case "cursor":
		q.cursor, err = stack.ParseCursor(s)
	case "limit":
		q.limit, err = strconv.Atoi(s)
		if err == nil && (q.limit < 1 || q.limit > mostLimit) {
			err = fmt.Errorf("1 to %d are wanted", mostLimit)
		}
	case "info":
		q.info, err = strconv.ParseBool(s)
	case "state":
		err = q.state(s)
	case "local":
		q.local, err = parsePrefix(s)
	case "remote":
		q.remote, err = parsePrefix(s)
	case "local_port":
		q.localPort, err = parsePort(s)
	case "remote_port":
		q.remotePort, err = parsePort(s)
	default:
		err = fmt.Errorf("there is no such parameter")
	}
	return err
}

// states are those by which connections can be asked for, by name.
var states = func() map[string][]fsm.State {
	m := map[string][]fsm.State{}
	for s := fsm.SynSent; s <= fsm.TimeWait; s++ {
		m[s.String()] = append(m[s.String()], s)
	}
	return m
}()

// state takes names of states between commas.
func (q *query) state(names string) error {
	q.some = true
	for name := range strings.SplitSeq(names, ",") {
		list := states[strings.ToUpper(name)]
		if list == nil {
			return fmt.Errorf("%q is no state of a connection", name)
		}
		for _, s := range list {
			q.states[s] = true
		}
	}
	return nil
}

// parsePrefix reads an address or a prefix.
func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return a.Prefix(a.BitLen())
}

func parsePort(s string) (uint16, error) {
	p, err := strconv.ParseUint(s, 10, 16)
	if err == nil && p == 0 {
		err = strconv.ErrRange
	}
	return uint16(p), err
}

// keep reports whether the client wants to see a flow. It is called on the shards.
func (q *query) keep(f *stack.Flow, s fsm.State) bool {
	return (!q.some || q.states[s]) &&
		(q.localPort == 0 || q.localPort == f.LocalPort) && (q.remotePort == 0 || q.remotePort == f.RemotePort) &&
		within(q.local, f.Local) && within(q.remote, f.Remote)
}

func within(p netip.Prefix, a ip.Addr) bool { return !p.IsValid() || p.Contains(a.Netip()) }

// Filter is which connections Client.Connections is to show; the zero Filter is all.
type Filter struct {
	States                []string // of RFC 9293; none: all
	Local, Remote         string   // an address or a prefix; "": all
	LocalPort, RemotePort uint16   // 0: all
	Details               bool
	Page                  int // connections that are asked for at a time, for who will not read them all; 0: as many as can be
}

// values are the parameters that ask for what the filter lets through.
func (f *Filter) values(cursor string, limit int) url.Values {
	v := url.Values{"limit": {strconv.Itoa(limit)}}
	set := func(key, s string, is bool) {
		if is {
			v.Set(key, s)
		}
	}
	set("cursor", cursor, cursor != "")
	set("info", "true", f.Details)
	set("state", strings.Join(f.States, ","), len(f.States) > 0)
	set("local", f.Local, f.Local != "")
	set("remote", f.Remote, f.Remote != "")
	set("local_port", strconv.Itoa(int(f.LocalPort)), f.LocalPort != 0)
	set("remote_port", strconv.Itoa(int(f.RemotePort)), f.RemotePort != 0)
	return v
}

// States are the names of the states that connections can be in, in no order that means anything.
func States() (names []string) {
	for name := range states {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
