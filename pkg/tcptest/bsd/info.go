package bsd

import (
	"encoding/binary"
	"math"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Info is TCP_INFO.
func (s *Sockets) Info(fd int) (unix.TCPInfo, error) {
	k, err := s.socket(fd)
	if err != nil {
		return unix.TCPInfo{}, err
	}
	return k.tcpInfo(), nil
}

// infoBytes is struct tcp_info. After its first bytes come two of bit-fields, which unix.TCPInfo leaves out: the scales of
// the windows, ours above the peer's, and what is told of the delivery rate and of Fast Open.
func (k *socket) infoBytes() []byte {
	const first = 6
	b, err := binary.Append(nil, binary.NativeEndian, k.tcpInfo())
	if err != nil {
		panic(err) // the type has a fixed size
	}
	i, _ := k.inform()
	return slices.Insert(b, first, i.ReceiveScale<<4|i.SendScale, 0)
}

// linuxStates are the numbers that Linux has for the states.
var linuxStates = map[fsm.State]uint8{
	fsm.Established: unix.BPF_TCP_ESTABLISHED, fsm.SynSent: unix.BPF_TCP_SYN_SENT, fsm.SynRcvd: unix.BPF_TCP_SYN_RECV,
	fsm.SynRcvdOpen: unix.BPF_TCP_SYN_RECV, fsm.FinWait1: unix.BPF_TCP_FIN_WAIT1, fsm.FinWait2: unix.BPF_TCP_FIN_WAIT2,
	fsm.TimeWait: unix.BPF_TCP_TIME_WAIT, fsm.Closed: unix.BPF_TCP_CLOSE, fsm.CloseWait: unix.BPF_TCP_CLOSE_WAIT,
	fsm.LastAck: unix.BPF_TCP_LAST_ACK, fsm.Listen: unix.BPF_TCP_LISTEN, fsm.Closing: unix.BPF_TCP_CLOSING,
}

// What tcpi_ca_state and tcpi_options say.
const (
	caOpen     = 0
	caDisorder = 1
	caCWR      = 2
	caRecovery = 3
	caLoss     = 4

	optTimestamps = 1
	optSACK       = 2
	optWScale     = 4
	optECN        = 8

	infiniteSsthresh = 0x7fffffff
)

// tcpInfo is what Linux would tell of the connection, as far as the stack knows it: times in microseconds, windows in
// segments.
func (k *socket) tcpInfo() unix.TCPInfo {
	i, ok := k.inform()
	if !ok {
		return unix.TCPInfo{State: map[bool]uint8{true: unix.BPF_TCP_LISTEN, false: unix.BPF_TCP_CLOSE}[k.phase == listening]}
	}
	mss := uint32(max(i.SendMSS, 1))
	segments := func(n int) uint32 { return (uint32(max(n, 0)) + mss - 1) / mss }
	t := unix.TCPInfo{
		State: linuxStates[i.State], Ca_state: caState(&i), Options: infoOptions(&i),
		Retransmits: uint8(i.Retries), Backoff: uint8(i.Backoff),
		Rto: micros(i.RTO), Ato: micros(k.sockets.Stack.Settings().DelayedAck),
		Snd_mss: uint32(i.SendMSS), Rcv_mss: uint32(i.ReceiveMSS), Pmtu: uint32(i.PathMTU), Advmss: uint32(i.ReceiveMSS),
		Unacked: segments(i.Flight), Sacked: segments(i.Sacked), Lost: segments(i.Lost + i.Resent), Retrans: segments(i.Resent), // what is lost stays so until it is acknowledged
		Last_data_recv: millis(k.silence(&i)),
		Rtt:            micros(i.RTT), Rttvar: micros(i.RTTVar), Min_rtt: micros(i.MinRTT),
		Snd_cwnd: uint32(i.Cwnd) / mss, Snd_ssthresh: infiniteSsthresh,
		Reordering: max(3, uint32(i.ReorderDegree)/mss), Total_retrans: uint32(i.Retransmits),
		Rcv_space: uint32(i.ReceiveBuffer), Rcv_ssthresh: uint32(i.ReceiveWindow), Snd_wnd: uint32(i.SendWindow), Rcv_wnd: uint32(i.ReceiveWindow),
		Pacing_rate: i.PacingRate, Max_pacing_rate: math.MaxUint64, Delivery_rate: i.DeliveryRate,
		Bytes_acked: i.BytesOut, Bytes_received: i.BytesIn, Segs_in: uint32(i.SegmentsIn), Segs_out: uint32(i.SegmentsOut),
		Notsent_bytes: uint32(i.Unsent), Dsack_dups: uint32(i.DSACKs),
		Busy_time: micro64(i.Busy), Rwnd_limited: micro64(i.WindowLimited), Sndbuf_limited: micro64(i.BufferLimited),
		Total_rto: uint16(i.TimeOuts), Rcv_ooopack: uint32(i.OutOfOrder),
	}
	if i.Ssthresh > 0 && i.Ssthresh < infiniteSsthresh {
		t.Snd_ssthresh = uint32(i.Ssthresh) / mss
	}
	if i.Reordering {
		t.Reord_seen = 1
	}
	return t
}

// silence is since when no text has come; as Linux has it, that begins with the connection.
func (k *socket) silence(i *tcp.Info) mono.Duration {
	if i.BytesIn == 0 {
		return k.sockets.now().Sub(k.since)
	}
	return i.LastText
}

func millis(d mono.Duration) uint32 { return uint32(d / mono.Millisecond) }

func micros(d mono.Duration) uint32 { return uint32(micro64(d)) }

func micro64(d mono.Duration) uint64 { return uint64(d / mono.Microsecond) }

func caState(i *tcp.Info) uint8 {
	switch {
	case i.InLoss:
		return caLoss
	case i.InRecovery:
		return caRecovery
	case i.Reduced:
		return caCWR
	case i.Sacked > 0:
		return caDisorder
	}
	return caOpen
}

func infoOptions(i *tcp.Info) (o uint8) {
	for _, x := range [...]struct {
		agreed bool
		bit    uint8
	}{{i.Timestamps, optTimestamps}, {i.SACK, optSACK}, {i.WindowScale, optWScale}, {i.ECN, optECN}} {
		if x.agreed {
			o |= x.bit
		}
	}
	return o
}

// memInfo is SO_MEMINFO: what is queued, and how much may be.
func (k *socket) memInfo() []byte {
	i, _ := k.inform()
	const vars = 9 // SK_MEMINFO_VARS
	var v [vars]uint32
	v[unix.SK_MEMINFO_RMEM_ALLOC], v[unix.SK_MEMINFO_RCVBUF] = uint32(i.Unread+i.OutOfOrder), uint32(i.ReceiveBuffer)
	v[unix.SK_MEMINFO_SNDBUF], v[unix.SK_MEMINFO_WMEM_QUEUED] = uint32(i.SendBuffer), uint32(i.Flight+i.Unsent)
	b, _ := binary.Append(nil, binary.NativeEndian, v)
	return b
}
