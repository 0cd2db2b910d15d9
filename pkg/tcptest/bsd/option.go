package bsd

import (
	"maps"
	"time"

	"golang.org/x/sys/unix"

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
