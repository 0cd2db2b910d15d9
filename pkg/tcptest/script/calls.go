package script

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcptest/bsd"
)

// calls are the system calls of the subset. Each reads its arguments once, and returns what makes the call, perhaps again
// and again.
var calls map[string]func(a *arguments) func() outcome

func init() { // not a literal: the parser asks whether a call is known, and the calls are made of what it has parsed
	calls = map[string]func(a *arguments) func() outcome{
		"socket": callSocket, "bind": callBind, "listen": callListen, "accept": callAccept, "accept4": callAccept,
		"connect": callConnect, "close": callClose, "shutdown": callShutdown,
		"getsockname": callName, "getpeername": callName, "getsockopt": callGetsockopt, "setsockopt": callSetsockopt,
		"fcntl": callFcntl, "ioctl": callIoctl,

		"read": callRead, "recv": callRead, "recvfrom": callRead, "readv": callReadv, "recvmsg": callRecvmsg,
		"write": callWrite, "send": callWrite, "sendto": callSendto, "writev": callWritev, "sendmsg": callSendmsg,

		"poll": callPoll, "epoll_create": callEpollCreate, "epoll_create1": callEpollCreate, "epoll_ctl": callEpollCtl,
		"epoll_wait": callEpollWait,
	}
}

// once is a call that returns nothing but an error.
func once(f func() error) func() outcome {
	return func() outcome { return outcome{err: f()} }
}

func callSocket(a *arguments) func() outcome {
	domain := unix.AF_INET
	if a.at(0).Kind != Dots {
		domain = a.number(0)
	}
	typ, protocol := a.number(1), a.number(2)
	return func() outcome {
		return a.opened(a.sockets.Socket(domain, typ, protocol))
	}
}

func callBind(a *arguments) func() outcome {
	fd, addr := a.fd(0), a.address(1, netip.AddrPortFrom(a.opt.local, a.opt.bind))
	return once(func() error { return a.sockets.Bind(fd, addr) })
}

func callListen(a *arguments) func() outcome {
	fd, backlog := a.fd(0), a.number(1)
	return once(func() error {
		if err := a.earlyListener(fd, backlog); err != nil {
			return err
		}
		err := a.sockets.Listen(fd, backlog)
		if err == nil {
			a.fresh = true
			a.listener, err = a.sockets.LocalAddr(fd)
		}
		return err
	})
}

func callAccept(a *arguments) func() outcome {
	fd, flags := a.fd(0), 0
	if a.call.Name == "accept4" {
		flags = a.number(3)
	}
	return func() outcome {
		n, peer, err := a.sockets.Accept(fd, flags)
		out := a.opened(n, err)
		if want := a.at(1); want.Kind == Struct && err == nil {
			out.got = differentAddress(want, peer)
		}
		return out
	}
}

// differentAddress tells of an address that is not the one expected.
func differentAddress(want Expr, got netip.AddrPort) string {
	if addr, ok := addressOf(want); !ok || addr != got {
		return fmt.Sprintf("%v", got)
	}
	return ""
}

func callConnect(a *arguments) func() outcome {
	fd, addr := a.fd(0), a.address(1, netip.AddrPortFrom(a.opt.remote, a.opt.connect))
	return once(func() error { return a.sockets.Connect(fd, addr) })
}

func callClose(a *arguments) func() outcome {
	fd := a.fd(0)
	return once(func() error {
		err := a.sockets.Close(fd)
		if err == nil {
			delete(a.files, a.number(0))
		}
		return err
	})
}

func callShutdown(a *arguments) func() outcome {
	fd, how := a.fd(0), a.number(1)
	return once(func() error { return a.sockets.Shutdown(fd, how) })
}

func callName(a *arguments) func() outcome {
	fd, ask := a.fd(0), a.sockets.LocalAddr
	if a.call.Name == "getpeername" {
		ask = a.sockets.PeerAddr
	}
	return func() outcome {
		addr, err := ask(fd)
		out := outcome{err: err}
		if want := a.at(1); want.Kind == Struct && err == nil {
			out.got = differentAddress(want, addr)
		}
		return out
	}
}

func callSetsockopt(a *arguments) func() outcome {
	fd, level, name, v := a.fd(0), a.number(1), a.number(2), a.option(a.at(3))
	return once(func() error {
		if level == unix.IPPROTO_TCP && name == unix.TCP_FASTOPEN && a.set.fastOpen&fastOpenServer == 0 {
			return nil // Linux keeps the number, and gives no cookies
		}
		return a.sockets.Setsockopt(fd, level, name, v)
	})
}

func callGetsockopt(a *arguments) func() outcome {
	fd, level, name, want := a.fd(0), a.number(1), a.number(2), a.at(3)
	return func() outcome {
		b := make([]byte, 256)
		n, err := a.sockets.Getsockopt(fd, level, name, b)
		out := outcome{err: err}
		if want.Kind == Dots || want.Kind == List && len(want.Parts) > 0 && want.Parts[0].Kind == Dots || err != nil {
			return out
		}
		b = b[:n]
		w := a.option(want)
		switch {
		case want.Kind == Text || want.Kind == List && len(want.Parts) == 1 && want.Parts[0].Kind == Text:
			if got, _, _ := bytes.Cut(b, []byte{0}); string(got) != string(w) {
				out.got = quote(string(got))
			}
		case !bytes.Equal(b, w):
			out.got = ints(b)
		}
		return out
	}
}

// ints are the numbers of an option's value, as a script has them.
func ints(b []byte) string {
	var list []string
	for ; len(b) >= 4; b = b[4:] {
		list = append(list, fmt.Sprint(int32(binary.NativeEndian.Uint32(b))))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

func callFcntl(a *arguments) func() outcome {
	fd, cmd, arg := a.fd(0), a.number(1), 0
	if len(a.call.Args) > 2 {
		arg = a.number(2)
	}
	return func() outcome {
		n, err := a.sockets.Fcntl(fd, cmd, arg)
		return outcome{n: n, err: err}
	}
}

func callIoctl(a *arguments) func() outcome {
	fd, request, v := a.fd(0), a.number(1), a.at(2)
	if v.Kind == List && len(v.Parts) == 1 {
		v = v.Parts[0]
	}
	arg, given := value(v)
	return func() outcome {
		n, err := a.sockets.Ioctl(fd, uint(request), int(arg))
		out := outcome{err: err}
		if err == nil && request != bsd.FIONBIO && given && int64(n) != arg {
			out.got = fmt.Sprintf("[%d]", n)
		}
		return out
	}
}

func callPoll(a *arguments) func() outcome {
	fds, want := a.polls(0)
	a.within(a.number(2))
	return func() outcome {
		n := a.sockets.Poll(fds)
		if n == 0 && a.now < a.waiter.deadline {
			return outcome{err: bsd.ErrBlocked}
		}
		out := outcome{n: n}
		for i, p := range fds {
			if w, ok := value(want[i]); ok && int16(w) != p.Revents {
				out.got = fmt.Sprintf("revents=%s of %d", bitNames(uint32(uint16(p.Revents)), "POLL"), p.Fd)
			}
		}
		return out
	}
}

// within sets how long a call waits, in milliseconds; for ever if that is negative.
func (a *arguments) within(timeout int) {
	if timeout >= 0 {
		a.waiter.deadline = a.waiter.began.Add(mono.Duration(timeout) * mono.Millisecond)
	}
}

func callEpollCreate(a *arguments) func() outcome {
	return func() outcome {
		return a.opened(a.sockets.EpollCreate())
	}
}

func callEpollCtl(a *arguments) func() outcome {
	ep, op, fd := a.fd(0), a.number(1), a.fd(2)
	var event unix.EpollEvent
	if a.at(3).Kind == Struct {
		event = a.epollEvents(a.at(3))[0]
	}
	return once(func() error { return a.sockets.EpollCtl(ep, op, fd, event) })
}

func callEpollWait(a *arguments) func() outcome {
	ep, count := a.fd(0), a.number(2)
	if count > 1<<10 {
		a.outside("so many events")
	}
	var want []unix.EpollEvent
	if a.at(1).Kind != Dots {
		want = a.epollEvents(a.at(1))
	}
	a.within(a.number(3))
	return func() outcome {
		events := make([]unix.EpollEvent, max(count, 0))
		n, err := a.sockets.EpollWait(ep, events)
		if n == 0 && err == nil && a.now < a.waiter.deadline {
			return outcome{err: bsd.ErrBlocked}
		}
		out := outcome{n: n, err: err}
		for i := range min(n, len(want)) {
			if want[i] != events[i] {
				out.got = fmt.Sprintf("{events=%s, fd=%d}", bitNames(events[i].Events, "EPOLL"), events[i].Fd)
			}
		}
		return out
	}
}
