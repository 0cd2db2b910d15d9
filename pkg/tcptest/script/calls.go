package script

import (
	"bytes"
	"encoding/binary"
	"errors"
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

func callRead(a *arguments) func() outcome {
	fd, n, flags := a.fd(0), a.size(2), 0
	if a.call.Name != "read" {
		flags = a.number(3)
	}
	if faulty(a.at(1), n) {
		return failing(unix.EFAULT)
	}
	return a.receive(fd, [][]byte{make([]byte, n)}, flags, nil)
}

func callReadv(a *arguments) func() outcome {
	return a.receive(a.fd(0), a.pieces(a.at(1)), 0, nil)
}

func callRecvmsg(a *arguments) func() outcome {
	header, iov := a.message(1)
	return a.receive(a.fd(0), iov, a.number(2), &header)
}

// faulty is a call whose buffer is NULL: it fails, whatever else it would do.
func faulty(buffer Expr, n int) bool {
	return buffer.Kind == Name && buffer.Text == "NULL" && n > 0
}

func failing(err error) func() outcome { return func() outcome { return outcome{err: err} } }

// receive makes a call that receives, and goes on where it had to wait.
func (a *arguments) receive(fd int, iov [][]byte, flags int, header *Expr) func() outcome {
	taken := 0
	return func() outcome {
		n, m, err := a.sockets.RecvMsg(fd, after(iov, taken), flags)
		if taken += n; errors.Is(err, bsd.ErrBlocked) {
			return outcome{err: bsd.ErrBlocked}
		}
		out := outcome{n: taken, err: err}
		if want := a.at(1); err == nil && want.Kind == Text && header == nil {
			if got := string(iov[0][:min(taken, len(iov[0]))]); got != want.Text {
				out.got = quote(got)
			}
		}
		if header != nil && err == nil {
			out.got = a.differentMessage(*header, m)
		}
		return out
	}
}

// after is what is left of iov after n bytes.
func after(iov [][]byte, n int) (rest [][]byte) {
	for _, p := range iov {
		k := min(n, len(p))
		n -= k
		rest = append(rest, p[k:])
	}
	return rest
}

// differentMessage tells what a recvmsg has brought that is not as expected.
func (a *arguments) differentMessage(want Expr, got bsd.Message) string {
	if flags, ok := member(want, "msg_flags"); ok && flags.Kind != Dots {
		if n := a.valueOf(flags); n != got.Flags {
			return fmt.Sprintf("msg_flags=%#x", got.Flags)
		}
	}
	control, ok := member(want, "msg_control")
	if !ok || control.Kind == Dots {
		return ""
	}
	if len(control.Parts) != len(got.Control) {
		return fmt.Sprintf("%d control messages", len(got.Control))
	}
	for i, c := range control.Parts {
		level, _ := member(c, "cmsg_level")
		typ, _ := member(c, "cmsg_type")
		data, _ := member(c, "cmsg_data")
		if m := got.Control[i]; a.valueOf(level) != m.Level || a.valueOf(typ) != m.Type || !bytes.Equal(a.option(data), m.Data) {
			return fmt.Sprintf("{cmsg_level=%d, cmsg_type=%d, cmsg_data=%s}", m.Level, m.Type, ints(m.Data))
		}
	}
	return ""
}

func callWrite(a *arguments) func() outcome {
	fd, text, flags := a.fd(0), a.text(a.at(1), a.size(2)), 0
	if a.call.Name == "send" {
		flags = a.number(3)
	}
	if faulty(a.at(1), len(text)) {
		return failing(unix.EFAULT)
	}
	return a.send(fd, [][]byte{text}, flags, netip.AddrPort{})
}

func callSendto(a *arguments) func() outcome {
	to := a.address(4, netip.AddrPortFrom(a.opt.remote, a.opt.connect))
	text := a.text(a.at(1), a.size(2))
	if faulty(a.at(1), len(text)) {
		return failing(unix.EFAULT)
	}
	return a.send(a.fd(0), [][]byte{text}, a.number(3), to)
}

func callWritev(a *arguments) func() outcome {
	return a.send(a.fd(0), a.pieces(a.at(1)), 0, netip.AddrPort{})
}

func callSendmsg(a *arguments) func() outcome {
	header, iov := a.message(1)
	to := netip.AddrPortFrom(a.opt.remote, a.opt.connect)
	if name, ok := member(header, "msg_name"); ok && name.Kind == Struct {
		to, _ = addressOf(name)
	}
	return a.send(a.fd(0), iov, a.number(2), to)
}

// send makes a call that sends, and goes on where it had to wait.
func (a *arguments) send(fd int, iov [][]byte, flags int, to netip.AddrPort) func() outcome {
	taken := 0
	return func() outcome {
		if flags&unix.MSG_FASTOPEN != 0 && (a.set.fastOpen&fastOpenClient == 0 || !to.IsValid()) {
			return outcome{err: unix.EOPNOTSUPP}
		}
		n, err := a.sockets.SendMsg(fd, after(iov, taken), flags, to)
		if taken += n; errors.Is(err, bsd.ErrBlocked) {
			return outcome{err: bsd.ErrBlocked}
		}
		if taken > 0 {
			err = nil // what it has taken counts
		}
		return outcome{n: taken, err: err}
	}
}

// earlyListener has a listener take cookies that has not asked for it, where the script's settings say that all do.
func (r *runner) earlyListener(fd, backlog int) error {
	const all = fastOpenServer | fastOpenAll
	if r.set.fastOpen&all != all {
		return nil
	}
	if n, err := r.sockets.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN); err != nil || n != 0 {
		return err
	}
	return r.sockets.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, max(backlog, 1))
}
