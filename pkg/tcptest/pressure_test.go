package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// pressureLimits are all limits of a host at once, so small that a little crowd reaches each of them.
var pressureLimits = stack.Limits{Connections: 30, HalfOpen: 16, TimeWait: 10, Orphans: 6, Memory: 1 << 20, Fragments: 32 << 10}

// The kinds of users under pressure, by the ports that they call.
const (
	honestPort = 80 + iota // each end writes a little, and the server closes
	hoardPort              // the server writes much, and the client reads nothing
	orphanPort             // the server writes, and closes before the client has read anything
	holePort               // the client's first text never comes, what follows does
)

// pressed is a world under pressure.
type pressed struct {
	*pair
	c      *Host // from where SYNs and fragments come that belong to nobody
	users  []*User
	served []*User
	id     uint16
}

const (
	pressedText    = 5000 // of an honest user
	pressureRounds = 120  // of half a second
)

func newPressed(t *testing.T) *pressed {
	w := &pressed{pair: newPair(t, HostOptions{}, HostOptions{Limits: pressureLimits})}
	w.Log.Verbose, w.CheckEvery = false, 200
	w.ab.Filter, w.ba.Filter = w.hole, nil
	w.ab.Loss, w.ba.Loss = 10, 10
	w.c = w.Host("c", HostOptions{})
	w.Connect(w.c, w.b, Path{}) // and no way back
	for port := uint16(honestPort); port <= holePort; port++ {
		l := w.l
		if port != honestPort {
			l = w.b.Listen(port, 0)
		}
		l.Accept = func(u *User) { w.serve(u, port) }
	}
	return w
}

// hole loses the first text of those whose first text never comes.
func (w *pressed) hole(f *Frame) Verdict {
	if f.TCP && f.Seg.DstPort == holePort && len(f.Seg.Text) > 0 && f.end != nil && f.Seg.Seq == f.end.iss+1 {
		return Lose
	}
	return Pass
}

func (w *pressed) serve(u *User, port uint16) {
	w.served = append(w.served, u)
	switch port {
	case honestPort:
		u.heard = func(tcp.Events) {
			if u.Held && u.Read >= pressedText {
				u.want = pressedText
				u.write()
				if u.Wrote == pressedText {
					u.conn.CloseWrite()
				}
			}
			if u.Held && u.EOF {
				u.close(u.conn)
			}
		}
	case hoardPort:
		u.want = 1 << 20
	case orphanPort:
		u.want = 20_000
		w.After(second, func() { u.Close() })
	}
}

// call has one client of each kind call.
func (w *pressed) call() {
	for port := uint16(honestPort); port <= holePort; port++ {
		u := w.a.Dial(w.b, port, 0)
		w.users = append(w.users, u)
		switch port {
		case honestPort:
			w.honest(u)
		case holePort:
			u.want = 60_000
		default:
			u.Paused = true
		}
	}
}

func (w *pressed) honest(u *User) {
	u.want = pressedText
	u.heard = func(tcp.Events) {
		if u.Held && u.EOF {
			u.close(u.conn)
		}
	}
}

// flood has SYNs come from ports of c, whom no answer reaches, and fragments of datagrams that never become whole.
func (w *pressed) flood() {
	for range 20 {
		w.id++
		f := stack.Flow{Local: w.c.addr, Remote: w.b.addr, LocalPort: w.id, RemotePort: honestPort}
		syn := tcp.Segment{SrcPort: f.LocalPort, DstPort: f.RemotePort, Flags: tcp.SYN, Window: 1000}
		w.send(w.c, build(f, &syn, 0), 0)
		b := make([]byte, 1396)
		h := ip.Header{Src: w.c.addr, Dst: w.b.addr, Proto: ip.ProtoTCP, TTL: 64, Len: len(b)}
		h.Put(b)
		b[4], b[5], b[6] = byte(w.id>>8), byte(w.id), 0x20 // MF
		b[10], b[11] = 0, 0
		sum := ^ip.Fold(ip.Sum(b[:ip.HeaderLen], 0))
		b[10], b[11] = byte(sum>>8), byte(sum)
		w.b.receive(&Frame{Src: w.c, Dst: w.b, Packet: b})
	}
}

// bounded holds what b keeps against its limits.
func (w *pressed) bounded() {
	w.t.Helper()
	c, m := w.b.Stack.Counters(0), pressureLimits
	if c.Conns > m.Connections || c.HalfOpen > m.HalfOpen || c.TimeWait > m.TimeWait || c.Orphans > m.Orphans || c.Rings > m.Memory || c.FragmentBytes > m.Fragments {
		w.t.Errorf("%d connections, %d half-open, %d in TIME-WAIT, %d orphans, %d bytes of rings, %d of fragments",
			c.Conns, c.HalfOpen, c.TimeWait, c.Orphans, c.Rings, c.FragmentBytes)
	}
}

// TestAllLimitsAtOnce has a crowd reach every limit of a host, again and again for a minute, while segments are lost. Each
// limit holds and is counted; nobody reads a wrong byte, and the honest are served as far as there is room. When the pressure
// ends all is as it was.
func TestAllLimitsAtOnce(t *testing.T) {
	w := newPressed(t)
	for range pressureRounds {
		w.call()
		w.flood()
		w.Run(500 * ms)
		w.bounded()
	}
	c := w.b.Stack.Counters(0)
	for name, n := range map[string]uint64{
		"last ACKs not taken": c.Stack[stack.DropConnections], "cookies": c.CookiesSent, "TIME-WAITs evicted": c.TimeWaitEvicted,
		"orphans aborted": c.OrphansAborted, "without memory": c.NoMemory, "ended for memory": c.MemoryAborted, "fragments evicted": uint64(c.Fragments.Evicted.Datagrams),
	} {
		if n == 0 {
			t.Errorf("%s: none", name)
		}
	}
	if n := w.finished(); n < 20 {
		t.Errorf("%d of %d honest clients were served under pressure", n, pressureRounds)
	} else {
		t.Logf("%d of %d honest clients were served under pressure; %d connections accepted, %d ended for memory, drops %v", n, pressureRounds, c.Accepted, c.MemoryAborted, c.Drops())
	}
	w.relieve()
}

// finished is how many honest clients have read all.
func (w *pressed) finished() (n int) {
	for _, u := range w.users {
		if u.flow.RemotePort == honestPort && u.EOF && u.Read == pressedText {
			n++
		}
	}
	return n
}

// relieve ends the pressure: the crowd leaves, and those who come then are served at once.
func (w *pressed) relieve() {
	w.ab.Filter = nil
	w.ab.Loss, w.ba.Loss = 0, 0
	for _, u := range append(w.users, w.served...) {
		u.Abort()
	}
	w.Run(60 * second)
	before := w.finished()
	for range 20 {
		u := w.a.Dial(w.b, honestPort, 0)
		w.honest(u)
		w.users = append(w.users, u)
	}
	w.Run(mono.Duration(5 * second))
	if n := w.finished() - before; n != 20 {
		w.t.Errorf("%d of 20 are served when the pressure is over", n)
	}
	w.over()
}
