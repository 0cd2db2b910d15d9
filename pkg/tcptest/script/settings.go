package script

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcptest/bsd"
)

// settings are what a script's commands set.
type settings struct {
	tcp    tcp.Settings
	limits stack.Limits
	// fastOpen are the bits of Linux's tcp_fastopen.
	fastOpen uint64
	key      *cookieKey // of Linux's cookies; nil: not known
}

// The bits of tcp_fastopen.
const (
	fastOpenClient = 1
	fastOpenServer = 2
	fastOpenAll    = 0x400 // listeners take cookies without having asked for it
)

func newSettings() *settings {
	return &settings{tcp: bsd.LinuxSettings(), fastOpen: fastOpenClient}
}

// sysctl sets one of net.ipv4's settings. It reports false for one that the stack does not have, or not so.
func (s *settings) sysctl(name, value string) bool {
	if f, ok := sysctls[name]; ok {
		return f(s, strings.Fields(value))
	}
	if values, ok := fixed[name]; ok {
		return values == nil || slices.Contains(values, value)
	}
	return false
}

// sysctls are the settings that mean something to the stack.
var sysctls = map[string]func(s *settings, v []string) bool{
	"tcp_timestamps":     flag(func(s *settings) *bool { return &s.tcp.Timestamps }),
	"tcp_sack":           flag(func(s *settings) *bool { return &s.tcp.SACK }),
	"tcp_window_scaling": flag(func(s *settings) *bool { return &s.tcp.WindowScale }),

	"tcp_syn_retries":      small(func(s *settings) *uint8 { return &s.tcp.SynRetries }),
	"tcp_synack_retries":   small(func(s *settings) *uint8 { return &s.tcp.SynAckRetries }),
	"tcp_retries1":         small(func(s *settings) *uint8 { return &s.tcp.Retries1 }),
	"tcp_retries2":         small(func(s *settings) *uint8 { return &s.tcp.Retries2 }),
	"tcp_orphan_retries":   small(func(s *settings) *uint8 { return &s.tcp.OrphanRetries }),
	"tcp_keepalive_probes": small(func(s *settings) *uint8 { return &s.tcp.KeepCount }),

	"tcp_fin_timeout":     length(mono.Second, func(s *settings) *mono.Duration { return &s.tcp.FinTimeout }),
	"tcp_keepalive_time":  length(mono.Second, func(s *settings) *mono.Duration { return &s.tcp.KeepIdle }),
	"tcp_keepalive_intvl": length(mono.Second, func(s *settings) *mono.Duration { return &s.tcp.KeepInterval }),
	"tcp_rto_min_us":      length(mono.Microsecond, func(s *settings) *mono.Duration { return &s.tcp.RTOMin }),
	"tcp_rto_max_ms":      length(mono.Millisecond, func(s *settings) *mono.Duration { return &s.tcp.RTOMax }),

	"tcp_rmem": func(s *settings, v []string) bool {
		return sizes(v, &s.tcp.ReceiveBuffer, &s.tcp.ReceiveBufferMax, 2) // half of it is Linux's overhead
	},
	"tcp_wmem": func(s *settings, v []string) bool {
		return sizes(v, &s.tcp.SendBuffer, &s.tcp.SendBufferMax, 1)
	},
	"tcp_ecn": func(s *settings, v []string) bool {
		return choose(v, &s.tcp.ECN, map[string]tcp.ECN{
			"0": tcp.ECNOff, "1": tcp.ECNOn, "2": tcp.ECNPassive, "3": tcp.ECNAccurate, "5": tcp.ECNPassive,
		})
	},
	"tcp_mtu_probing": func(s *settings, v []string) bool {
		return choose(v, &s.tcp.MTUProbing, map[string]tcp.MTUProbing{
			"0": tcp.MTUProbingOff, "1": tcp.MTUProbingBlackHole, "2": tcp.MTUProbingOn,
		})
	},
	"tcp_congestion_control": func(s *settings, v []string) bool {
		a, ok := bsd.LinuxCongestion(v[0])
		if ok {
			s.tcp.Congestion = a
		}
		return ok
	},
	"tcp_syncookies": func(s *settings, v []string) bool {
		return choose(v, &s.limits.HalfOpen, map[string]int{"1": 0, "2": -1})
	},
	"tcp_fastopen": func(s *settings, v []string) (ok bool) {
		bits, err := strconv.ParseUint(v[0], 0, 32)
		s.fastOpen = bits
		const without = 4 | 0x200 // cookies
		return err == nil && bits&without == 0
	},
	"tcp_fastopen_key": func(s *settings, v []string) bool {
		k, ok := parseCookieKey(v[0])
		s.key = &k
		return ok
	},
}

// fixed are settings that the stack does not have: where its ways are those of some values, these are taken; nil: what
// is set makes no difference to a single connection without offload.
var fixed = map[string][]string{
	"tcp_dsack": {"1"}, "tcp_fack": {"0"}, "tcp_frto": {"1", "2"}, "tcp_recovery": {"1"}, "tcp_early_retrans": {"3", "4"},
	"tcp_reordering": {"3"}, "tcp_slow_start_after_idle": {"1"}, "tcp_abort_on_overflow": {"0"}, "tcp_rfc1337": {"1"},
	"tcp_no_metrics_save": nil, "tcp_tso_win_divisor": nil, "tcp_min_tso_segs": nil, "tcp_pacing_ss_ratio": nil, "tcp_pacing_ca_ratio": nil,
	"tcp_autocorking": nil, "tcp_ecn_fallback": {"1"}, "tcp_ecn_option": {"0"}, "tcp_moderate_rcvbuf": {"1"}, "tcp_stdurg": {"0"},
	"tcp_fastopen_blackhole_timeout_sec": nil, "tcp_notsent_lowat": {"4294967295", "-1"}, "tcp_invalid_ratelimit": {"500"},
	"tcp_max_orphans": nil, "tcp_max_syn_backlog": nil, "tcp_base_mss": {"1024"}, "tcp_challenge_ack_limit": nil, "tcp_limit_output_bytes": nil,
	"tcp_retrans_collapse": nil, "ip_no_pmtu_disc": {"0"}, "tcp_tw_reuse": nil, "tcp_thin_linear_timeouts": {"0"}, "tcp_adv_win_scale": nil,
	"tcp_workaround_signed_windows": {"0"}, "tcp_max_tw_buckets": nil, "tcp_available_congestion_control": nil, "tcp_shrink_window": {"0"},
	"tcp_comp_sack_nr": nil, "tcp_comp_sack_delay_ns": nil, "tcp_app_win": nil, "tcp_tsq_enable": nil,
}

func flag(field func(*settings) *bool) func(*settings, []string) bool {
	return func(s *settings, v []string) bool {
		return choose(v, field(s), map[string]bool{"0": false, "1": true})
	}
}

func small(field func(*settings) *uint8) func(*settings, []string) bool {
	return func(s *settings, v []string) bool {
		n, err := strconv.ParseUint(v[0], 10, 8)
		*field(s) = uint8(n)
		return err == nil
	}
}

func length(unit mono.Duration, field func(*settings) *mono.Duration) func(*settings, []string) bool {
	return func(s *settings, v []string) bool {
		n, err := strconv.ParseUint(v[0], 10, 31)
		*field(s) = mono.Duration(n) * unit
		return err == nil && n > 0
	}
}

func choose[T any](v []string, field *T, values map[string]T) bool {
	x, ok := values[v[0]]
	*field = x
	return ok
}

// sizes reads the least, the first and the largest size of a buffer, in bytes.
func sizes(v []string, first, most *int, overhead int) bool {
	if len(v) != 3 {
		return false
	}
	a, errA := strconv.ParseUint(v[1], 10, 31)
	b, errB := strconv.ParseUint(v[2], 10, 31)
	*first, *most = int(a)/overhead, int(b)
	return errA == nil && errB == nil && a > 0 && b > 0
}

// defaults are what the script common/defaults.sh of the public collection sets, as far as it means something here.
var defaults = [][2]string{
	{"tcp_rmem", "4096 540000 15728640"}, {"tcp_wmem", "4096 262144 4194304"}, {"tcp_timestamps", "1"}, {"tcp_syn_retries", "5"},
	{"tcp_synack_retries", "5"}, {"tcp_sack", "1"}, {"tcp_congestion_control", "cubic"}, {"tcp_ecn", "0"}, {"tcp_fastopen", "0x70403"},
	{"tcp_fastopen_key", "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"},
	{"tcp_syncookies", "1"},
}
