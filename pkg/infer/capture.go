package infer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Connection is one that a capture shows. The Server is the end that was called, or, where the SYN was not captured, the one to
// which the first segment went.
type Connection struct {
	Client, Server       netip.AddrPort
	ClientEnd, ServerEnd End
	Middle               bool // its SYN was not captured
	Packets              int
	First, Last          time.Time
}

// Step is a segment of a capture.
type Step struct {
	At         time.Time
	Connection *Connection
	FromClient bool
	Segment    *tcp.Segment // valid until the next step
	Text       int          // bytes
	Again      bool         // it had been sent before
	Shut       bool         // the window was closed for it
	Sender     []Move       // what its sender must have done to send it
	Receiver   []Move       // and its receiver when it came
}

// Follow reads a capture, pcapng or pcap, and calls see for each segment of TCP over IPv4 in it. Packets that were cut off, or
// are something else, are counted in skipped.
func Follow(r io.Reader, see func(*Step) error) (skipped int, err error) {
	source, err := open(r)
	if err != nil {
		return 0, err
	}
	f := follower{flows: map[[2]netip.AddrPort]*Connection{}}
	for {
		data, info, err := source.ReadPacketData()
		switch {
		case errors.Is(err, io.EOF):
			return skipped, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return skipped, fmt.Errorf("the capture is cut off: %w", err)
		case err != nil:
			return skipped, err
		}
		s := f.packet(source.LinkType(), data, info)
		if s == nil {
			skipped++
			continue
		}
		if err := see(s); err != nil {
			return skipped, err
		}
	}
}

// source is a file of packets.
type source interface {
	gopacket.PacketDataSource
	LinkType() layers.LinkType
}

func open(r io.Reader) (source, error) {
	b := bufio.NewReader(r)
	head, err := b.Peek(4)
	if err != nil {
		return nil, errors.New("this is no capture: it is empty")
	}
	if [4]byte(head) == [4]byte{0x0a, 0x0d, 0x0d, 0x0a} {
		return pcapgo.NewNgReader(b, pcapgo.DefaultNgReaderOptions)
	}
	p, err := pcapgo.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("this is neither pcapng nor pcap: %w", err)
	}
	return p, nil
}

// follower keeps the connections of a capture, by client and server.
type follower struct {
	flows   map[[2]netip.AddrPort]*Connection
	segment tcp.Segment
}

// packet is the step that a packet is; nil if it is none.
func (f *follower) packet(link layers.LinkType, data []byte, info gopacket.CaptureInfo) *Step {
	p := gopacket.NewPacket(data, link, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	v4, ok := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	if !ok || v4.Protocol != layers.IPProtocolTCP || v4.FragOffset != 0 || v4.Flags&layers.IPv4MoreFragments != 0 {
		return nil
	}
	g := &f.segment
	if g.Parse(v4.Payload) != tcp.DropNone {
		return nil
	}
	// What was cut off by the capture counts as if it were there.
	text := len(g.Text) + max(0, int(v4.Length)-int(v4.IHL)*4-len(v4.Payload))
	from, _ := netip.AddrFromSlice(v4.SrcIP.To4())
	to, _ := netip.AddrFromSlice(v4.DstIP.To4())
	c, fromClient := f.find(netip.AddrPortFrom(from, g.SrcPort), netip.AddrPortFrom(to, g.DstPort), g)
	return c.step(info.Timestamp, fromClient, g, text)
}

// find is the connection of a segment. A SYN that is not one sent again begins a new one.
func (f *follower) find(from, to netip.AddrPort, g *tcp.Segment) (c *Connection, fromClient bool) {
	const kinds = tcp.SYN | tcp.ACK
	forth, back := f.flows[[2]netip.AddrPort{from, to}], f.flows[[2]netip.AddrPort{to, from}]
	call := g.Flags&kinds == tcp.SYN
	switch {
	case forth != nil && !(call && forth.ClientEnd.iss != g.Seq && (forth.ClientEnd.Gone() || forth.ServerEnd.Gone())):
		return forth, true
	case back != nil && !(call && back.ClientEnd.Gone()):
		return back, false
	}
	delete(f.flows, [2]netip.AddrPort{to, from})
	c = &Connection{Client: from, Server: to}
	c.ClientEnd.State, c.ServerEnd.State = fsm.Closed, fsm.Closed
	fromClient = true
	switch g.Flags & kinds {
	case tcp.SYN:
	case kinds: // the SYN itself was not captured
		c.Client, c.Server, fromClient = to, from, false
		c.ClientEnd.State, c.Middle = fsm.SynSent, true
		c.ClientEnd.iss, c.ClientEnd.una, c.ClientEnd.max = g.Ack-1, g.Ack-1, g.Ack
		c.ClientEnd.known, c.ClientEnd.synSent = true, true
		c.ServerEnd.nxt, c.ServerEnd.heard = g.Ack, true
	default:
		c.ClientEnd.State, c.ServerEnd.State, c.Middle = fsm.Established, fsm.Established, true
	}
	f.flows[[2]netip.AddrPort{c.Client, c.Server}] = c
	return c, fromClient
}

// step moves the machines of both ends.
func (c *Connection) step(at time.Time, fromClient bool, g *tcp.Segment, text int) *Step {
	sender, receiver := &c.ClientEnd, &c.ServerEnd
	if !fromClient {
		sender, receiver = receiver, sender
	}
	if c.Packets == 0 {
		c.First = at
	}
	c.Packets++
	c.Last = at
	s := &Step{At: at, Connection: c, FromClient: fromClient, Segment: g, Text: text, Shut: receiver.Shut()}
	if !sender.known && g.Flags&tcp.ACK != 0 && !receiver.known {
		receiver.una, receiver.max, receiver.known = g.Ack, g.Ack, true
	}
	s.Sender, s.Again = sender.sends(g, text)
	sender.Window, sender.offered = uint32(g.Window), true
	if g.Flags&tcp.SYN == 0 && sender.scaled && receiver.scaled {
		sender.Window <<= sender.scale
	}
	s.Receiver = receiver.receives(g, text)
	return s
}
