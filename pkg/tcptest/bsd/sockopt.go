package bsd

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// SetsockoptInt is Setsockopt of an int.
func (s *Sockets) SetsockoptInt(fd, level, name, value int) error {
	return s.Setsockopt(fd, level, name, binary.NativeEndian.AppendUint32(nil, uint32(value)))
}

// Setsockopt is setsockopt(2); value are the bytes that Linux takes.
func (s *Sockets) Setsockopt(fd, level, name int, value []byte) error {
	k, err := s.socket(fd)
	if err != nil {
		return err
	}
	o := key{level, name}
	if o == (key{unix.IPPROTO_TCP, unix.TCP_CONGESTION}) {
		return k.setCongestion(value)
	}
	v, ok := optionInt(level, value)
	if !ok {
		return unix.EINVAL
	}
	switch o {
	case key{unix.SOL_SOCKET, unix.SO_LINGER}:
		return k.setLinger(value)
	case sendBuffer:
		return k.setBuffer(o, max(2*min(v, bufferMax), leastSend))
	case receiveBuffer:
		return k.setBuffer(o, max(2*min(v, bufferMax), leastReceive))
	case key{unix.IPPROTO_TCP, unix.TCP_MAXSEG}:
		if v != 0 && (v < leastMSS || v > mostMSS) {
			return unix.EINVAL
		}
		k.options.set(o, v)
		return k.listenAgain()
	}
	r, ok := plain[o]
	if !ok {
		return unix.ENOPROTOOPT
	}
	return k.setPlain(o, r, v)
}

// optionInt is an option's value. IP takes a single byte, too.
func optionInt(level int, value []byte) (v int, ok bool) {
	switch {
	case len(value) >= lengthOfInt:
		return int(int32(binary.NativeEndian.Uint32(value))), true
	case len(value) > 0 && level == unix.SOL_IP:
		return int(value[0]), true
	}
	return 0, false
}

func (k *socket) setPlain(o key, r rule, v int) error {
	switch {
	case r.boolean && v != 0:
		v = 1
	case r.whole:
		v = min(max(v, r.least), r.most)
	case v < r.least || v > r.most:
		return unix.EINVAL
	}
	k.options.set(o, v)
	if r.apply != nil {
		k.on(func(c stack.Conn) { r.apply(k, c, v) })
	}
	if r.onListener {
		return k.listenAgain()
	}
	return nil
}

// listenAgain gives a listener what it has to know of an option.
func (k *socket) listenAgain() error {
	if k.phase != listening {
		return nil
	}
	return k.listen()
}

func (k *socket) setLinger(value []byte) error {
	if len(value) < lengthOfLinger {
		return unix.EINVAL
	}
	k.options.linger = unix.Linger{
		Onoff: int32(binary.NativeEndian.Uint32(value)), Linger: int32(binary.NativeEndian.Uint32(value[4:])),
	}
	return nil
}

// setBuffer sets the size of a buffer, as Linux tells it: twice what is to fit.
func (k *socket) setBuffer(o key, v int) error {
	k.options.set(o, v)
	k.on(func(c stack.Conn) {
		if o == sendBuffer {
			c.SetBuffers(ample, 0)
		} else {
			c.SetBuffers(0, v/2)
		}
	})
	return k.listenAgain()
}

// setCongestion is TCP_CONGESTION. A connection that has been opened keeps its algorithm.
func (k *socket) setCongestion(value []byte) error {
	name, _, _ := bytes.Cut(value, []byte{0})
	a, ok := cc.ByName(string(name))
	switch {
	case !ok:
		return unix.ENOENT
	case k.held && a.Name() != k.conn.Info().Congestion:
		return unix.EPERM
	}
	k.options.congestion = a
	return k.listenAgain()
}

// GetsockoptInt is Getsockopt of an int.
func (s *Sockets) GetsockoptInt(fd, level, name int) (int, error) {
	var b [lengthOfInt]byte
	if _, err := s.Getsockopt(fd, level, name, b[:]); err != nil {
		return 0, err
	}
	return int(int32(binary.NativeEndian.Uint32(b[:]))), nil
}

// Getsockopt is getsockopt(2): it fills value, as far as it reaches, with the bytes that Linux gives, and tells how many.
func (s *Sockets) Getsockopt(fd, level, name int, value []byte) (n int, err error) {
	k, err := s.socket(fd)
	if err != nil {
		return 0, err
	}
	b, ok := k.option(level, name)
	if !ok {
		return 0, unix.ENOPROTOOPT
	}
	return copy(value, b), nil
}

// option is what Linux tells of an option.
func (k *socket) option(level, name int) ([]byte, bool) {
	switch (key{level, name}) {
	case key{unix.SOL_SOCKET, unix.SO_LINGER}:
		b := binary.NativeEndian.AppendUint32(nil, uint32(k.options.linger.Onoff))
		return binary.NativeEndian.AppendUint32(b, uint32(k.options.linger.Linger)), true
	case key{unix.IPPROTO_TCP, unix.TCP_CONGESTION}:
		b := make([]byte, 16) // TCP_CA_NAME_MAX
		copy(b, k.congestion())
		return b, true
	case key{unix.IPPROTO_TCP, unix.TCP_INFO}:
		return k.infoBytes(), true
	case key{unix.IPPROTO_TCP, unix.TCP_CC_INFO}:
		return nil, true // none of the algorithms that have it
	case key{unix.SOL_SOCKET, unix.SO_MEMINFO}:
		return k.memInfo(), true
	}
	v, ok := k.number(level, name)
	return binary.NativeEndian.AppendUint32(nil, uint32(v)), ok
}

func (k *socket) congestion() string {
	if k.options.congestion != nil {
		return k.options.congestion.Name()
	}
	return k.sockets.Stack.Settings().Congestion.Name()
}

// number is an option that is an int.
func (k *socket) number(level, name int) (int, bool) {
	o := key{level, name}
	i, has := k.inform()
	switch o {
	case sendBuffer:
		return k.buffer(o, k.sockets.Stack.Settings().SendBuffer), true
	case receiveBuffer:
		return k.buffer(o, k.sockets.Stack.Settings().ReceiveBuffer), true
	case key{unix.SOL_SOCKET, unix.SO_ERROR}:
		return int(k.takeError()), true
	case key{unix.SOL_SOCKET, unix.SO_TYPE}:
		return unix.SOCK_STREAM, true
	case key{unix.SOL_SOCKET, unix.SO_DOMAIN}:
		return unix.AF_INET, true
	case key{unix.SOL_SOCKET, unix.SO_PROTOCOL}:
		return unix.IPPROTO_TCP, true
	case key{unix.SOL_SOCKET, unix.SO_ACCEPTCONN}:
		return btoi(k.phase == listening), true
	case key{unix.SOL_IP, unix.IP_MTU}:
		return i.PathMTU, has
	case key{unix.IPPROTO_TCP, unix.TCP_MAXSEG}:
		if has && i.State != fsm.SynSent {
			return i.SendMSS, true
		}
		if v := k.options.values[o]; v != 0 {
			return v, true
		}
		return 536, true // Linux's TCP_MSS_DEFAULT
	}
	_, ok := plain[o]
	return k.options.value(level, name), ok
}

// buffer is the size of a buffer as Linux tells it.
func (k *socket) buffer(o key, initial int) int {
	if v, ok := k.options.values[o]; ok {
		return v
	}
	return initial
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
