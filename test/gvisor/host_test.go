package gvisor

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/test/cable"
	"github.com/tcpd-project/tcpd/test/play"
)

const nic = 1

// theirs is a host whose TCP is gVisor's.
//
// Its workers wait in a way that a bubble does not know for waiting, unless they are paused: then they wait on a
// channel. So they are let run for as long as there is something to do, which is after a packet and after each call.
type theirs struct {
	*stack.Stack
	addr netip.Addr
	link *channel.Endpoint
	plug *cable.Plug
	mu   sync.Mutex // of work

	attendant sync.WaitGroup
	over      chan struct{} // ends the attendant
}

// startTheirs makes a host at an end of a cable.
func startTheirs(_ *testing.T, end *link.Link, addr netip.Addr) host {
	h := &theirs{addr: addr, link: channel.New(1<<16, uint32(end.MTU), ""), over: make(chan struct{})}
	h.Stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, icmp.NewProtocol4},
	})
	h.plug = cable.Insert(end, h.take)
	h.link.AddNotify(h)
	mustBe(h.CreateNIC(nic, h.link))
	mustBe(h.AddProtocolAddress(nic, tcpip.ProtocolAddress{
		Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddrFrom4(addr.As4()).WithPrefix(),
	}, stack.AddressProperties{}))
	h.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	sack := tcpip.TCPSACKEnabled(true)
	mustBe(h.SetTransportProtocolOption(tcp.ProtocolNumber, &sack))
	h.Pause()
	h.attendant.Go(h.attend)
	return h
}

// attend lets the workers work now and then: a call and a packet that meet each other can leave something for later.
func (h *theirs) attend() {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			h.work()
		case <-h.over:
			return
		}
	}
}

func mustBe(err tcpip.Error) {
	if err != nil {
		panic(err.String())
	}
}

// close ends the host with its workers.
func (h *theirs) close(*testing.T) {
	h.plug.Pull()
	close(h.over)
	h.attendant.Wait()
	h.Resume()
	h.Destroy()
}

// work lets the workers do what there is to do.
func (h *theirs) work() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Resume()
	h.Pause()
}

// take has the host receive a packet.
func (h *theirs) take(packet []byte) {
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
	defer p.DecRef()
	h.link.InjectInbound(ipv4.ProtocolNumber, p)
	h.work()
}

// WriteNotify implements channel.Notification: it sends the packets that the host has put out.
func (h *theirs) WriteNotify() {
	for p := h.link.Read(); p != nil; p = h.link.Read() {
		v := p.ToView()
		h.plug.Send(v.AsSlice())
		v.Release()
		p.DecRef()
	}
}

// Addr implements play.Host.
func (h *theirs) Addr() netip.Addr { return h.addr }

// Differences implements play.Host.
func (h *theirs) Differences() []play.Difference { return differences }

func (h *theirs) at(port uint16) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFrom4(h.addr.As4()), Port: port}
}

// Listen implements play.Host.
func (h *theirs) Listen(port uint16) (net.Listener, error) {
	l := &listener{host: h}
	ep, err := h.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &l.queue)
	if err != nil {
		return nil, fail("listen", "socket", err)
	}
	l.ep = ep
	if err := ep.Bind(h.at(port)); err != nil {
		ep.Close()
		return nil, fail("listen", "bind", err)
	}
	if err := ep.Listen(backlog); err != nil {
		ep.Close()
		return nil, fail("listen", "listen", err)
	}
	return l, nil
}

const backlog = 128

// Dial implements play.Host.
func (h *theirs) Dial(ctx context.Context, local uint16, remote netip.AddrPort) (net.Conn, error) {
	var queue waiter.Queue
	ep, err := h.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err != nil {
		return nil, fail("dial", "socket", err)
	}
	if err := ep.Bind(h.at(local)); err != nil {
		ep.Close()
		return nil, fail("dial", "bind", err)
	}
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	err = ep.Connect(tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFrom4(remote.Addr().As4()), Port: remote.Port()})
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		h.work()
		select {
		case <-ready:
			err = ep.LastError()
		case <-ctx.Done():
			ep.Close()
			return nil, ctx.Err()
		}
	}
	if err != nil {
		ep.Close()
		return nil, fail("dial", "connect", err)
	}
	return newConn(h, &queue, ep), nil
}
