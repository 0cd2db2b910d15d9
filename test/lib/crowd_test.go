package lib

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// crowd is very many clients made by hand, on one goroutine: more than the kernel has sockets for. Each opens a
// connection and has a text echoed, and then may be idle.
type crowd struct {
	*wire
	server  netip.AddrPort
	clients []client
	waiting int // clients that are due an answer
	resets  int
}

// client is one of the crowd; what it is called follows from its number.
type client struct {
	seq, ack uint32
	state    clientState
}

type clientState uint8

const (
	unborn clientState = iota
	calling
	asking // open, and waiting for its echo
	idle
	failed
)

const (
	crowdText = 64
	perSource = 50_000 // clients of one address
	crowdPort = 2_000
	// atOnce is how many clients wait for an answer at a time: few enough for the devices' queues.
	atOnce = 256
	// again is how long nothing comes before what was sent is taken for lost.
	again = time.Second
)

var crowdNet = netip.MustParsePrefix("10.128.0.0/9")

func newCrowd(t *testing.T, s *netspace, n int, server netip.AddrPort) *crowd {
	t.Helper()
	return &crowd{wire: openWire(t, s, "crowd0", crowdNet), server: server, clients: make([]client, n)}
}

// addr is the address of client i.
func (c *crowd) addr(i int) netip.AddrPort {
	a := crowdNet.Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+1+uint32(i/perSource))
	return addrPort(netip.AddrFrom4(a), uint16(crowdPort+i%perSource))
}

// number is the reverse of addr.
func (c *crowd) number(a netip.AddrPort) (i int, ok bool) {
	base, addr := crowdNet.Addr().As4(), a.Addr().As4()
	i = int(binary.BigEndian.Uint32(addr[:])-binary.BigEndian.Uint32(base[:])-1)*perSource + int(a.Port()) - crowdPort
	return i, i >= 0 && i < len(c.clients)
}

// text is what client i sends, at its place in the stream.
func (c *crowd) text(i int) []byte {
	p := make([]byte, crowdText)
	for k := 0; k < crowdText; k += 8 {
		binary.BigEndian.PutUint32(p[k:], uint32(i)*2_654_435_761)
		binary.BigEndian.PutUint32(p[k+4:], c.clients[i].seq+uint32(k))
	}
	return p
}

// ask lets the clients with these numbers, each of which is idle or not yet born, have a text echoed, a few at a
// time.
func (c *crowd) ask(numbers []int) error {
	silences := 0
	for len(numbers) > 0 || c.waiting > 0 {
		for len(numbers) > 0 && c.waiting < atOnce {
			if err := c.begin(numbers[0]); err != nil {
				return err
			}
			numbers = numbers[1:]
		}
		if err := c.file.SetReadDeadline(time.Now().Add(again)); err != nil {
			return err
		}
		switch err := c.answer(); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if silences++; silences > int(patience/again) {
				return fmt.Errorf("no answer to %d clients", c.waiting)
			}
			if err := c.repeat(); err != nil {
				return err
			}
		case err != nil:
			return err
		}
	}
	return nil
}

func (c *crowd) begin(i int) error {
	k := &c.clients[i]
	switch k.state {
	case unborn:
		k.state, k.seq = calling, uint32(i)<<8
	case idle:
		k.state = asking
	default:
		return fmt.Errorf("client %d is not idle", i)
	}
	c.waiting++
	return c.say(i)
}

// say sends what client i has to say, for the first time or again.
func (c *crowd) say(i int) error {
	switch c.clients[i].state {
	case calling:
		return c.segment(i, tcp.SYN, nil)
	case asking:
		return c.segment(i, tcp.ACK|tcp.PSH, c.text(i))
	default:
		return c.segment(i, tcp.ACK, nil)
	}
}

// repeat sends again what has had no answer.
func (c *crowd) repeat() error {
	for i := range c.clients {
		if s := c.clients[i].state; s == calling || s == asking {
			if err := c.say(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// answer reads one segment, and says what its client says to it.
func (c *crowd) answer() error {
	_, to, g, err := c.next()
	if err != nil {
		return err
	}
	i, ok := c.number(to)
	if !ok {
		return fmt.Errorf("a segment to %v", to)
	}
	k := &c.clients[i]
	switch {
	case g.Flags&(tcp.RST|tcp.FIN) != 0:
		c.resets++
		c.settle(i, failed)
	case g.Flags&tcp.SYN != 0 && k.state == calling:
		k.seq, k.ack, k.state = k.seq+1, uint32(g.Seq)+1, asking
		return c.say(i)
	case len(g.Text) == 0:
		return nil
	case k.state == asking && uint32(g.Seq) == k.ack:
		if !bytes.Equal(g.Text, c.text(i)) {
			return fmt.Errorf("client %d: another echo", i)
		}
		k.seq, k.ack = k.seq+crowdText, k.ack+crowdText
		c.settle(i, idle)
		return c.say(i)
	default:
		return c.say(i) // it has come again
	}
	return nil
}

func (c *crowd) settle(i int, s clientState) {
	if k := &c.clients[i]; k.state == calling || k.state == asking {
		c.waiting--
		k.state = s
	}
}

func (c *crowd) segment(i int, flags tcp.Flags, text []byte) error {
	k := &c.clients[i]
	return c.send(&endpoint{local: c.addr(i), remote: c.server, seq: k.seq, ack: k.ack}, flags, text)
}
