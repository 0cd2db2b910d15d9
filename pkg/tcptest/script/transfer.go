package script

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/tcptest/bsd"
)

// The calls that receive and send.

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
