package tcptest

import (
	"encoding/binary"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// forge has a segment of flow f, as from sees it, arrive at to, which from has not sent.
func forge(w *World, from, to *Host, f stack.Flow, g tcp.Segment) {
	var b [ip.HeaderLen + tcp.MaxHeaderLen]byte
	g.SrcPort, g.DstPort = f.LocalPort, f.RemotePort
	seg := b[ip.HeaderLen:]
	n := g.Put(seg, 0)
	sum := ^ip.Fold(ip.Sum(seg[:n], ip.PseudoSum(f.Local, f.Remote, ip.ProtoTCP, n)))
	binary.BigEndian.PutUint16(seg[16:], sum)
	h := ip.Header{Src: f.Local, Dst: f.Remote, Proto: ip.ProtoTCP, TTL: 64, DF: true, Len: ip.HeaderLen + n}
	h.Put(b[:])
	w.Log.note("%s:%d > %s:%d  %v, forged", from.Name, f.LocalPort, to.Name, f.RemotePort, g.Flags)
	frame := &Frame{Src: from, Dst: to, Packet: b[:h.Len]}
	w.After(0, func() { to.receive(frame) })
}
