package service

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// Proxy carries connections to a server of the kernel's TCP, byte for byte. A client's SYN is answered only when the server
// has accepted: so its listener needs Admit as the hook, and a Server its connections.
type Proxy struct {
	to      netip.AddrPort
	running context.Context // until Close
	end     context.CancelFunc
	dialing sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	waiting map[flow]*list.Element
	queue   list.List // of the same *upstream, the one that has waited longest first
	most    int       // of them
}

// flow is a client's connection.
type flow struct{ local, remote netip.AddrPort }

// upstream is a connection to the server whose client has not opened his yet.
type upstream struct {
	flow  flow
	conn  *net.TCPConn
	timer *time.Timer
}

// Nobody tells when a client gives up after the server has accepted. So he may take longestHandshake for his handshake (what
// tcpd sends again by default takes a minute), and no more than mostWaiting may: beyond, who has taken longest is not
// waited for.
const (
	longestHandshake = 2 * time.Minute
	mostWaiting      = 4096
)

// NewProxy returns a proxy to a server.
func NewProxy(to netip.AddrPort) *Proxy {
	p := &Proxy{to: to, waiting: map[flow]*list.Element{}, most: mostWaiting}
	p.running, p.end = context.WithCancel(context.Background())
	return p
}

// Admit is stack.ListenConfig.Admit: the client is answered as the server answers. While that says nothing the client
// repeats his SYN, and when he gives up, the proxy does.
func (p *Proxy) Admit(r *stack.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		r.Refuse()
		return
	}
	p.dialing.Go(func() {
		c, err := p.dial(r.Context())
		if err != nil {
			refuse(r, err)
			return
		}
		f := flow{r.Local, r.Remote}
		p.keep(f, c)
		if !r.Accept() {
			p.drop(f, c)
		}
	})
}

func (p *Proxy) dial(ctx context.Context) (*net.TCPConn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.running, cancel)()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", p.to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// refuse tells the client what the server, or the way to it, has said. Where nothing was said, there is nothing to tell; nor
// is there where it is for us that no connection could be made, for want of descriptors or ports: he will ask again.
func refuse(r *stack.Request, err error) {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		r.Refuse()
	case errors.Is(err, syscall.ENETUNREACH):
		r.RefuseICMP(ip.CodeNet)
	case errors.Is(err, syscall.EHOSTUNREACH):
		r.RefuseICMP(ip.CodeHost)
	default:
		r.Drop()
	}
}

// keep holds the server's end until the client's handshake is over.
func (p *Proxy) keep(f flow, c *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		abort(c)
		return
	}
	if old := p.waiting[f]; old != nil { // of a client who has given up, and calls again
		abort(p.forget(old))
	}
	if p.queue.Len() >= p.most {
		abort(p.forget(p.queue.Front()))
	}
	u := &upstream{flow: f, conn: c, timer: time.AfterFunc(longestHandshake, func() { p.drop(f, c) })}
	p.waiting[f] = p.queue.PushBack(u)
}

// take returns the server's end for a client whose handshake is over, or nil.
func (p *Proxy) take(f flow) *net.TCPConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.waiting[f]; e != nil {
		return p.forget(e)
	}
	return nil
}

// drop lets go of a server's end that no client has come for.
func (p *Proxy) drop(f flow, c *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.waiting[f]; e != nil && e.Value.(*upstream).conn == c {
		abort(p.forget(e))
	}
}

// forget takes a server's end out of those that wait.
func (p *Proxy) forget(e *list.Element) *net.TCPConn {
	u := p.queue.Remove(e).(*upstream)
	delete(p.waiting, u.flow)
	u.timer.Stop()
	return u.conn
}

// Close lets go of the server's ends that wait for clients, and of those that are being asked for.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	for p.queue.Len() > 0 {
		abort(p.forget(p.queue.Front()))
	}
	p.mu.Unlock()
	p.end()
	p.dialing.Wait()
	return nil
}

// ServeConn implements ConnService for connections of pkg/socket that Admit has let in.
func (p *Proxy) ServeConn(c net.Conn) {
	client := c.(*socket.Conn)
	server := p.take(flow{addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())})
	if server == nil {
		abort(client)
		return
	}
	_ = client.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}) // as the server's end has it
	relay(client, server)
}

func addrPort(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }
