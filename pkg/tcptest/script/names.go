package script

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/ip"
)

// errnos are the errors that scripts name.
var errnos = func() map[string]syscall.Errno {
	m := map[string]syscall.Errno{}
	for e := syscall.Errno(1); e < 134; e++ {
		if name := unix.ErrnoName(e); name != "" {
			m[name] = e
		}
	}
	m["EWOULDBLOCK"], m["EOPNOTSUPP"] = syscall.EAGAIN, syscall.EOPNOTSUPP
	delete(m, "ENOTSUP")
	return m
}()

// constants are the names of C's headers that mean a number.
var constants = map[string]int64{
	"AF_INET": unix.AF_INET, "PF_INET": unix.AF_INET, "AF_UNSPEC": unix.AF_UNSPEC, "NULL": 0,
	"SOCK_STREAM": unix.SOCK_STREAM, "SOCK_NONBLOCK": unix.SOCK_NONBLOCK, "SOCK_CLOEXEC": unix.SOCK_CLOEXEC,
	"IPPROTO_TCP": unix.IPPROTO_TCP, "IPPROTO_IP": unix.IPPROTO_IP,

	"SOL_SOCKET": unix.SOL_SOCKET, "SOL_TCP": unix.SOL_TCP, "SOL_IP": unix.SOL_IP,
	"SO_REUSEADDR": unix.SO_REUSEADDR, "SO_REUSEPORT": unix.SO_REUSEPORT, "SO_ERROR": unix.SO_ERROR, "SO_TYPE": unix.SO_TYPE,
	"SO_SNDBUF": unix.SO_SNDBUF, "SO_RCVBUF": unix.SO_RCVBUF, "SO_KEEPALIVE": unix.SO_KEEPALIVE, "SO_LINGER": unix.SO_LINGER,
	"SO_OOBINLINE": unix.SO_OOBINLINE,
	"SO_RCVLOWAT":  unix.SO_RCVLOWAT, "SO_ACCEPTCONN": unix.SO_ACCEPTCONN, "SO_PROTOCOL": unix.SO_PROTOCOL,
	"SO_DOMAIN": unix.SO_DOMAIN, "SO_PRIORITY": unix.SO_PRIORITY,
	"SO_MARK": unix.SO_MARK,

	"TCP_NODELAY": unix.TCP_NODELAY, "TCP_MAXSEG": unix.TCP_MAXSEG, "TCP_CORK": unix.TCP_CORK, "TCP_KEEPIDLE": unix.TCP_KEEPIDLE,
	"TCP_KEEPINTVL": unix.TCP_KEEPINTVL, "TCP_KEEPCNT": unix.TCP_KEEPCNT, "TCP_SYNCNT": unix.TCP_SYNCNT, "TCP_LINGER2": unix.TCP_LINGER2,
	"TCP_DEFER_ACCEPT": unix.TCP_DEFER_ACCEPT, "TCP_WINDOW_CLAMP": unix.TCP_WINDOW_CLAMP,
	"TCP_QUICKACK": unix.TCP_QUICKACK, "TCP_CONGESTION": unix.TCP_CONGESTION, "TCP_USER_TIMEOUT": unix.TCP_USER_TIMEOUT,
	"TCP_FASTOPEN": unix.TCP_FASTOPEN, "TCP_FASTOPEN_CONNECT": unix.TCP_FASTOPEN_CONNECT,
	"TCP_NOTSENT_LOWAT": unix.TCP_NOTSENT_LOWAT, "TCP_INQ": unix.TCP_INQ,
	"TCP_CM_INQ": unix.TCP_CM_INQ,

	"IP_TOS": unix.IP_TOS, "IP_TTL": unix.IP_TTL, "IP_MTU_DISCOVER": unix.IP_MTU_DISCOVER, "IP_MTU": unix.IP_MTU, "IP_RECVERR": unix.IP_RECVERR,
	"IP_FREEBIND": unix.IP_FREEBIND, "IP_BIND_ADDRESS_NO_PORT": unix.IP_BIND_ADDRESS_NO_PORT,
	"IP_PMTUDISC_DONT": unix.IP_PMTUDISC_DONT, "IP_PMTUDISC_WANT": unix.IP_PMTUDISC_WANT, "IP_PMTUDISC_DO": unix.IP_PMTUDISC_DO,
	"INADDR_ANY": 0,

	"MSG_PEEK": unix.MSG_PEEK, "MSG_OOB": unix.MSG_OOB, "MSG_DONTWAIT": unix.MSG_DONTWAIT, "MSG_WAITALL": unix.MSG_WAITALL,
	"MSG_MORE": unix.MSG_MORE, "MSG_NOSIGNAL": unix.MSG_NOSIGNAL, "MSG_TRUNC": unix.MSG_TRUNC, "MSG_FASTOPEN": unix.MSG_FASTOPEN,
	"MSG_EOR": unix.MSG_EOR, "MSG_CTRUNC": unix.MSG_CTRUNC,
	"MSG_DONTROUTE": unix.MSG_DONTROUTE, "MSG_CMSG_CLOEXEC": unix.MSG_CMSG_CLOEXEC,

	"SHUT_RD": unix.SHUT_RD, "SHUT_WR": unix.SHUT_WR, "SHUT_RDWR": unix.SHUT_RDWR,
	"F_GETFL": unix.F_GETFL, "F_SETFL": unix.F_SETFL, "F_GETFD": unix.F_GETFD, "F_SETFD": unix.F_SETFD, "FD_CLOEXEC": unix.FD_CLOEXEC,
	"O_RDONLY": unix.O_RDONLY, "O_WRONLY": unix.O_WRONLY, "O_RDWR": unix.O_RDWR, "O_NONBLOCK": unix.O_NONBLOCK,
	"SIOCINQ": unix.SIOCINQ, "SIOCOUTQ": unix.SIOCOUTQ, "SIOCOUTQNSD": 0x894b, "FIONREAD": unix.SIOCINQ, "FIONBIO": 0x5421, "SIOCATMARK": 0x8905,

	"POLLIN": unix.POLLIN, "POLLOUT": unix.POLLOUT, "POLLERR": unix.POLLERR, "POLLHUP": unix.POLLHUP, "POLLPRI": unix.POLLPRI,
	"POLLRDHUP": unix.POLLRDHUP, "POLLNVAL": unix.POLLNVAL, "POLLRDNORM": unix.EPOLLRDNORM, "POLLWRNORM": unix.EPOLLWRNORM,
	"EPOLLIN": unix.EPOLLIN, "EPOLLOUT": unix.EPOLLOUT, "EPOLLERR": unix.EPOLLERR, "EPOLLHUP": unix.EPOLLHUP, "EPOLLPRI": unix.EPOLLPRI,
	"EPOLLRDHUP": unix.EPOLLRDHUP, "EPOLLET": unix.EPOLLET, "EPOLLONESHOT": unix.EPOLLONESHOT, "EPOLLEXCLUSIVE": unix.EPOLLEXCLUSIVE,
	"EPOLLRDNORM": unix.EPOLLRDNORM, "EPOLLWRNORM": unix.EPOLLWRNORM,
	"EPOLL_CTL_ADD": unix.EPOLL_CTL_ADD, "EPOLL_CTL_DEL": unix.EPOLL_CTL_DEL, "EPOLL_CTL_MOD": unix.EPOLL_CTL_MOD,
	"EPOLL_CLOEXEC": unix.EPOLL_CLOEXEC,
}

// icmpTypes are RFC 792's types of errors with their codes (RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1).
var icmpTypes = map[string]struct {
	number uint8
	codes  map[string]uint8
}{
	"unreachable": {ip.ICMPUnreachable, map[string]uint8{
		"net_unreachable": 0, "host_unreachable": 1, "protocol_unreachable": 2, "port_unreachable": 3, "frag_needed": 4,
		"source_route_failed": 5, "net_unknown": 6, "host_unknown": 7, "source_host_isolated": 8, "net_prohibited": 9,
		"host_prohibited": 10, "net_unreachable_for_tos": 11, "host_unreachable_for_tos": 12, "packet_filtered": 13,
		"precedence_violation": 14, "precedence_cutoff": 15,
	}},
	"source_quench":     {ip.ICMPSourceQuench, nil},
	"time_exceeded":     {ip.ICMPTimeExceeded, map[string]uint8{"ttl": 0, "reassembly": 1}},
	"parameter_problem": {ip.ICMPParameterProblem, nil},
}

// icmpNumbers are the numbers of a message's names.
func icmpNumbers(m *ICMP) (typ, code uint8, ok bool) {
	t, ok := icmpTypes[m.Type]
	if !ok || m.Code == "" {
		return t.number, 0, ok
	}
	code, ok = t.codes[m.Code]
	return t.number, code, ok
}
