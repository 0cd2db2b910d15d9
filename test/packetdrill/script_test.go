package main_test

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

var (
	local  = ip.V4([4]byte{192, 168, 0, 1})
	remote = ip.V4([4]byte{192, 0, 2, 1})
)

const (
	ours   = 8080
	theirs = 40000
)

// inject has a segment of the peer's arrive.
func (d *tool) inject(g tcp.Segment, text int) {
	d.t.Helper()
	g.SrcPort, g.DstPort = theirs, ours
	b := make([]byte, ip.HeaderLen+tcp.MaxHeaderLen+text)
	seg := b[ip.HeaderLen:]
	n := g.Put(seg, 0) + text
	binary.BigEndian.PutUint16(seg[16:], ^ip.Fold(ip.Sum(seg[:n], ip.PseudoSum(remote, local, ip.ProtoTCP, n))))
	h := ip.Header{Src: remote, Dst: local, Proto: ip.ProtoTCP, TTL: 64, DF: true, Len: ip.HeaderLen + n}
	h.Put(b)
	d.must("send %s", hex.EncodeToString(b[:h.Len]))
}

// segment is the next one that leaves, and when, in microseconds; with text, and the checksums right.
func (d *tool) segment() (g tcp.Segment, at int) {
	d.t.Helper()
	packet, at := d.receive()
	var p ip.Packet
	if drop := p.Parse(packet); drop != ip.DropNone {
		d.t.Fatalf("what was to be a packet: %v", drop)
	}
	if !tcp.ChecksumOK(p.Src, p.Dst, p.Payload) {
		d.t.Error("the checksum is wrong")
	}
	if drop := g.Parse(p.Payload); drop != tcp.DropNone {
		d.t.Fatal(drop)
	}
	return g, at
}

// syn is the peer's, with all options.
var syn = tcp.Segment{Seq: 1000, Flags: tcp.SYN, Window: 32792, Options: tcp.Options{
	Has: tcp.HasMSS | tcp.HasWindowScale | tcp.HasSACKPermitted | tcp.HasTimestamps, MSS: 1012, WindowScale: 7, TSVal: 100,
}}

// open listens, and answers the SYN; it returns the listener and the SYN,ACK.
func (d *tool) open() (fd int, answer tcp.Segment) {
	d.t.Helper()
	fd = d.must("socket").result
	d.must("bind %d 0.0.0.0 %d", fd, ours)
	d.must("listen %d 1", fd)
	d.inject(syn, 0)
	answer, at := d.segment()
	if now := d.now(); answer.Flags != tcp.SYN|tcp.ACK || answer.Ack != syn.Seq+1 || at > now || now-at > 100 {
		d.t.Errorf("the answer to the SYN: %+v, sent at %d, and now it is %d", answer, at, now)
	}
	return fd, answer
}

// ack is the peer's acknowledgment of all up to end.
func ack(answer *tcp.Segment, end seq.Num) tcp.Segment {
	g := tcp.Segment{Seq: syn.Seq + 1, Ack: end, Flags: tcp.ACK, Window: 257}
	if answer.Options.Has&tcp.HasTimestamps != 0 {
		g.Options = tcp.Options{Has: tcp.HasTimestamps, TSVal: 200, TSEcr: answer.Options.TSVal}
	}
	return g
}

// TestScript is a script's life of a connection: what packetdrill would check, checked by hand.
func TestScript(t *testing.T) {
	d := load(t, "")
	listener, a := d.open()
	if want := tcp.HasMSS | tcp.HasWindowScale | tcp.HasSACKPermitted | tcp.HasTimestamps; a.Options.Has != want || a.Options.MSS != 1460 {
		t.Errorf("the SYN,ACK offers %+v", a.Options)
	}
	d.must("nonblock %d", listener)
	if r := d.call("accept %d", listener); r.result != -1 || r.errno != int(unix.EAGAIN) {
		t.Errorf("accept before the handshake is over: %+v", r)
	}
	d.must("usleep 100000")
	d.inject(ack(&a, a.Seq+1), 0)
	fd := d.must("accept %d", listener).result // what was injected has been taken in
	begun := d.now()
	if n := d.must("write %d 12000", fd).result; n != 12000 {
		t.Errorf("write: %d", n)
	}
	sent := 0
	for sent < 10000 { // ten segments of 1000: the initial window
		g, at := d.segment()
		if int(g.Seq-a.Seq-1) != sent || at < begun || at > begun+100 {
			t.Errorf("text from %d on, at %d; want from %d on, at %d", g.Seq-a.Seq-1, at, sent, begun)
		}
		sent += len(g.Text)
	}
	if r := d.must("info %d", fd); r.more[0] != "1" || r.more[1] != "10" || r.more[2] != "10" {
		t.Errorf("TCP_INFO tells of state, window and flight %v", r.more)
	}
	g, at := d.segment()
	if d := at - begun; int(g.Seq-a.Seq-1) != 10000 || d < 190000 || d > 210000 { // twice the round trip, and a little
		t.Errorf("the tail loss probe is of %d, %d us later", g.Seq-a.Seq-1, d)
	}
	d.inject(ack(&a, a.Seq+10001), 0)
	d.must("usleep 0")
	d.inject(ack(&a, a.Seq+12001), 3000)
	if r := d.must("read %d 4000", fd); r.result != 3000 {
		t.Errorf("read: %+v", r)
	}
	d.must("close %d", fd)
	if r := d.call("read %d 1", fd); r.result != -1 || r.errno != int(unix.EBADF) {
		t.Errorf("read after close: %+v", r)
	}
	for g, _ = d.segment(); g.Flags&tcp.FIN == 0; g, _ = d.segment() {
	}
	if r := d.must("kernel-close %d", listener); r.result != 0 { // descriptors are real ones
		t.Errorf("the kernel's close of what was left open: %+v", r)
	}
}

// TestSilence: where nothing is sent for four seconds, there is no packet, and no error. They are virtual ones.
func TestSilence(t *testing.T) {
	d := load(t, "")
	if packet, _ := d.receive(); packet != nil {
		t.Errorf("%d bytes have left a stack that there is not yet", len(packet))
	}
	d.must("socket")
	before := d.now()
	if packet, _ := d.receive(); packet != nil {
		t.Errorf("%d bytes have left", len(packet))
	}
	d.must("usleep 5000000")
	if d := d.now() - before; d < 5000000 || d > 5000100 {
		t.Errorf("five seconds were %d us", d)
	}
}

// TestBlockingCalls wait on another thread, and return at the very time at which what they wait for has happened.
func TestBlockingCalls(t *testing.T) {
	d := load(t, "")
	listener, a := d.open()
	d.must("later accept %d", listener)
	d.must("usleep 50000")
	begun := d.now()
	d.inject(ack(&a, a.Seq+1), 0)
	r := d.answer(d.later)
	if at := d.int(r.more[0]); r.result < 0 || at < begun || at > begun+100 {
		t.Errorf("accept: %+v, at %d; its connection was opened at %d", r, at, begun)
	}
	fd := r.result
	d.must("later read %d 100", fd)
	d.must("usleep 70000")
	begun = d.now()
	d.inject(ack(&a, a.Seq+1), 10)
	r = d.answer(d.later)
	if at := d.int(r.more[len(r.more)-1]); r.result != 10 || at < begun || at > begun+100 {
		t.Errorf("read: %+v; its text came at %d", r, begun)
	}
}

// TestTime: what is due while the tool sleeps leaves at its time, and not when the tool asks.
func TestTime(t *testing.T) {
	d := load(t, "")
	_, a := d.open()
	begun := d.now()
	d.must("usleep 10000000")
	for _, want := range []int{1, 3, 7} { // the SYN,ACK again, after a second, then two, then four
		g, at := d.segment()
		if s := float64(at-begun) / 1e6; g.Flags != tcp.SYN|tcp.ACK || g.Seq != a.Seq || s < float64(want)-0.01 || s > float64(want)+0.01 {
			t.Errorf("%v after %v s, want the SYN,ACK after %d", g.Flags, s, want)
		}
	}
}

// TestFlags: what --so_flags says of buffers and options is what the SYN,ACK offers.
func TestFlags(t *testing.T) {
	for flags, want := range map[string]tcp.Options{
		"":                              {Has: tcp.HasMSS | tcp.HasWindowScale | tcp.HasSACKPermitted | tcp.HasTimestamps, WindowScale: 9, MSS: 1460},
		"timestamps=0":                  {Has: tcp.HasMSS | tcp.HasWindowScale | tcp.HasSACKPermitted, WindowScale: 9, MSS: 1460},
		"sack=0,wscale=0,timestamps=0":  {Has: tcp.HasMSS, MSS: 1460},
		"mtu=1000,sack=0":               {Has: tcp.HasMSS | tcp.HasWindowScale | tcp.HasTimestamps, WindowScale: 9, MSS: 960},
		"wscale=0,congestion=bbr":       {Has: tcp.HasMSS | tcp.HasSACKPermitted | tcp.HasTimestamps, MSS: 1460},
		"rcvbuf=5000,congestion=reno":   {Has: tcp.HasMSS | tcp.HasWindowScale | tcp.HasSACKPermitted | tcp.HasTimestamps, WindowScale: 9, MSS: 1460},
		"local=192.168.0.1,sndbuf=4096": {Has: tcp.HasMSS | tcp.HasWindowScale | tcp.HasSACKPermitted | tcp.HasTimestamps, WindowScale: 9, MSS: 1460},
	} {
		t.Run(flags, func(t *testing.T) {
			d := load(t, flags)
			_, a := d.open()
			a.Options.TSVal, a.Options.TSEcr = 0, 0
			if a.Options != want {
				t.Errorf("the SYN,ACK offers %+v, want %+v", a.Options, want)
			}
			if flags == "rcvbuf=5000,congestion=reno" && a.Window != 5000 {
				t.Errorf("a window of %d bytes", a.Window)
			}
		})
	}
}
