package script

import (
	"errors"
	"testing"
)

// TestOutside: what is not of the subset is named, with its line.
func TestOutside(t *testing.T) {
	for src, want := range map[string]string{
		"0 open(\"/tmp/f\", O_RDONLY) = 5":                               "the call open",
		"\n\n0 < S 0:0(0) win 1 <mss 9,md5 00>":                          "md5 option",
		"0 > . 1:1(0) ack 1 <ECN e1b 1>":                                 "ECN option",
		"0 < udp (100)":                                                  "a packet with udp",
		"0 < ipv4 10.0.0.1 > 10.0.0.2: . 1:1(0) ack 1":                   "a packet with ipv4",
		"0 < gre: . 1:1(0)":                                              "a packet with gre",
		"0 < [flowlabel 0x1] . 1:1(0)":                                   "flowlabel",
		"0 < (tos 0x10) . 1:1(0)":                                        "tos",
		"0 < icmp packet_too_big mtu 1400":                               "icmp packet_too_big",
		"0 < icmp echo_request id 7":                                     "icmp echo_request",
		"0 < icmp unreachable host_unreachable [udp (10)]":               "icmp about udp",
		"0 > icmp unreachable":                                           "an ICMP message from the stack",
		"0 socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP) = 3":               "AF_INET6",
		"0 setsockopt(3, SOL_SOCKET, SO_ZEROCOPY, [1], 4) = 0":           "SO_ZEROCOPY",
		"0 bind(3, {sa_family = AF_INET, sin6_port = htons(1)}, 28) = 0": "the member sin6_port",
		"0 bind(3, {sin_addr = inet_pton(AF_INET)}, 28) = 0":             "inet_pton()",
		"0 write(3, \"ab\"..., 5) = 5":                                   "a string with ... behind it",
		"0 %{ import socket }%":                                          "import in code",
		"0 %{\nassert tcpi_rtt == 1\nassert f(2)\n}%":                    "f() in code",
		"0 %{ x[0] = 1 }%":                                               `'[' in code`,
		"0 %{ assert 'x }%":                                              "a string without end in code",
		"0 poll([[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]], 1, 0) = 1": "arguments as deep as these",
	} {
		_, err := Parse("dir/x.pkt", src, nil)
		if e, ok := errors.AsType[*Error](err); !ok || e.Outside != want {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
	_, err := Parse("dir/x.pkt", "0 close(3) = 0\n\n+0 < S 0:0(0) win 1 <md5 00>", nil)
	if want := "x.pkt:3: outside the subset: md5 option"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestSyntax: what is wrong is told, with its line.
func TestSyntax(t *testing.T) {
	for src, want := range map[string]string{
		"0":                                       "x:1: syntax: the end where a packet, a call, a command or code is expected",
		"0 ?":                                     "x:1: syntax: ? where a packet, a call, a command or code is expected",
		"+x close(3) = 0":                         "x:1: syntax: x where a time is expected",
		"+.2~+.1 > . 1:1(0) ack 1":                "x:1: syntax: a time from 200ms to 100ms",
		"+.1~.2 > . 1:1(0) ack 1":                 "x:1: syntax: .2 where + is expected",
		"9999999 close(3) = 0":                    "x:1: syntax: 9999999 is no time in seconds",
		"0 < Q 1:1(0)":                            "x:1: syntax: Q are no flags: Q is none of FSRPUEWA.",
		"0 < 1:1(0)":                              "x:1: syntax: : where > is expected",
		"0 < S 1:1":                               "x:1: syntax: the end where ( is expected",
		"0 < . 1:9(10) ack 1":                     "x:1: syntax: 1:9 is 8 bytes, not 10",
		"0 < . 1:100001(100000) ack 1":            "x:1: syntax: 100000 bytes are more than a packet takes",
		"0 < P 1:1(0) ack 1":                      "x:1: syntax: ack without the flag .",
		"0 < . 1:1(0) ack 1 win 65536":            "x:1: syntax: 65536 is no win of 16 bits",
		"0 < S 0:0(0) win 1 <mss 1 nop>":          "x:1: syntax: nop where , is expected",
		"0 < . 1:1(0) <sack>":                     "x:1: syntax: 0 SACK blocks: an option holds one to four",
		"0 < S 0:0(0) <FO 123>":                   "x:1: syntax: 123 is no cookie: an even number of hexadecimal digits is wanted",
		"0 < [ect2] . 1:1(0)":                     "x:1: syntax: ect2 is no field of the IP header",
		"0 close(3 = 0":                           "x:1: syntax: = where , is expected",
		"0 close(3)":                              "x:1: syntax: the end where = is expected",
		"0 close(3) = -1 EWHAT":                   "x:1: syntax: EWHAT is no error",
		"0 close(3) = 0 (a note":                  "x:1: syntax: the end where ) is expected",
		"0 write(3, \"\\q\", 1) = 1":              "x:1: syntax: \"\\\\q\" is no string",
		"// one\n/* two\nthree */ 0 `sysctl":      "x:3: ` without `",
		"/* one":                                  "x:1: /* without */",
		"# one\n0 %{ assert 1":                    "x:2: %{ without }%",
		"0 bind(3, {htons(1, 2)=3}, 4) = 0":       "x:1: syntax: 3 where the name of a member is expected",
		"--tolerance_usecs=1\n0 --mtu=1500 = 1\n": "x:2: syntax: --mtu where a packet, a call, a command or code is expected",
	} {
		if _, err := Parse("x", src, nil); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
	}
}

// TestPrinted: a script as it is printed, with everything that the language has.
func TestPrinted(t *testing.T) {
	const src = `
--tolerance_usecs=1000 // of the clock
--strict_segments
--define=PORT=8080
` + "`../common/defaults.sh`" + `
  0 	socket ( ... , SOCK_STREAM|SOCK_NONBLOCK,IPPROTO_TCP)=3 # a socket
.5 ... 1.250 accept(3, ..., ...) = -1 EAGAIN (Resource  temporarily unavailable)
+0 fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)
+.25 bind(3, {sa_family = AF_INET, sin_port = htons(PORT), sin_addr = inet_addr("10.0.0.1")}, 16) = 0
+0 recvmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 10}, {"a\x00\"", 3}], msg_flags=0}, -010) = ?
+0.1~+.2 < [ect0,ttl 3] 5000 > PORT SEWA 4294967295:4294967295(0) win 65535 urg 1 <mss 1460,nop,wscale 7,sackOK,eol>
1~2 > FRPU. 1:11(10) ack 5 <TS val 1 ecr 2,sack 1:2 3:4,FO,FOEXP 0aff>
* > - 1:1(0) <...>
+0 < icmp unreachable frag_needed mtu 1200 [1:1001(1000)]
+0 < icmp time_exceeded ttl
+0 %{ assert tcpi_rtt == 1, tcpi_rtt }%
+1 ` + "`sysctl -q a=b`" + `
`
	const want = "--tolerance_usecs=1000\n--strict_segments\n--define=PORT=8080\n`../common/defaults.sh`\n" +
		`0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
0.5...1.25 accept(3, ..., ...) = -1 EAGAIN (Resource temporarily unavailable)
+0 fcntl(3, F_GETFL) = 2 (flags O_RDWR)
+0.25 bind(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("10.0.0.1")}, 16) = 0
+0 recvmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 10}, {"a\x00\"", 3}], msg_flags=0}, -10) = ...
+0.1~+0.2 < [ect0,ttl 3] 5000 > 8080 SEWA 4294967295:4294967295(0) win 65535 urg 1 <mss 1460,nop,wscale 7,sackOK,eol>
1~2 > FRPU. 1:11(10) ack 5 <TS val 1 ecr 2,sack 1:2 3:4,FO,FOEXP 0aff>
* > - 1:1(0) <...>
+0 < icmp unreachable frag_needed mtu 1200 [1:1001(1000)]
+0 < icmp time_exceeded ttl
+0 %{ assert tcpi_rtt == 1, tcpi_rtt }%
` + "+1 `sysctl -q a=b`\n"
	s, err := Parse("x", src, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if e := s.Events[3]; e.Line != 8 {
		t.Errorf("line %d of %s", e.Line, e.String())
	}
}

// TestDefines: words that the caller defines.
func TestDefines(t *testing.T) {
	s, err := Parse("x", "0 < icmp unreachable CODE\n0 < S 0:0(0) win 1 <FO COOKIE>", map[string]string{"CODE": "host_unreachable", "COOKIE": "00abaaabe8e954c2"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.String(), "0 < icmp unreachable host_unreachable\n0 < S 0:0(0) win 1 <FO 00abaaabe8e954c2>\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
