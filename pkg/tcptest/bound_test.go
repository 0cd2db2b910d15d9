package tcptest

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// echoRequest is a ping.
func echoRequest(from, to *Host) []byte {
	icmp := []byte{ip.ICMPEchoRequest, 0, 0, 0, 0, 1, 0, 1, 'p', 'i', 'n', 'g'}
	binary.BigEndian.PutUint16(icmp[2:], ^ip.Fold(ip.Sum(icmp, 0)))
	b := make([]byte, ip.HeaderLen)
	h := ip.Header{Src: from.addr, Dst: to.addr, Proto: ip.ProtoICMP, TTL: 64, Len: len(b) + len(icmp)}
	h.Put(b)
	return append(b, icmp...)
}

// opened counts the users of a listener that hold a connection.
func opened(users []*User) (n int) {
	for _, u := range users {
		if u.Held {
			n++
		}
	}
	return n
}

// Connections are bounded: by the stack, by the listener, by the listener for one address. Beyond that the last ACK is not
// taken and comes again, so that who waits is let in when another has gone.
func TestConnectionLimits(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit int // of the stack
		cfg   stack.ListenConfig
		drop  stack.Drop
	}{
		{"stack", 2, stack.ListenConfig{}, stack.DropConnections},
		{"listener", 0, stack.ListenConfig{Connections: 2}, stack.DropConnections},
		{"source", 0, stack.ListenConfig{SourceConnections: 2}, stack.DropSourceConnections},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t, HostOptions{}, HostOptions{Limits: stack.Limits{Connections: c.limit}})
			c.cfg.Port = 81
			l := p.b.ListenWith(c.cfg)
			for range 3 {
				p.a.Dial(p.b, 81, 0)
			}
			p.Run(5 * second)
			count := p.b.Stack.Counters(0)
			if n := opened(l.Users); n != 2 || count.Stack[c.drop] == 0 {
				t.Errorf("%d are open; drops %v", n, count.Drops())
			}
			l.Users[0].Abort()
			p.Run(30 * second)
			if n := opened(l.Users); n != 2 || len(l.Users) != 3 {
				t.Errorf("after one has gone, %d are open, of %d", n, len(l.Users))
			}
			for _, u := range l.Users {
				u.Abort()
			}
			p.over()
		})
	}
}

// A dialler is told that there is no room.
func TestDialBeyondTheLimit(t *testing.T) {
	p := newPair(t, HostOptions{Limits: stack.Limits{Connections: 1}}, HostOptions{})
	p.dial()
	var got error
	err := p.a.Stack.Dial(stack.DialConfig{Remote: netip.AddrPortFrom(p.b.Addr, 80)}, &User{world: p.World, Host: p.a},
		func(_ stack.Conn, err error) { got = err })
	p.Run(second)
	if err != nil || !errors.Is(got, stack.ErrNoCapacity) {
		t.Errorf("%v, %v", err, got)
	}
	p.end()
}

// hoarders are connections whose peers close their windows on text that fills all of b's memory.
func hoarders(t *testing.T, memory, n int) *pair {
	small := settings(func(s *tcp.Settings) { s.ReceiveBuffer, s.ReceiveBufferMax = 4096, 0 })
	p := newPair(t, small, HostOptions{Limits: stack.Limits{Memory: memory}})
	p.l.Accept = func(u *User) { u.Write(1 << 20) }
	for range n {
		p.a.Dial(p.b, 80, 0).Paused = true
	}
	p.Run(2 * second)
	return p
}

// Peers who take nothing and answer every probe keep nobody else out: when memory is wanted, connections without progress
// for ten seconds are ended (RFC 6429 section 3), and no others.
func TestHoarders(t *testing.T) {
	p := hoarders(t, 1<<20, 8)
	c := p.b.Stack.Counters(0)
	if c.NoMemory == 0 || c.Rings < 1<<20*3/4 {
		t.Fatalf("%d bytes of rings, no memory %d times", c.Rings, c.NoMemory)
	}
	p.Run(20 * second)
	if n := p.b.Stack.Counters(0).MemoryAborted; n != 0 {
		t.Errorf("%d were ended though nobody wanted memory", n)
	}
	p.l.Accept = func(u *User) { u.Write(100_000) }
	honest := p.a.Dial(p.b, 80, 0)
	p.Run(30 * second)
	if honest.Read != 100_000 {
		t.Errorf("the honest one has read %d", honest.Read)
	}
	c = p.b.Stack.Counters(0)
	if c.MemoryAborted == 0 {
		t.Error("none of the others was ended")
	}
	for _, u := range p.l.Users {
		if !u.Held && u.Events&tcp.TimedOut == 0 {
			t.Errorf("the user of one that was ended heard %b", u.Events)
		}
		u.Abort()
	}
	p.over()
}

// Small requests find room though others have all memory that they can get: its last eighth is for them.
func TestLastEighthOfMemory(t *testing.T) {
	p := hoarders(t, 1<<20, 8)
	got := uint64(0)
	p.l.Accept = func(u *User) { u.Write(1000) }
	small := p.a.Dial(p.b, 80, 0)
	small.heard = func(tcp.Events) { got = small.Read }
	p.Run(second)
	if got != 1000 {
		t.Errorf("read %d within a second", got)
	}
	for _, u := range p.l.Users {
		u.Abort()
	}
	p.over()
}

// Text beyond a hole that nobody fills is forgotten when memory is wanted, and the connection goes on.
//
// Proves: RFC 2018 8-1
func TestForgettingBeyondAHole(t *testing.T) {
	p := newPair(t, HostOptions{}, HostOptions{Limits: stack.Limits{Memory: 1 << 20}})
	p.l.Accept = func(u *User) { u.Paused = true }
	holed := p.a.Dial(p.b, 80, 0)
	p.Run(second)
	port := holed.flow.LocalPort
	holed.Write(300_000)
	hole, silent := holed.Info().InitialSend+1, false
	p.filter(func(s *sent) bool { return s.SrcPort == port && (silent || uint32(s.Seq) == hole) })
	p.Run(second)
	silent = true
	kept := p.b.Stack.Counters(0).Rings
	for range 8 {
		u := p.a.Dial(p.b, 80, 0)
		u.Write(200_000)
	}
	p.Run(20 * second)
	if n := p.b.Stack.Counters(0).Reneged; kept == 0 || n != 1 {
		t.Errorf("%d bytes were kept, %d have reneged", kept, n)
	}
	p.filter(nil)
	for _, u := range p.l.Users {
		u.Resume()
	}
	p.Run(300 * second)
	for _, u := range p.l.Users {
		if u.flow.RemotePort == port && u.Read != 300_000 {
			t.Errorf("after that %d were read", u.Read)
		}
		u.Abort()
	}
	p.over()
}

// Pings are answered under a limit, and those beyond it are counted.
func TestPingFlood(t *testing.T) {
	p := newPair(t)
	ping := echoRequest(p.a, p.b)
	for range 30_000 {
		p.b.receive(&Frame{Src: p.a, Dst: p.b, Packet: ping})
	}
	p.Run(500 * ms)
	c := p.b.Stack.Counters(0)
	if c.Pings != 20_000 || c.Stack[stack.DropPings] != 10_000 {
		t.Errorf("%d are answered, %d are not", c.Pings, c.Stack[stack.DropPings])
	}
	p.Run(second)
	p.b.receive(&Frame{Src: p.a, Dst: p.b, Packet: ping})
	p.Run(second)
	if c := p.b.Stack.Counters(0); c.Pings != 20_001 {
		t.Error("none is answered afterwards")
	}
}
