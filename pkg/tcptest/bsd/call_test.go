package bsd

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

func TestText(t *testing.T) {
	p := newPair(t)
	a, b := p.join()
	p.a.send(a, []byte("question"), 0)
	wantText(t, p.b.receive(b, 4, unix.MSG_PEEK), "ques")
	wantText(t, p.b.receive(b, 4, 0), "ques")
	wantText(t, p.b.receive(b, 100, 0), "tion")
	_, err := p.b.Recv(b, make([]byte, 1), unix.MSG_DONTWAIT)
	wants(t, "a receive with nothing there", err, unix.EAGAIN)
	_, err = p.b.Recv(b, make([]byte, 1), 0)
	wants(t, "a blocking one", err, ErrBlocked)
	ok(t, p.b.Close(b))
	wantText(t, p.a.receive(a, 100, 0), "")
}

func TestLongText(t *testing.T) {
	p := newPair(t)
	a, b := p.join()
	text := bytes.Repeat([]byte("0123456789abcde"), 200000)
	var got []byte
	rest := text
	for len(got) < len(text) {
		if len(rest) > 0 {
			n, err := p.a.Send(a, rest, unix.MSG_DONTWAIT)
			if rest = rest[n:]; err != nil && err != unix.EAGAIN {
				t.Fatal(err)
			}
		}
		buf := make([]byte, 70000)
		n, err := p.b.RecvMsgText(b, [][]byte{buf[:11], buf[11:]})
		if got = append(got, buf[:n]...); err != nil && err != ErrBlocked {
			t.Fatal(err)
		}
		p.step(p.now.Add(mono.Second))
	}
	if !bytes.Equal(got, text) {
		t.Error("other text has arrived")
	}
}

// RecvMsgText is RecvMsg without its message.
func (s *Sockets) RecvMsgText(fd int, iov [][]byte) (int, error) {
	n, _, err := s.RecvMsg(fd, iov, 0)
	return n, err
}

func TestWaitAllWaits(t *testing.T) {
	p := newPair(t)
	a, b := p.join()
	p.a.send(a, []byte("one "), 0)
	p.run(mono.Second)
	buf := make([]byte, 8)
	n, err := p.b.Recv(b, buf, unix.MSG_WAITALL)
	if n != 4 || err != ErrBlocked {
		t.Fatal(n, err)
	}
	p.a.send(a, []byte("two more"), 0)
	p.run(mono.Second)
	n, err = p.b.Recv(b, buf[4:], unix.MSG_WAITALL)
	if ok(t, err); n != 4 {
		t.Fatal(n)
	}
	wantText(t, buf, "one two ")
	if n, err := p.b.Recv(b, buf, unix.MSG_TRUNC); n != 5 && err != nil {
		t.Error(n, err)
	}
}

func TestDescriptors(t *testing.T) {
	p := newPair(t)
	_, err := p.a.Send(7, []byte("x"), 0)
	wants(t, "send on no descriptor", err, unix.EBADF)
	wants(t, "close of none", p.a.Close(7), unix.EBADF)
	ep, err := p.a.EpollCreate()
	ok(t, err)
	_, err = p.a.Recv(ep, make([]byte, 1), 0)
	wants(t, "receive on an epoll", err, unix.ENOTSOCK)
	_, err = p.a.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	wants(t, "a datagram socket", err, unix.ESOCKTNOSUPPORT)
	fd := p.a.socket(unix.SOCK_NONBLOCK)
	if flags, _ := p.a.Fcntl(fd, unix.F_GETFL, 0); flags != unix.O_RDWR|unix.O_NONBLOCK {
		t.Errorf("F_GETFL: %#x", flags)
	}
	_, err = p.a.Recv(fd, make([]byte, 1), 0)
	wants(t, "receive before connect", err, unix.ENOTCONN)
	_, err = p.a.Send(fd, []byte("x"), 0)
	wants(t, "send before connect", err, unix.EPIPE)
	wants(t, "shutdown before connect", p.a.Shutdown(fd, unix.SHUT_WR), unix.ENOTCONN)
	_, _, err = p.a.Accept(fd, 0)
	wants(t, "accept before listen", err, unix.EINVAL)
	_, err = p.a.PeerAddr(fd)
	wants(t, "getpeername before connect", err, unix.ENOTCONN)
}

func TestBindAndListen(t *testing.T) {
	p := newPair(t)
	l := p.b.listen(1)
	wants(t, "bind once more", p.b.Bind(l, p.b.at()), unix.EINVAL)
	ok(t, p.b.Listen(l, 5))
	k := p.b.socket(0)
	wants(t, "bind to a port in use", p.b.Bind(k, p.b.at()), unix.EADDRINUSE)
	ok(t, p.b.SetsockoptInt(k, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	wants(t, "bind to one that is listened on", p.b.Bind(k, p.b.at()), unix.EADDRINUSE)
	wants(t, "bind to the peer's address", p.b.Bind(k, p.a.at()), unix.EADDRNOTAVAIL)
	ok(t, p.b.Bind(k, netip.AddrPortFrom(netip.IPv4Unspecified(), 0)))
	if a, err := p.b.LocalAddr(k); err != nil || a.Port() == 0 {
		t.Error(a, err)
	}
	wants(t, "connect of a listener", p.b.Connect(l, p.a.at()), unix.EISCONN)
	ok(t, p.b.Close(l))
	ok(t, p.b.Bind(p.b.socket(0), p.b.at()))
}

func TestConnectIsRefused(t *testing.T) {
	p := newPair(t)
	fd := p.a.socket(0)
	wants(t, "connect", p.until(func() error { return p.a.Connect(fd, p.b.at()) }), unix.ECONNREFUSED)

	fd = p.a.socket(unix.SOCK_NONBLOCK)
	wants(t, "connect, non-blocking", p.a.Connect(fd, p.b.at()), unix.EINPROGRESS)
	wants(t, "connect again", p.a.Connect(fd, p.b.at()), unix.EALREADY)
	p.run(mono.Second)
	polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT}}
	if p.a.Poll(polled); polled[0].Revents != unix.POLLIN|unix.POLLOUT|unix.POLLERR|unix.POLLHUP {
		t.Errorf("poll: %#x", polled[0].Revents)
	}
	for _, want := range []int{int(unix.ECONNREFUSED), 0} { // told once
		if v, _ := p.a.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); v != want {
			t.Errorf("SO_ERROR %d, want %d", v, want)
		}
	}
	wants(t, "connect after it has failed", p.a.Connect(fd, p.b.at()), unix.ECONNABORTED)
	wants(t, "connect anew", p.a.Connect(fd, p.b.at()), unix.EINPROGRESS)
	p.run(mono.Second)
	wants(t, "and its end", p.a.Connect(fd, p.b.at()), unix.ECONNREFUSED)
}

func TestConnect(t *testing.T) {
	p := newPair(t)
	l := p.b.listen(1)
	fd := p.a.socket(unix.SOCK_NONBLOCK)
	wants(t, "connect", p.a.Connect(fd, p.b.at()), unix.EINPROGRESS)
	_, err := p.a.Send(fd, []byte("x"), 0)
	wants(t, "send before it is open", err, unix.EAGAIN)
	p.run(mono.Second)
	ok(t, p.a.Connect(fd, p.b.at()))
	wants(t, "connect of what is open", p.a.Connect(fd, p.b.at()), unix.EISCONN)
	b, peer, err := p.b.Accept(l, unix.SOCK_NONBLOCK)
	ok(t, err)
	if own, _ := p.a.LocalAddr(fd); own != peer {
		t.Errorf("accept tells of %v, and it is %v", peer, own)
	}
	_, _, err = p.b.Accept(l, 0)
	wants(t, "accept with nobody there", err, ErrBlocked)
	ok(t, p.a.Connect(fd, netip.AddrPort{})) // AF_UNSPEC
	p.run(mono.Second)
	_, err = p.b.Recv(b, make([]byte, 1), 0)
	wants(t, "receive after the peer has disconnected", err, unix.ECONNRESET)
}

func TestConnectTimesOut(t *testing.T) {
	p := newPair(t)
	p.a.lose = func([]byte) bool { return true }
	fd := p.a.socket(0)
	ok(t, p.a.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SYNCNT, 2))
	from := p.now
	wants(t, "connect", p.until(func() error { return p.a.Connect(fd, p.b.at()) }), unix.ETIMEDOUT)
	if d := p.now.Sub(from).Truncate(mono.Millisecond); d != 7*mono.Second {
		t.Errorf("after %v; SYNs at 0, 1 and 3 s, and none at 7", d)
	}
}

func TestResetIsToldOnceAfterTheText(t *testing.T) {
	p := newPair(t)
	a, b := p.join()
	p.a.send(a, []byte("last words"), 0)
	ok(t, p.a.Setsockopt(a, unix.SOL_SOCKET, unix.SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0}))
	p.run(mono.Second)
	ok(t, p.a.Close(a))
	p.run(mono.Second)
	wantText(t, p.b.receive(b, 4, 0), "last")
	wantText(t, p.b.receive(b, 100, 0), " words")
	_, err := p.b.Recv(b, make([]byte, 1), 0)
	wants(t, "receive", err, unix.ECONNRESET)
	wantText(t, p.b.receive(b, 1, 0), "")
	_, err = p.b.Send(b, []byte("x"), 0)
	wants(t, "send", err, unix.EPIPE)
	i, err := p.b.Info(b)
	if ok(t, err); i.State != unix.BPF_TCP_CLOSE || i.Bytes_received != 10 {
		t.Errorf("state %d, %d bytes", i.State, i.Bytes_received)
	}
}

func TestCloseWithTextUnreadResets(t *testing.T) {
	p := newPair(t)
	a, b := p.join()
	p.a.send(a, []byte("for nobody"), 0)
	p.run(mono.Second)
	ok(t, p.b.Close(b))
	p.run(mono.Second)
	_, err := p.a.Recv(a, make([]byte, 1), 0)
	wants(t, "receive", err, unix.ECONNRESET)
}

func TestResetInCloseWaitIsEPIPE(t *testing.T) {
	p := newPair(t)
	a, b := p.join()
	ok(t, p.b.Close(b))
	p.run(mono.Second)
	p.a.send(a, []byte("too late"), 0)
	p.run(mono.Second)
	_, err := p.a.Send(a, []byte("x"), 0)
	wants(t, "send", err, unix.EPIPE)
	wantText(t, p.a.receive(a, 1, 0), "")
}

func TestLinger(t *testing.T) {
	p := newPair(t)
	a, b := p.join()
	linger := []byte{1, 0, 0, 0, 3, 0, 0, 0}
	ok(t, p.a.Setsockopt(a, unix.SOL_SOCKET, unix.SO_LINGER, linger))
	p.a.send(a, []byte("text"), 0)
	from := p.now
	ok(t, p.until(func() error { return p.a.Close(a) }))
	if d := p.now.Sub(from); d != 2*delay {
		t.Errorf("close waited for %v, and the FIN was acknowledged after %v", d, 2*delay)
	}
	wants(t, "close again", p.a.Close(a), unix.EBADF)
	wantText(t, p.b.receive(b, 100, 0), "text")

	p = newPair(t)
	a, _ = p.join()
	p.a.lose = func([]byte) bool { return true }
	ok(t, p.a.Setsockopt(a, unix.SOL_SOCKET, unix.SO_LINGER, linger))
	from = p.now
	ok(t, p.until(func() error { return p.a.Close(a) }))
	if d := p.now.Sub(from); d != 3*mono.Second {
		t.Errorf("close waited for %v, want 3 s", d)
	}
}

func TestShutdown(t *testing.T) {
	p := newPair(t)
	a, b := p.join()
	wants(t, "shutdown of what there is not", p.a.Shutdown(a, 3), unix.EINVAL)
	ok(t, p.a.Shutdown(a, unix.SHUT_WR))
	_, err := p.a.Send(a, []byte("x"), 0)
	wants(t, "send after SHUT_WR", err, unix.EPIPE)
	wantText(t, p.b.receive(b, 1, 0), "")
	p.b.send(b, []byte("answer"), 0)
	wantText(t, p.a.receive(a, 100, 0), "answer")

	ok(t, p.a.Shutdown(a, unix.SHUT_RD))
	wantText(t, p.a.receive(a, 1, 0), "")
	polled := []unix.PollFd{{Fd: int32(a), Events: unix.POLLIN | unix.POLLOUT | unix.POLLRDHUP}}
	if p.a.Poll(polled); polled[0].Revents != unix.POLLIN|unix.POLLOUT|unix.POLLRDHUP|unix.POLLHUP {
		t.Errorf("poll with both directions shut: %#x", polled[0].Revents)
	}
}

func TestShutdownOfAListener(t *testing.T) {
	p := newPair(t)
	l := p.b.listen(1)
	ok(t, p.b.Shutdown(l, unix.SHUT_WR))
	fd := p.a.socket(0)
	ok(t, p.until(func() error { return p.a.Connect(fd, p.b.at()) }))
	ok(t, p.b.Shutdown(l, unix.SHUT_RD))
	_, _, err := p.b.Accept(l, 0)
	wants(t, "accept", err, unix.EINVAL)
	p.run(mono.Second)
	_, err = p.a.Recv(fd, make([]byte, 1), 0)
	wants(t, "receive on what was never accepted", err, unix.ECONNRESET)
	ok(t, p.b.Listen(l, 1))
}

func TestBacklog(t *testing.T) {
	p := newPair(t)
	l := p.b.listen(1)
	for range 3 {
		fd := p.a.socket(unix.SOCK_NONBLOCK)
		wants(t, "connect", p.a.Connect(fd, p.b.at()), unix.EINPROGRESS)
	}
	p.run(100 * mono.Millisecond)
	n := 0
	for {
		if _, _, err := p.b.Accept(l, 0); err != nil {
			break
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d connections with a backlog of 1, want 2, as in Linux", n)
	}
}

func TestUrgent(t *testing.T) {
	p := newPair(t)
	a, b := p.join()
	buf := make([]byte, 10)
	_, err := p.b.Recv(b, buf, unix.MSG_OOB)
	wants(t, "MSG_OOB with nothing urgent", err, unix.EINVAL)
	p.a.send(a, []byte("ab"), 0)
	p.a.send(a, []byte("cd!"), unix.MSG_OOB)
	p.a.send(a, []byte("ef"), 0)
	p.run(mono.Second)
	wantText(t, p.b.receive(b, 10, 0), "abcd") // not across the mark
	wantText(t, p.b.receive(b, 10, unix.MSG_OOB), "!")
	_, err = p.b.Recv(b, buf, unix.MSG_OOB)
	wants(t, "MSG_OOB again", err, unix.EINVAL)
	wantText(t, p.b.receive(b, 10, 0), "ef")

	ok(t, p.b.SetsockoptInt(b, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1))
	p.a.send(a, []byte("gh!"), unix.MSG_OOB)
	p.run(mono.Second)
	wantText(t, p.b.receive(b, 10, 0), "gh")
	wantText(t, p.b.receive(b, 10, 0), "!")
}

func TestEpoll(t *testing.T) {
	p := newPair(t)
	a, b := p.join()
	ep, err := p.a.EpollCreate()
	ok(t, err)
	ok(t, p.a.SetsockoptInt(a, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096))
	wants(t, "EPOLL_CTL_MOD", p.a.EpollCtl(ep, unix.EPOLL_CTL_MOD, a, unix.EpollEvent{}), unix.ENOENT)
	ok(t, p.a.EpollCtl(ep, unix.EPOLL_CTL_ADD, a, unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET, Fd: 77}))
	wants(t, "EPOLL_CTL_ADD again", p.a.EpollCtl(ep, unix.EPOLL_CTL_ADD, a, unix.EpollEvent{}), unix.EEXIST)
	told := func(want uint32) {
		t.Helper()
		var list [4]unix.EpollEvent
		n, err := p.a.EpollWait(ep, list[:])
		ok(t, err)
		switch {
		case n == 0 && want != 0, n > 0 && (list[0].Events != want || list[0].Fd != 77):
			t.Errorf("told %d: %#x, want %#x", n, list[0].Events, want)
		}
	}
	told(unix.EPOLLOUT)
	told(0) // an edge is told once
	n, err := p.a.Send(a, make([]byte, 100000), unix.MSG_DONTWAIT)
	if ok(t, err); n == 0 || n == 100000 {
		t.Errorf("%d bytes taken, of a buffer of 4096", n)
	}
	told(0)
	p.run(mono.Second)
	told(unix.EPOLLOUT)
	p.b.send(b, []byte("x"), 0)
	p.run(mono.Second)
	told(unix.EPOLLIN | unix.EPOLLOUT)
	ok(t, p.a.EpollCtl(ep, unix.EPOLL_CTL_MOD, a, unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: 77}))
	told(unix.EPOLLIN)
	told(0)
	ok(t, p.a.EpollCtl(ep, unix.EPOLL_CTL_DEL, a, unix.EpollEvent{}))
}

// TestSendBufferIsFilledByHalfWindows: buffers of half the window of 65,535 bytes, 22 segments, are begun while less than
// 8,192 bytes are queued. Of the first, ten segments leave, so that it takes as many more.
func TestSendBufferIsFilledByHalfWindows(t *testing.T) {
	p := newPair(t)
	a, _ := p.join()
	ok(t, p.a.SetsockoptInt(a, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096))
	n, err := p.a.Send(a, make([]byte, 100000), unix.MSG_DONTWAIT)
	if ok(t, err); n != 32*1448 {
		t.Errorf("%d bytes taken, want %d", n, 32*1448)
	}
	_, err = p.a.Send(a, make([]byte, 1), unix.MSG_DONTWAIT)
	wants(t, "one byte more", err, unix.EAGAIN)
}

func TestRecordsAreSegmentsOfTheirOwn(t *testing.T) {
	p := newPair(t)
	a, b := p.join()
	var sizes []int
	p.a.lose = func(packet []byte) bool {
		if n := len(packet) - 52; n > 0 {
			sizes = append(sizes, n)
		}
		return false
	}
	p.a.send(a, make([]byte, 500), unix.MSG_EOR)
	p.a.send(a, make([]byte, 300), unix.MSG_EOR)
	p.a.send(a, make([]byte, 200), 0)
	p.a.send(a, make([]byte, 100), 0)
	if n := len(p.b.receive(b, 1100, unix.MSG_WAITALL)); n != 1100 {
		t.Errorf("%d bytes", n)
	}
	if !slices.Equal(sizes, []int{500, 300, 200, 100}) && !slices.Equal(sizes, []int{500, 300, 300}) {
		t.Errorf("segments of %d bytes", sizes)
	}
}

func TestFastOpen(t *testing.T) {
	p := newPair(t)
	l := p.b.listen(4)
	ok(t, p.b.SetsockoptInt(l, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 5))
	for i := range 2 {
		fd := p.a.socket(unix.SOCK_NONBLOCK)
		n, err := p.a.SendTo(fd, []byte("early"), unix.MSG_FASTOPEN, p.b.at())
		if ok(t, err); n != 5 {
			t.Fatalf("%d bytes taken", n)
		}
		p.run(delay)
		b, _, err := p.b.Accept(l, 0)
		if i == 0 { // the first has asked for a cookie
			wants(t, "accept before the handshake is over", err, ErrBlocked)
			p.run(10 * delay)
			b, _, err = p.b.Accept(l, 0)
		}
		ok(t, err)
		wantText(t, p.b.receive(b, 10, 0), "early")
	}
}
