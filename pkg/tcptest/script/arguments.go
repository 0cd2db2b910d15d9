package script

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// arguments are those of a call, to be read by who makes it. What is missing or not of the subset ends the call by a panic
// that runner.call catches.
type arguments struct {
	*runner
	waiter *waiter
	call   *Call
}

func (a *arguments) outside(what string) {
	panic(outside(a.waiter.event.Line, "%s in %s", what, a.call.Name))
}

// at is the argument i.
func (a *arguments) at(i int) Expr {
	if i >= len(a.call.Args) {
		panic(fault(a.waiter.event.Line, "%s has %d arguments, not more than %d", a.call.Name, len(a.call.Args), i))
	}
	return a.call.Args[i]
}

// number is the argument i as a number.
func (a *arguments) number(i int) int { return a.valueOf(a.at(i)) }

func (a *arguments) valueOf(e Expr) int {
	n, ok := value(e)
	if !ok {
		a.outside(e.String())
	}
	return int(n)
}

// fd is the argument i as a descriptor.
func (a *arguments) fd(i int) int { return a.live(a.number(i)) }

// live is the descriptor that the script calls n.
func (r *runner) live(n int) int {
	if fd, ok := r.files[n]; ok {
		return fd
	}
	return -1
}

// opened is a call's new descriptor, under the number that the script expects: if that is taken, the other has no name any
// more.
func (a *arguments) opened(fd int, err error) outcome {
	n := fd
	if want, ok := value(a.call.Result); ok && want >= 0 {
		n = int(want)
	}
	if err == nil {
		a.files[n] = fd
	}
	return outcome{n: n, err: err}
}

// most bounds a buffer, in bytes.
const most = 1 << 26

// size is the argument i as a number of bytes.
func (a *arguments) size(i int) int { return a.bytesOf(a.at(i)) }

func (a *arguments) bytesOf(e Expr) int {
	n := a.valueOf(e)
	if n < 0 || n > most {
		a.outside(e.String() + " bytes")
	}
	return n
}

// text is n bytes to send: those of a string, as far as they reach, and zeros.
func (a *arguments) text(e Expr, n int) []byte {
	b := make([]byte, n)
	if e.Kind == Text {
		copy(b, e.Text)
	}
	return b
}

// pieces are what an array of {text, length} says to send, or where to receive to.
func (a *arguments) pieces(e Expr) (iov [][]byte) {
	if e.Kind != List {
		a.outside(e.String())
	}
	for _, p := range e.Parts {
		if p.Kind != Struct || len(p.Fields) != 2 {
			a.outside(p.String())
		}
		iov = append(iov, a.text(p.Fields[0].Value, a.bytesOf(p.Fields[1].Value)))
	}
	return iov
}

// member finds a member of a structure.
func member(e Expr, name string) (Expr, bool) {
	for _, f := range e.Fields {
		if f.Name == name {
			return f.Value, true
		}
	}
	return Expr{}, false
}

// address is the argument i as a socket address; where the script leaves it open it is usual.
func (a *arguments) address(i int, usual netip.AddrPort) netip.AddrPort {
	e := a.at(i)
	if e.Kind == Dots {
		return usual
	}
	addr, ok := addressOf(e)
	if !ok {
		a.outside(e.String())
	}
	return addr
}

// addressOf reads {sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr("10.0.0.1")}; AF_UNSPEC is the zero
// address.
func addressOf(e Expr) (addr netip.AddrPort, ok bool) {
	if e.Kind == Name && e.Text == "AF_UNSPEC" {
		return addr, true
	}
	family, _ := member(e, "sa_family")
	if family.Text == "AF_UNSPEC" {
		return addr, true
	}
	port, _ := member(e, "sin_port")
	host, _ := member(e, "sin_addr")
	if family.Text != "AF_INET" || port.Kind != Apply || len(port.Parts) != 1 {
		return addr, false
	}
	n, ok := value(port.Parts[0])
	ip := netip.IPv4Unspecified() // INADDR_ANY
	if host.Kind == Apply && len(host.Parts) == 1 {
		var err error
		if ip, err = netip.ParseAddr(host.Parts[0].Text); err != nil {
			return addr, false
		}
	}
	return netip.AddrPortFrom(ip, uint16(n)), ok && n >= 0 && n < 1<<16
}

// option is the bytes of an option's value, in an array or not.
func (a *arguments) option(e Expr) []byte {
	if e.Kind == List && len(e.Parts) == 1 {
		e = e.Parts[0]
	}
	switch e.Kind {
	case Text:
		return []byte(e.Text)
	case Struct:
		var b []byte
		for _, f := range e.Fields { // {onoff=1, linger=0}
			b = binary.NativeEndian.AppendUint32(b, uint32(a.valueOf(f.Value)))
		}
		return b
	}
	return binary.NativeEndian.AppendUint32(nil, uint32(a.valueOf(e)))
}

// message are the pieces of a msghdr.
func (a *arguments) message(i int) (e Expr, iov [][]byte) {
	e = a.at(i)
	list, ok := member(e, "msg_iov")
	if e.Kind != Struct || !ok {
		a.outside(e.String())
	}
	return e, a.pieces(list)
}

// polls are the descriptors of a poll, and what is expected of them.
func (a *arguments) polls(i int) (fds []unix.PollFd, want []Expr) {
	for _, p := range a.at(i).Parts {
		fd, _ := member(p, "fd")
		events, ok := member(p, "events")
		revents, given := member(p, "revents")
		if !ok {
			a.outside(p.String())
		}
		if !given {
			revents = Expr{Kind: Number}
		}
		fds = append(fds, unix.PollFd{Fd: int32(a.live(a.valueOf(fd))), Events: int16(a.valueOf(events))})
		want = append(want, revents)
	}
	return fds, want
}

// epollEvents are one event of an epoll instance, or an array of them.
func (a *arguments) epollEvents(e Expr) (list []unix.EpollEvent) {
	if e.Kind == List {
		for _, p := range e.Parts {
			list = append(list, a.epollEvents(p)...)
		}
		return list
	}
	if e.Kind != Struct {
		a.outside(e.String())
	}
	var v unix.EpollEvent
	for _, f := range e.Fields {
		n := a.valueOf(f.Value)
		switch f.Name {
		case "events":
			v.Events = uint32(n)
		default: // a union
			v.Fd, v.Pad = int32(n), int32(n>>32)
		}
	}
	return append(list, v)
}

// bitNames are the names of bits in a number, as a script has them.
func bitNames(n uint32, prefix string) string {
	var names []string
	for _, name := range []string{"IN", "PRI", "OUT", "ERR", "HUP", "NVAL", "RDNORM", "WRNORM", "RDHUP"} {
		bit, ok := constants[prefix+name]
		if ok && n&uint32(bit) != 0 {
			names = append(names, prefix+name)
			n &^= uint32(bit)
		}
	}
	if len(names) == 0 || n != 0 {
		names = append(names, Expr{Kind: Number, Number: int64(n)}.String())
	}
	return strings.Join(names, "|")
}
