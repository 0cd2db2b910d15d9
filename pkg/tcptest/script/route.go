package script

import (
	"net/netip"
	"slices"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// flowFrom is the flow of a segment of the stack's: a new one, if the stack has opened a connection.
func (r *runner) flowFrom(k *sent) *flow {
	local := netip.AddrPortFrom(k.packet.Src.Netip(), k.segment.SrcPort)
	remote := netip.AddrPortFrom(k.packet.Dst.Netip(), k.segment.DstPort)
	for _, f := range slices.Backward(r.flows) {
		if f.local == local && f.remote == remote {
			if k.segment.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN {
				r.current = f
			}
			return f
		}
	}
	return r.newFlow(local, remote)
}

func (r *runner) newFlow(local, remote netip.AddrPort) *flow {
	f := &flow{local: local, remote: remote, ports: [2]uint16{local.Port(), remote.Port()}, cookies: r.cookies}
	r.nameCookie(f)
	r.flows = append(r.flows, f)
	r.current = f
	return f
}

// flowTo is the flow that a packet of the script's belongs to: that of its ports, or the current one. The first SYN after
// a socket has begun to listen opens one, from a port of its own.
func (r *runner) flowTo(k *Packet) *flow {
	if k.Ports != [2]uint16{} {
		if f := r.byPorts(k.Ports[1], k.Ports[0]); f != nil {
			r.current = f
			return f
		}
		r.fresh = false
		return r.newFlow(netip.AddrPortFrom(r.opt.local, k.Ports[1]), netip.AddrPortFrom(r.opt.remote, k.Ports[0]))
	}
	syn := k.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN
	if r.current != nil && !(syn && r.fresh) {
		return r.current
	}
	r.fresh = r.fresh && !syn
	to := r.listener
	if !to.IsValid() {
		to = netip.AddrPortFrom(r.opt.local, r.opt.bind)
	}
	r.peerPort++
	return r.newFlow(netip.AddrPortFrom(r.opt.local, to.Port()), netip.AddrPortFrom(r.opt.remote, r.peerPort))
}

func (r *runner) byPorts(local, remote uint16) *flow {
	for _, f := range slices.Backward(r.flows) {
		if f.ports == [2]uint16{local, remote} {
			return f
		}
	}
	return nil
}

// flowOf is the flow of which a packet is expected. A port that the stack has chosen gets its name by the first SYN.
func (r *runner) flowOf(want *Packet) *flow {
	if want.Ports == [2]uint16{} {
		return r.current
	}
	if f := r.byPorts(want.Ports[0], want.Ports[1]); f != nil {
		return f
	}
	for _, f := range r.flows {
		if len(f.waiting) > 0 && f.waiting[0].segment.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN && f.remote.Port() == want.Ports[1] {
			f.ports = want.Ports
			return f
		}
	}
	return nil
}
