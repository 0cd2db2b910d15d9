package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tcpd-project/tcpd/pkg/control"
)

// ssTime is a length of time as ss has it for timers.
func ssTime(d time.Duration) string {
	switch {
	case d >= 10*time.Minute:
		return fmt.Sprintf("%dmin", d/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dmin%dsec", d/time.Minute, d%time.Minute/time.Second)
	case d >= 10*time.Second:
		return fmt.Sprintf("%dsec", d/time.Second)
	case d >= time.Second:
		return plainly(d.Seconds()) + "sec"
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

// ssRate is a rate in bits a second, as ss has it.
func ssRate(bytes uint64) string {
	bits := float64(bytes) * 8
	for _, unit := range []string{"bps", "Kbps", "Mbps"} {
		if bits < 1000 {
			return plainly(bits) + unit
		}
		bits /= 1000
	}
	return plainly(bits) + "Gbps"
}

// plainly is a number to three digits, never with an exponent.
func plainly(x float64) string {
	rounded, _ := strconv.ParseFloat(fmt.Sprintf("%.3g", x), 64) // it is a number
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// ssMillis is a length of time in milliseconds, as the kernel's own knowledge of it goes: to a microsecond.
func ssMillis(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Round(time.Microsecond).Microseconds())/1000, 'f', -1, 64)
}

// ssInfo is a line about a connection in the words of ss -i; what is 0 or no is left out there, too.
func ssInfo(i *control.Details) string {
	var parts []string
	say := func(is bool, format string, args ...any) {
		if is {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	mss := max(1, i.SendMSS)
	segments := func(bytes int) int { return (bytes + mss - 1) / mss }
	say(i.Timestamps, "ts")
	say(i.SACK, "sack")
	say(i.ECN, "ecn")
	say(i.AccurateECN, "accecn")
	say(true, "%s", i.Congestion)
	say(i.WindowScale, "wscale:%d,%d", i.SendScale, i.ReceiveScale)
	say(true, "rto:%s", ssMillis(i.RTO))
	say(i.Backoff > 0, "backoff:%d", i.Backoff)
	say(i.RTT > 0, "rtt:%s/%s", ssMillis(i.RTT), ssMillis(i.RTTVar))
	say(true, "mss:%d", i.SendMSS)
	say(true, "pmtu:%d", i.PathMTU)
	say(true, "rcvmss:%d", i.ReceiveMSS)
	say(i.Cwnd > 0, "cwnd:%d", i.Cwnd/mss)
	say(i.Ssthresh > 0 && i.Ssthresh < 1<<30, "ssthresh:%d", i.Ssthresh/mss)
	say(i.BytesOut > 0, "bytes_acked:%d", i.BytesOut)
	say(i.BytesIn > 0, "bytes_received:%d", i.BytesIn)
	say(true, "segs_out:%d segs_in:%d", i.SegmentsOut, i.SegmentsIn)
	say(i.LastText > 0, "lastrcv:%d", i.LastText.Milliseconds())
	say(i.PacingRate > 0, "pacing_rate %s", ssRate(i.PacingRate))
	say(i.DeliveryRate > 0, "delivery_rate %s", ssRate(i.DeliveryRate))
	say(i.Busy >= time.Millisecond, "busy:%dms", i.Busy.Milliseconds())
	say(i.WindowLimited >= time.Millisecond, "rwnd_limited:%dms", i.WindowLimited.Milliseconds())
	say(i.BufferLimited >= time.Millisecond, "sndbuf_limited:%dms", i.BufferLimited.Milliseconds())
	say(i.Flight > 0, "unacked:%d", segments(i.Flight))
	say(i.Retransmits > 0, "retrans:%d/%d", segments(i.Resent), i.Retransmits)
	say(i.Lost > 0, "lost:%d", segments(i.Lost))
	say(i.Sacked > 0, "sacked:%d", segments(i.Sacked))
	say(i.DSACKs > 0, "dsack_dups:%d", i.DSACKs)
	say(i.Unsent > 0, "notsent:%d", i.Unsent)
	say(i.OutOfOrder > 0, "rcv_ooo:%d", i.OutOfOrder)
	say(i.ReceiveBuffer > 0, "rcv_space:%d", i.ReceiveBuffer)
	say(true, "snd_wnd:%d rcv_wnd:%d", i.SendWindow, i.ReceiveWindow)
	say(i.MinRTT > 0, "minrtt:%s", ssMillis(i.MinRTT))
	return strings.Join(parts, " ")
}
