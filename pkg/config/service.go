package config

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// The ports of the services that run by default.
const (
	PortEcho    = 7
	PortDiscard = 9
	PortDaytime = 13
	PortChargen = 19
	PortHTTP    = 80
)

// Service is one that listens on a port.
type Service struct {
	Port uint16 `yaml:"port"` // Where it listens.
	// Echo (RFC 862), discard (RFC 863), daytime (RFC 867), chargen (RFC 864), a web server, or a way to a server of the kernel's.
	Service string `yaml:"service"`
	// An address or prefix of those that tcpd answers for; without one, all that no other service has on the same port for itself.
	Address Prefix `yaml:"address"`
	// How it has its connections: called by the shard, or with a goroutine and a net.Conn for each. By default the first of those
	// that the service has.
	Through string `yaml:"through"`
	// Of http: the directory whose files are served.
	Static string `yaml:"static"`
	// Of proxy: the address and port of the server.
	To netip.AddrPort `yaml:"to"`
}

// ServiceNames are the values of Service.Service.
var ServiceNames = []string{"echo", "discard", "daytime", "chargen", "http", "proxy"}

// Throughs are the values of Service.Through: a handler that the shard calls, and a goroutine a connection that has a
// net.Conn.
var Throughs = []string{Handler, Conn}

// The ways of a service to its connections.
const (
	Handler = "handler"
	Conn    = "conn"
)

func defaultServices() []Service {
	return []Service{
		{Port: PortEcho, Service: "echo"}, {Port: PortDiscard, Service: "discard"}, {Port: PortDaytime, Service: "daytime"},
		{Port: PortChargen, Service: "chargen"}, {Port: PortHTTP, Service: "http"},
	}
}

// HasGoroutines reports whether each connection of the service has goroutines of its own.
func (s *Service) HasGoroutines() bool { return s.Through == Conn || s.needsConn() }

func (s *Service) needsConn() bool { return s.Service == "http" || s.Service == "proxy" }

// ListensAt is where a service of c listens: at its address, or at all those of tcpd that no other service has on the same
// port for itself.
func (c *Config) ListensAt(s *Service) (list []Prefix) {
	if s.Address.IsValid() {
		return []Prefix{s.Address}
	}
	for _, a := range c.Addresses {
		if !slices.ContainsFunc(c.Services, func(o Service) bool { return o.Port == s.Port && o.Address == a }) {
			list = append(list, a)
		}
	}
	return list
}

// ports are those that services listen on.
func (c *Config) ports() (list []uint16) {
	for _, s := range c.Services {
		list = append(list, s.Port)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

var anyPort = rule{low: uint16(1), high: uint16(65535)}

func (v *faults) services(c *Config) {
	for i := range c.Services {
		s, key := &c.Services[i], fmt.Sprintf("services[%d]", i)
		v.rule(key+".port", anyPort)
		v.rule(key+".service", rule{names: ServiceNames})
		v.rule(key+".through", rule{names: Throughs})
		same := func(o Service) bool { return o.Port == s.Port && o.Address == s.Address }
		switch {
		case s.Port == 0:
			v.add(key+".port", "a port from 1 to 65535 is wanted")
		case slices.ContainsFunc(c.Services[:i], same):
			v.add(key+".port", "port %d is there twice%s", s.Port, at(s.Address))
		}
		if s.Address.IsValid() && !slices.ContainsFunc(c.Addresses, s.Address.within) {
			v.add(key+".address", "%s is not among the addresses that tcpd answers for", s.Address)
		}
		if slices.Contains(ServiceNames, s.Service) {
			v.service(key, s)
		} else {
			v.add(key+".service", "%s", noService(s.Service))
		}
	}
}

// metrics adds a fault when a service has the place of the metrics. Beside a service at a prefix they have their address for
// themselves.
func (v *faults) metrics(c *Config, at netip.AddrPort) {
	for i := range c.Services {
		s := &c.Services[i]
		here := func(a Prefix) bool { return a.IsSingleIP() && a.Addr() == at.Addr() }
		if s.Port == at.Port() && slices.ContainsFunc(c.ListensAt(s), here) {
			v.add("metrics", "services[%d], %s, listens at %s: another port is needed", i, s.Service, at)
			return
		}
	}
}

// service adds what does not fit the kind of service that s is.
func (v *faults) service(key string, s *Service) {
	switch {
	case s.Through != "" && !slices.Contains(Throughs, s.Through):
		v.add(key+".through", "%q is none of %s", s.Through, strings.Join(Throughs, ", "))
	case s.Through == Handler && s.needsConn():
		v.add(key+".through", "%s is there only through %s", s.Service, Conn)
	}
	if s.Static != "" {
		v.static(key+".static", s)
	}
	switch {
	case s.Service != "proxy" && s.To.IsValid():
		v.add(key+".to", "%s goes nowhere: this is for proxy", s.Service)
	case s.Service == "proxy" && !s.To.IsValid():
		v.add(key+".to", "a proxy wants a server to go to, such as 127.0.0.1:8080")
	case s.Service == "proxy" && s.To.Port() == 0:
		v.add(key+".to", "%s: a port from 1 to 65535 is wanted", s.To)
	}
}

func (v *faults) static(key string, s *Service) {
	if s.Service != "http" {
		v.add(key, "%s has no files: this is for http", s.Service)
	} else if i, err := os.Stat(s.Static); err != nil {
		v.add(key, "%v", err)
	} else if !i.IsDir() {
		v.add(key, "%s is not a directory", s.Static)
	}
}

func at(a Prefix) string {
	if !a.IsValid() {
		return ""
	}
	return " at " + a.String()
}

func noService(name string) string {
	if name == "" {
		return "a service is wanted: there are " + strings.Join(ServiceNames, ", ")
	}
	return fmt.Sprintf("%q is no service%s", name, meant(name, ServiceNames))
}
