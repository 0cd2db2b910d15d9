package bsd

import (
	"bytes"
	"encoding/binary"
	"maps"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// key names an option.
type key struct{ level, name int }

// options are what has been set of a socket.
type options struct {
	values     map[key]int
	linger     unix.Linger
	congestion cc.Algorithm // nil: the stack's
}

// inherited are the options of a listener that its connections begin with.
func (o *options) inherited() options {
	c := *o
	c.values = maps.Clone(o.values)
	delete(c.values, key{unix.IPPROTO_TCP, unix.TCP_FASTOPEN})
	return c
}

func (o *options) is(level, name int) bool { return o.value(level, name) != 0 }

// value is what has been set, or what is there before anything is.
func (o *options) value(level, name int) int {
	k := key{level, name}
	if v, ok := o.values[k]; ok {
		return v
	}
	return initial[k]
}

func (o *options) set(k key, v int) {
	if o.values == nil {
		o.values = map[key]int{}
	}
	o.values[k] = v
}

// initial are the values that are not 0 before anything is set.
var initial = map[key]int{
	{unix.SOL_SOCKET, unix.SO_RCVLOWAT}:    1,
	{unix.SOL_IP, unix.IP_TTL}:             64,
	{unix.SOL_IP, unix.IP_MTU_DISCOVER}:    unix.IP_PMTUDISC_WANT,
	{unix.IPPROTO_TCP, unix.TCP_QUICKACK}:  1,
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}:  7200,
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}: 75,
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}:   9,
	{unix.IPPROTO_TCP, unix.TCP_LINGER2}:   60,
	{unix.IPPROTO_TCP, unix.TCP_SYNCNT}:    6,
}

// rule is how an option that is a number is set.
type rule struct {
	least      int
	most       int
	boolean    bool                                 // what is not 0 is 1
	whole      bool                                 // what is outside is brought inside, and no error
	onListener bool                                 // the stack's listener has to be made again for it
	apply      func(k *socket, c stack.Conn, v int) // what it does to a connection
}

var boolean = rule{most: 1, boolean: true}

func booleanThat(apply func(k *socket, c stack.Conn, v int)) rule {
	r := boolean
	r.apply = apply
	return r
}

const maxInt32 = 1<<31 - 1

// plain are the options that are numbers, and that are told as they were set.
var plain = map[key]rule{
	{unix.SOL_SOCKET, unix.SO_REUSEADDR}: boolean,
	{unix.SOL_SOCKET, unix.SO_REUSEPORT}: boolean,
	{unix.SOL_SOCKET, unix.SO_BROADCAST}: boolean,
	{unix.SOL_SOCKET, unix.SO_DONTROUTE}: boolean,
	{unix.SOL_SOCKET, unix.SO_OOBINLINE}: boolean,
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: booleanThat(func(k *socket, c stack.Conn, _ int) { k.applyKeepAlive(c) }),
	{unix.SOL_SOCKET, unix.SO_PRIORITY}:  {most: maxInt32},
	{unix.SOL_SOCKET, unix.SO_MARK}:      {most: maxInt32},
	{unix.SOL_SOCKET, unix.SO_RCVLOWAT}:  {least: 1, most: maxInt32, whole: true},

	{unix.SOL_IP, unix.IP_TOS}:                  {most: 255, onListener: true, apply: func(_ *socket, c stack.Conn, v int) { c.SetDSCP(uint8(v >> 2)) }},
	{unix.SOL_IP, unix.IP_TTL}:                  {least: 1, most: 255},
	{unix.SOL_IP, unix.IP_MTU_DISCOVER}:         {most: unix.IP_PMTUDISC_OMIT},
	{unix.SOL_IP, unix.IP_RECVERR}:              boolean,
	{unix.SOL_IP, unix.IP_FREEBIND}:             boolean,
	{unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT}: boolean,

	{unix.IPPROTO_TCP, unix.TCP_NODELAY}:          booleanThat(func(k *socket, c stack.Conn, v int) { k.applyNoDelay(c, v != 0) }),
	{unix.IPPROTO_TCP, unix.TCP_CORK}:             booleanThat(func(k *socket, c stack.Conn, v int) { c.SetCork(v != 0) }),
	{unix.IPPROTO_TCP, unix.TCP_QUICKACK}:         {most: 1, boolean: true, apply: func(_ *socket, c stack.Conn, v int) { c.SetQuickAck(v != 0) }},
	{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}:     {most: maxInt32, apply: func(_ *socket, c stack.Conn, v int) { c.SetUserTimeout(ms(v)) }},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}:         {least: 1, most: 32767, apply: func(k *socket, c stack.Conn, _ int) { k.applyKeepAlive(c) }},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}:        {least: 1, most: 32767, apply: func(k *socket, c stack.Conn, _ int) { k.applyKeepAlive(c) }},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}:          {least: 1, most: 127, apply: func(k *socket, c stack.Conn, _ int) { k.applyKeepAlive(c) }},
	{unix.IPPROTO_TCP, unix.TCP_LINGER2}:          {least: -maxInt32, most: maxInt32, apply: applyLinger2},
	{unix.IPPROTO_TCP, unix.TCP_SYNCNT}:           {least: 1, most: 127, onListener: true},
	{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT}:     {most: maxInt32},
	{unix.IPPROTO_TCP, unix.TCP_FASTOPEN}:         {most: maxInt32, onListener: true},
	{unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT}: boolean,
	{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT}:    {least: -maxInt32 - 1, most: maxInt32}, // of 32 bits without a sign
	{unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP}:     {most: maxInt32},
	{unix.IPPROTO_TCP, unix.TCP_INQ}:              boolean,
}

func ms(v int) time.Duration { return time.Duration(v) * time.Millisecond }

func applyLinger2(_ *socket, c stack.Conn, v int) {
	c.SetFinTimeout(time.Duration(max(0, v)) * time.Second)
}

// applyKeepAlive sets how an idle connection is probed.
func (k *socket) applyKeepAlive(c stack.Conn) {
	v := func(name int) int { return k.options.value(unix.IPPROTO_TCP, name) }
	idle := time.Duration(v(unix.TCP_KEEPIDLE)) * time.Second
	if !k.options.is(unix.SOL_SOCKET, unix.SO_KEEPALIVE) {
		idle = 0
	}
	c.SetKeepAlive(idle, time.Duration(v(unix.TCP_KEEPINTVL))*time.Second, uint8(v(unix.TCP_KEEPCNT)))
}

// applyNoDelay turns Nagle's algorithm off, which lets go of what was held back by MSG_MORE or TCP_CORK, once.
func (k *socket) applyNoDelay(c stack.Conn, on bool) {
	c.SetNoDelay(on)
	if on {
		c.SetCork(false)
		k.release(c)
	}
}

// applyOptions does to a new connection what has been set before it was there.
func (k *socket) applyOptions(c stack.Conn) {
	for o, v := range k.options.values {
		if r := plain[o]; r.apply != nil && o.name != unix.TCP_QUICKACK {
			r.apply(k, c, v)
		}
	}
}

// settings are those of a connection that is to be opened, or nil for the stack's.
func (k *socket) settings() *tcp.Settings {
	t := k.sockets.Stack.Settings()
	o := &k.options
	t.DSCP = uint8(o.value(unix.SOL_IP, unix.IP_TOS) >> 2)
	t.NoDelay = o.is(unix.IPPROTO_TCP, unix.TCP_NODELAY)
	if n := o.values[sendBuffer]; n > 0 {
		t.SendBuffer, t.SendBufferMax = ample, 0 // the queue has its own measure
	}
	if n := o.values[receiveBuffer]; n > 0 {
		t.ReceiveBuffer, t.ReceiveBufferMax = n/2, 0
	}
	if n := o.values[key{unix.IPPROTO_TCP, unix.TCP_SYNCNT}]; n > 0 {
		t.SynRetries = uint8(n)
	}
	t.MSS = uint16(o.values[key{unix.IPPROTO_TCP, unix.TCP_MAXSEG}])
	if o.congestion != nil {
		t.Congestion = o.congestion
	}
	return &t
}

var (
	sendBuffer    = key{unix.SOL_SOCKET, unix.SO_SNDBUF}
	receiveBuffer = key{unix.SOL_SOCKET, unix.SO_RCVBUF}
)

// What Linux makes of SO_SNDBUF and SO_RCVBUF: bounded (net.core.wmem_max and rmem_max), doubled, and not too small.
const (
	bufferMax      = 212992
	leastSend      = 4608
	leastReceive   = 2304
	leastMSS       = 88
	mostMSS        = 32767
	lengthOfInt    = 4
	lengthOfLinger = 8
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
