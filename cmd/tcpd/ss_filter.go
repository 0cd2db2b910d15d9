package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
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

// ssStateNames are the names of states that a filter is told to have; RFC 9293's are taken, too.
var ssStateNames = []string{
	"established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait", "close-wait", "last-ack", "closing", "listening",
	"all", "connected", "synchronized", "bucket", "big",
}

// ssConditions are what a filter is made of, by the word that each begins with, and what follows that.
var ssConditions = []struct{ word, follows string }{
	{"state", "a state"}, {"exclude", "a state"}, {"src", "an address"}, {"dst", "an address"}, {"sport", "a port"}, {"dport", "a port"},
}

// ssWords are those that a condition begins with.
func ssWords() (words []string) {
	for _, c := range ssConditions {
		words = append(words, c.word)
	}
	return words
}

// ssEquals may stand before a port.
var ssEquals = []string{"=", "==", "eq"}

// unspoken reports whether a word is of the part of ss's language that is not spoken here: alternatives, negation, parentheses,
// and ports that are compared in other ways than by =.
func unspoken(word string) bool {
	return slices.Contains([]string{"or", "not", "ne", "neq", "gt", "geq", "ge", "lt", "leq", "le"}, word) || strings.ContainsAny(word, "()!|&<>")
}

// filterParser is a filter as far as it has been read.
type filterParser struct {
	ssQuery
	states, excluded []string
}

// filterWords are the words of a filter; ss takes several in one argument, too.
func filterWords(args []string) []string { return strings.Fields(strings.Join(args, " ")) }

// parseSSFilter reads what follows the options.
func parseSSFilter(opt *ssOptions, args []string) (*ssQuery, error) {
	f := &filterParser{}
	words := filterWords(args)
	for len(words) > 0 {
		rest, err := f.condition(words[0], words[1:])
		if err != nil {
			return nil, err
		}
		if len(rest) > 0 && rest[0] == "and" { // it goes without saying
			if rest = rest[1:]; len(rest) == 0 {
				return nil, fmt.Errorf(`"and": another filter is to follow`)
			}
		}
		words = rest
	}
	if f.states == nil {
		f.states = usualStates(opt)
	}
	for _, s := range f.states {
		switch {
		case slices.Contains(f.excluded, s):
		case s == stateListen:
			f.listening = true
		case !slices.Contains(f.States, s):
			f.States = append(f.States, s)
		}
	}
	return &f.ssQuery, nil
}

// condition reads one, and returns the words after it.
func (f *filterParser) condition(word string, rest []string) ([]string, error) {
	at := slices.Index(ssWords(), word)
	if at < 0 {
		return nil, noFilter(word)
	}
	follows := ssConditions[at].follows
	if follows == "a port" && len(rest) > 0 && slices.Contains(ssEquals, rest[0]) {
		word, rest = word+" "+rest[0], rest[1:]
	}
	switch {
	case len(rest) == 0:
		return nil, fmt.Errorf("%q: %s is to follow", word, follows)
	case unspoken(rest[0]):
		return nil, noFilter(rest[0])
	}
	return rest[1:], f.set(ssConditions[at].word, rest[0])
}

// noFilter is the error for a word that no condition begins with.
func noFilter(word string) error {
	if unspoken(word) {
		return fmt.Errorf("%q is not supported: all filters must hold, which \"and\" may stand between, and ports are compared by =", word)
	}
	return fmt.Errorf("%q is not a filter: there are %s", word, strings.Join(ssWords(), ", "))
}

// set takes a condition into the query.
func (f *filterParser) set(word, value string) error {
	switch word {
	case "src":
		return setEnd(&f.Local, &f.LocalPort, word, value)
	case "dst":
		return setEnd(&f.Remote, &f.RemotePort, word, value)
	case "sport":
		return setPort(&f.LocalPort, word, value)
	case "dport":
		return setPort(&f.RemotePort, word, value)
	}
	list := ssStates(value)
	if list == nil {
		return fmt.Errorf("%q is no state: there are %s", value, strings.Join(ssStateNames, ", "))
	}
	if word == "state" {
		f.states = append(f.states, list...)
	} else {
		f.excluded = append(f.excluded, list...)
	}
	return nil
}

// setEnd reads ADDRESS, ADDRESS:PORT or :PORT.
func setEnd(address *string, port *uint16, word, value string) error {
	host, service, ported := strings.Cut(value, ":")
	if strings.Contains(service, ":") { // as in IPv6
		host, ported = value, false
	}
	if ported {
		if err := setPort(port, word, service); err != nil || host == "" || host == "*" {
			return err
		}
	}
	a, err := ssAddress(host)
	if err != nil {
		return err
	}
	return once(address, a, word)
}

func setPort(port *uint16, word, value string) error {
	p, err := ssPort(strings.TrimPrefix(value, ":"))
	if err != nil {
		return err
	}
	return once(port, p, word)
}

// once sets what a query has one of.
func once[T comparable](to *T, v T, word string) error {
	var none T
	if *to != none && *to != v {
		return fmt.Errorf("%q: %v is asked for already, and a second one is not supported", word, *to)
	}
	*to = v
	return nil
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
	p, err := netip.ParsePrefix(s)
	if err != nil {
		var a netip.Addr
		a, err = netip.ParseAddr(s)
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if err != nil || !p.Addr().Is4() {
		return "", fmt.Errorf("%q is neither an IPv4 address nor a prefix of them", s)
	}
	return p.String(), nil
}

// ssPort reads a port's number, or the name of its service.
func ssPort(s string) (uint16, error) {
	p, err := net.LookupPort("tcp", s)
	if err != nil || p == 0 {
		return 0, fmt.Errorf("%q is neither a port, such as :80, nor the name of a service", s)
	}
	return uint16(p), nil
}
