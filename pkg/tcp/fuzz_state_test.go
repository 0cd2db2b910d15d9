package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// setUp draws the settings of both ends and the state, and brings the connection there.
func (z *fuzzed) setUp() {
	state := fuzzStates[int(z.byte())%len(fuzzStates)]
	o := z.settings()
	z.peer.draw(z)
	bits := z.byte()
	z.eager, z.polite, z.silent = bits&2 != 0, bits&8 != 0, bits&4 != 0
	if bits&16 != 0 {
		o.ISS, z.peer.iss = 0xffffff00, 0x7fffff00 // about to wrap
	}
	z.reach(state, o, bits&1 != 0)
	z.log.note("%v is reached", state)
}

// settings draws ours, in four bytes.
func (z *fuzzed) settings() Open {
	s := &z.x.Settings[0]
	bits := z.byte()
	s.Timestamps, s.WindowScale, s.SACK = bits&1 == 0, bits&2 == 0, bits&4 == 0
	s.NoDelay, s.Unpaced, s.UserTimeoutOption, s.KeepAlive = bits&8 != 0, bits&16 != 0, bits&32 != 0, bits&64 != 0
	if bits&128 != 0 {
		z.x.Frame = 65535
	}
	bits = z.byte()
	s.ECN, s.MTUProbing = ECN(bits&3), MTUProbing(bits>>2&3)%3
	s.Congestion, _ = cc.ByName(cc.Names()[bits>>4&3])
	o := Open{ISS: 5000, TSOffset: 77, FastOpen: bits&64 != 0}
	if bits&192 == 192 {
		o.Early = 500
	}
	bits = z.byte()
	s.SendBuffer, s.ReceiveBuffer = 4096<<(bits&7), 4096<<(bits>>3&7)
	if bits&64 != 0 {
		s.SendBufferMax, s.ReceiveBufferMax = 0, 0
	}
	if bits&128 != 0 {
		s.UserTimeout, s.Retries2 = 20*mono.Second, 4
	}
	z.x.Memory.Limit = int(z.byte()) << 12
	z.log.note("settings %+v, memory %d, frame %d, %+v", *s, z.x.Memory.Limit, z.x.Frame, o)
	return o
}

// reach brings the connection into the state by what a peer and a user would do.
func (z *fuzzed) reach(state fsm.State, o Open, passive bool) {
	z.peer.our(o)
	switch {
	case state == fsm.Closed:
		return
	case state == fsm.Listen:
		z.listens()
		return
	case state == fsm.SynRcvd || passive && state != fsm.SynSent && state != fsm.SynRcvdOpen:
		z.listens()
		z.openPassive(o, z.peer.segment(SYN, 0))
	default:
		z.openActive(o)
	}
	switch state {
	case fsm.SynSent, fsm.SynRcvd:
		return
	case fsm.SynRcvdOpen:
		z.deliver(z.peer.segment(SYN, 0))
		z.settle()
		return
	}
	z.handshake()
	for _, turn := range closings[state] {
		turn(z)
		z.settle()
	}
	if z.c.State() != state {
		z.fail("%v was to be reached, and %v is", state, z.c.State())
	}
}

// closings is how ESTABLISHED becomes another state.
var closings = map[fsm.State][]func(*fuzzed){
	fsm.FinWait1:  {(*fuzzed).closeWrite},
	fsm.FinWait2:  {(*fuzzed).closeWrite, (*fuzzed).acked},
	fsm.CloseWait: {(*fuzzed).theirFIN},
	fsm.Closing:   {(*fuzzed).closeWrite, (*fuzzed).crossingFIN},
	fsm.LastAck:   {(*fuzzed).theirFIN, (*fuzzed).closeWrite},
	fsm.TimeWait:  {(*fuzzed).closeWrite, (*fuzzed).acked, (*fuzzed).theirFIN},
}

func (z *fuzzed) listens() {
	z.listen = true
	z.log.line("+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3")
	z.log.line("+0 bind(3, ..., ...) = 0")
	z.log.line("+0 listen(3, 1) = 0")
}

func (z *fuzzed) openActive(o Open) {
	z.log.line("+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4")
	z.log.line("+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0")
	z.log.line("+0 connect(4, ..., ...) = -1 EINPROGRESS (Operation now in progress)")
	z.c.OpenActive(z.x, z.now, o)
	z.open = true
	if o.Early > 0 {
		z.write(300)
	}
	z.settle()
}

func (z *fuzzed) openPassive(o Open, g Segment) {
	z.log.in(z, &g)
	z.peer.opens(z, &g)
	o.FastOpen = o.FastOpen && g.Options.Has&HasFastOpen != 0
	z.c.OpenPassive(z.x, z.now, o, &g)
	z.open = true
	z.arrived++
	z.c.Store(z.x)
	z.settle()
}

// handshake answers our SYN, or acknowledges our SYN,ACK.
func (z *fuzzed) handshake() {
	flags := ACK
	if !z.peer.met {
		flags |= SYN
	}
	z.deliver(z.peer.segment(flags, 0))
	z.settle()
	if z.listen {
		z.log.line("+0 accept(3, ..., ...) = 4")
	}
}

func (z *fuzzed) acked()    { z.deliver(z.peer.segment(ACK, 0)) }
func (z *fuzzed) theirFIN() { z.deliver(z.peer.segment(FIN|ACK, 0)) }

// crossingFIN is a FIN that was sent before ours had come.
func (z *fuzzed) crossingFIN() {
	g := z.peer.segment(FIN|ACK, 0)
	g.Ack--
	z.deliver(g)
}

func (z *fuzzed) closeWrite() {
	if z.polite {
		z.log.call("close(4)", 0)
		z.c.Close(z.x, z.now)
		return
	}
	z.log.call("shutdown(4, SHUT_WR)", 0)
	z.c.CloseWrite(z.x, z.now)
}
