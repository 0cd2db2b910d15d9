package page

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/fault"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// A lesson runs two hosts of our own TCP, joined in memory, in real time: what it shows has happened, and the daemon's own
// connections are not touched. Their addresses are for documentation (RFC 5737).
var (
	client = netip.MustParseAddrPort("192.0.2.1:0")
	server = netip.MustParseAddrPort("192.0.2.2:80")
)

const (
	lessonMSL = time.Second           // so that TIME-WAIT can be waited for
	oneWay    = 20 * time.Millisecond // so that segments can cross
	// longest is more than any lesson takes.
	longest = 10 * time.Second
)

// lessons are what can be taught, by name.
var lessons = map[string]func(*class) error{
	"handshake":          (*class).handshake,
	"close":              (*class).close,
	"half-close":         (*class).halfClose,
	"simultaneous-close": (*class).simultaneousClose,
	"time-wait":          (*class).timeWait,
	"late-segment":       (*class).lateSegment,
	"reset":              (*class).reset,
	"isn":                (*class).isns,
}

// Seen is an event at one of a lesson's two hosts.
type Seen struct {
	End string `json:"end"` // client or server
	*control.Event
}

// Lesson is what has happened in one.
type Lesson struct {
	Name   string `json:"name"`
	Client string `json:"client"`
	Server string `json:"server"`
	Events []Seen `json:"events"`
}

// teach gives one lesson at a time.
func (p *Page) teach(w http.ResponseWriter, r *http.Request) {
	if !p.trusted(r) {
		refuse(w, http.StatusUnauthorized, errors.New("lessons need the token: tcpd token prints where the page is with it"))
		return
	}
	name := r.PathValue("name")
	lesson := lessons[name]
	if lesson == nil {
		refuse(w, http.StatusNotFound, fmt.Errorf("there is no lesson %q", name))
		return
	}
	select {
	case p.lesson <- struct{}{}:
		defer func() { <-p.lesson }()
	default:
		refuse(w, http.StatusConflict, errors.New("another lesson is being given"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), longest)
	defer cancel()
	events, err := run(ctx, lesson)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, http.StatusOK, Lesson{name, client.Addr().String(), server.String(), events})
}

// run has a lesson happen, and returns what did.
func run(ctx context.Context, lesson func(*class) error) ([]Seen, error) {
	c := &class{ctx: ctx, news: make(chan struct{}, 1)}
	defer c.end()
	if err := c.begin(); err != nil {
		return nil, err
	}
	if err := lesson(c); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events), nil
}

// class is two hosts, and what has been seen of them.
type class struct {
	ctx            context.Context
	client, server *stack.Stack
	late           *straggler
	listener       *socket.Listener
	here, there    *socket.Conn

	mu     sync.Mutex
	events []Seen
	news   chan struct{}
}

// begin starts the hosts, and the listener.
func (c *class) begin() error {
	a, b := pipe.New(1, pipe.Options{})
	c.late = &straggler{Device: b.Queues[0]}
	slow := fault.New(1, fault.Faults{}, fault.Faults{Delay: oneWay})
	a.Queues[0], b.Queues[0] = slow(a.Queues[0]), slow(c.late)
	var err error
	if c.client, err = c.host("client", a, client.Addr()); err != nil {
		return err
	}
	if c.server, err = c.host("server", b, server.Addr()); err != nil {
		return err
	}
	c.listener, err = socket.Listen(c.server, server)
	return err
}

func (c *class) host(end string, l *link.Link, at netip.Addr) (*stack.Stack, error) {
	t := tcp.Defaults()
	t.MSL = lessonMSL
	var secrets [2]tcp.Secret
	_ = binary.Read(rand.Reader, binary.NativeEndian, &secrets) // it never fails
	s, err := stack.New(stack.Config{
		Link: l, Addrs: []netip.Prefix{netip.PrefixFrom(at, at.BitLen())}, TCP: t, Secrets: secrets,
		Limits: stack.Limits{Memory: 1 << 20, FlightRecorder: -1},
		Watches: []stack.Watch{{
			Kinds:  stack.Transitions | stack.Incidents | stack.Arrivals | stack.Departures | stack.Drops | stack.Calls,
			Tracer: &notebook{c, end},
		}},
	})
	if err == nil {
		s.Start()
	}
	return s, err
}

func (c *class) end() {
	for _, s := range []*stack.Stack{c.client, c.server} {
		if s != nil {
			_ = s.Close()
		}
	}
}

// notebook writes down what one host tells.
type notebook struct {
	class *class
	end   string
}

// Trace implements stack.Tracer.
func (n *notebook) Trace(e *stack.Event) {
	c := n.class
	c.mu.Lock()
	c.events = append(c.events, Seen{n.end, control.EventOf(e)})
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// await waits until something has been seen at an end.
func (c *class) await(end string, is func(*control.Event) bool) error {
	for {
		c.mu.Lock()
		seen := slices.ContainsFunc(c.events, func(s Seen) bool { return s.End == end && is(s.Event) })
		c.mu.Unlock()
		if seen {
			return nil
		}
		select {
		case <-c.news:
		case <-c.ctx.Done():
			return fmt.Errorf("the lesson has not come to its end: %w", c.ctx.Err())
		}
	}
}

func (c *class) awaitState(end string, s fsm.State) error {
	return c.await(end, func(e *control.Event) bool { return e.Kind == "transition" && e.To == s.String() })
}

// straggler is a device that keeps the last FIN it has carried, and can carry it again.
type straggler struct {
	link.Device
	mu  sync.Mutex
	fin []byte
}

// Write implements link.Device.
func (s *straggler) Write(p *link.Packet) error {
	whole := *p
	if b := whole.AppendTo(nil); len(b) > 33 && b[33]&1 != 0 { // the flags of a TCP header behind an IP header without options
		whole.Head, whole.Body = b, [2][]byte{}
		whole.FinishChecksum()
		s.mu.Lock()
		s.fin = whole.Head
		s.mu.Unlock()
	}
	return s.Device.Write(p)
}

// again carries the FIN again, as a network does that has kept a copy for long.
func (s *straggler) again() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Device.Write(&link.Packet{Head: s.fin})
}

// open opens a connection, of which both ends know that it is.
func (c *class) open() error {
	conn, err := (&socket.Dialer{Stack: c.client}).DialAddr(c.ctx, server)
	if err != nil {
		return err
	}
	c.here = conn
	c.there, err = c.listener.AcceptConn()
	return err
}

// drain reads up to the end of what comes.
func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func (c *class) handshake() error { return c.open() }

// goodbye closes from the client's side first; the server follows when it has read all.
func (c *class) goodbye() error {
	return errors.Join(c.here.CloseWrite(), drain(c.there), c.there.Close(), drain(c.here), c.awaitState("server", fsm.Closed))
}

func (c *class) close() error { return errors.Join(c.open(), c.unlessFailed(c.goodbye)) }

// unlessFailed keeps what needs a connection from one that is not there.
func (c *class) unlessFailed(f func() error) error {
	if c.there == nil {
		return nil
	}
	return f()
}

func (c *class) halfClose() error {
	return errors.Join(c.open(), c.unlessFailed(func() error {
		if err := errors.Join(c.here.CloseWrite(), drain(c.there)); err != nil {
			return err
		}
		_, err := io.WriteString(c.there, "I have heard your end, and have this to say still.")
		if err != nil {
			return err
		}
		return errors.Join(c.there.Close(), drain(c.here), c.awaitState("server", fsm.Closed))
	}))
}

func (c *class) simultaneousClose() error {
	return errors.Join(c.open(), c.unlessFailed(func() error {
		err := errors.Join(c.here.CloseWrite(), c.there.CloseWrite())
		return errors.Join(err, c.awaitState("client", fsm.TimeWait), c.awaitState("server", fsm.TimeWait))
	}))
}

func (c *class) timeWait() error {
	return errors.Join(c.close(), c.unlessFailed(func() error { return c.awaitState("client", fsm.Closed) }))
}

// lateSegment has the server's FIN come a second time, when the client is in TIME-WAIT.
func (c *class) lateSegment() error {
	if err := errors.Join(c.close(), c.unlessFailed(c.late.again)); err != nil {
		return err
	}
	again := func(e *control.Event) bool { return e.Kind == "transition" && e.Event == fsm.RcvOldFIN.String() }
	answered := func(e *control.Event) bool { return e.Kind == "drop" }
	return errors.Join(c.await("client", again), c.await("server", answered), c.awaitState("client", fsm.Closed))
}

// reset asks for a port on which nobody listens.
func (c *class) reset() error {
	_, err := (&socket.Dialer{Stack: c.client}).DialAddr(c.ctx, netip.AddrPortFrom(server.Addr(), 81))
	if err == nil {
		return errors.New("somebody listens")
	}
	return c.awaitState("client", fsm.Closed)
}

// howMany connections show that their first numbers have nothing to do with each other.
const howMany = 10

func (c *class) isns() error {
	for range howMany {
		if err := c.open(); err != nil {
			return err
		}
	}
	return nil
}
