package bsd

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestOptions(t *testing.T) {
	p := newPair(t)
	a, _ := p.join()
	for _, c := range []struct {
		level, name, before, set, after int
		err                             error
	}{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 0, 7, 1, nil},
		{unix.SOL_SOCKET, unix.SO_SNDBUF, 262144, 5000, 10000, nil},
		{unix.SOL_SOCKET, unix.SO_SNDBUF, 10000, 1, 4608, nil},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, 262144, 1 << 30, 425984, nil},
		{unix.SOL_SOCKET, unix.SO_RCVLOWAT, 1, 0, 1, nil},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0, 1, 1, nil},
		{unix.SOL_IP, unix.IP_TOS, 0, 256, 0, unix.EINVAL},
		{unix.SOL_IP, unix.IP_TTL, 64, 0, 64, unix.EINVAL},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 0, 1, 1, nil},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 7200, 40000, 7200, unix.EINVAL},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9, 3, 3, nil},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0, 1500, 1500, nil},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 1500, -1, 1500, unix.EINVAL},
		{unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1448, 40, 1448, unix.EINVAL},
		{unix.IPPROTO_TCP, unix.TCP_SYNCNT, 6, 128, 6, unix.EINVAL},
	} {
		before, err := p.a.GetsockoptInt(a, c.level, c.name)
		ok(t, err)
		wants(t, "set", p.a.SetsockoptInt(a, c.level, c.name, c.set), c.err)
		after, err := p.a.GetsockoptInt(a, c.level, c.name)
		ok(t, err)
		if before != c.before || after != c.after {
			t.Errorf("%d of level %d was %d, and is %d after %d; want %d and %d", c.name, c.level, before, after, c.set, c.before, c.after)
		}
	}
	wants(t, "an option that there is not", p.a.SetsockoptInt(a, unix.IPPROTO_TCP, 12345, 1), unix.ENOPROTOOPT)
	wants(t, "half an int", p.a.Setsockopt(a, unix.IPPROTO_TCP, unix.TCP_NODELAY, []byte{1}), unix.EINVAL)
}

func TestCongestionOption(t *testing.T) {
	p := newPair(t)
	fd := p.b.listen(1)
	wants(t, "an algorithm that there is not", p.b.Setsockopt(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, []byte("vegas2")), unix.ENOENT)
	ok(t, p.b.Setsockopt(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, []byte("bbr\x00")))
	a := p.a.socket(0)
	ok(t, p.until(func() error { return p.a.Connect(a, p.b.at()) }))
	var b int
	ok(t, p.until(func() (err error) { b, _, err = p.b.Accept(fd, 0); return err }))
	name := make([]byte, 16)
	n, err := p.b.Getsockopt(b, unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
	ok(t, err)
	wantText(t, name[:n], "bbr\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
}

func TestInfo(t *testing.T) {
	p := newPair(t)
	a, b := p.join()
	p.a.send(a, make([]byte, 2*1448), 0)
	i, err := p.a.Info(a)
	ok(t, err)
	if i.State != unix.BPF_TCP_ESTABLISHED || i.Unacked != 2 || i.Snd_mss != 1448 || i.Snd_cwnd != 10 || i.Options != 7 ||
		i.Rtt != 20000 || i.Snd_ssthresh != infiniteSsthresh || i.Ca_state != caOpen {
		t.Errorf("%+v", i)
	}
	if n, _ := p.a.Ioctl(a, unix.SIOCOUTQ, 0); n != 2*1448 {
		t.Errorf("SIOCOUTQ: %d", n)
	}
	p.run(delay)
	if n, _ := p.b.Ioctl(b, unix.SIOCINQ, 0); n != 2*1448 {
		t.Errorf("SIOCINQ: %d", n)
	}
	raw := make([]byte, 1000)
	if n, err := p.a.Getsockopt(a, unix.IPPROTO_TCP, unix.TCP_INFO, raw); n != unix.SizeofTCPInfo || err != nil {
		t.Errorf("%d bytes, %v; Linux has %d", n, err, unix.SizeofTCPInfo)
	}
}
