package script

import (
	"strings"
	"testing"
)

// opened is the beginning of a script with a connection, in lines 1 to 7.
const opened = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 65535 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
`

// runText runs a script that expects everything.
func runText(t *testing.T, src string, o RunOptions) (transcript, fault string) {
	t.Helper()
	s, err := Parse("dir/x.pkt", src, nil)
	if err != nil {
		t.Fatal(err)
	}
	if transcript, err = Run(s, o); err != nil {
		fault = err.Error()
	}
	return transcript, fault
}

// TestDifferences: each kind of difference is found, in its line, and told as what was expected and what came.
func TestDifferences(t *testing.T) {
	for src, want := range map[string]string{
		"+0 close(4) = 0\n+0 > . 1:1(0) ack 1":                                        "x.pkt:9: expected > . 1:1(0) ack 1 at 0.100, got > F. 1:1(0) ack 1 at 0.100",
		"+0 close(4) = 0\n+0 > F. 2:2(0) ack 1":                                       "x.pkt:9: expected > F. 2:2(0) ack 1 at 0.100, got > F. 1:1(0) ack 1 at 0.100",
		"+0 close(4) = 0\n+0 > F. 1:1(0) ack 2":                                       "x.pkt:9: expected > F. 1:1(0) ack 2 at 0.100, got > F. 1:1(0) ack 1 at 0.100",
		"+0 close(4) = 0\n+0 > F. 1:1(0) ack 1 win 7":                                 "x.pkt:9: expected > F. 1:1(0) ack 1 win 7 at 0.100, got > F. 1:1(0) ack 1 win 65535 at 0.100",
		"+0 close(4) = 0\n+0 > [ect0] F. 1:1(0) ack 1":                                "x.pkt:9: expected > [ect0] F. 1:1(0) ack 1 at 0.100, got > [noecn] F. 1:1(0) ack 1 at 0.100",
		"+0 close(4) = 0\n+0 > [ttl 1] F. 1:1(0) ack 1":                               "x.pkt:9: expected > [ttl 1] F. 1:1(0) ack 1 at 0.100, got > [ttl 64] F. 1:1(0) ack 1 at 0.100",
		"+0 close(4) = 0\n+0 > F. 1:1(0) ack 1 <nop>":                                 "x.pkt:9: expected > F. 1:1(0) ack 1 <nop> at 0.100, got > F. 1:1(0) ack 1 at 0.100",
		"+0 close(4) = 0\n+0 > F. 1:1(0) ack 1 urg 1":                                 "x.pkt:9: expected > F. 1:1(0) ack 1 urg 1 at 0.100, got > F. 1:1(0) ack 1 at 0.100",
		"+0 close(4) = 0\n+.1 > F. 1:1(0) ack 1":                                      "x.pkt:9: expected > F. 1:1(0) ack 1 at 0.200, got > F. 1:1(0) ack 1 at 0.100",
		"+0 close(4) = 0\n+.1~+.2 > F. 1:1(0) ack 1":                                  "x.pkt:9: expected > F. 1:1(0) ack 1 at 0.200~0.300, got > F. 1:1(0) ack 1 at 0.100",
		"+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+.1 > P. 1:11(10) ack 1":  "x.pkt:10: expected > P. 1:11(10) ack 1 at 0.200, got > P. 1:11(10) ack 1 at 0.400056",
		"+0 > . 1:1(0) ack 1":                                                         "x.pkt:8: expected > . 1:1(0) ack 1 at 0.100, got nothing",
		"* > . 1:1(0) ack 1":                                                          "x.pkt:8: expected > . 1:1(0) ack 1, got nothing",
		"+0 close(4) = 0\n+1 < . 1:1(0) ack 2 win 1":                                  "x.pkt:9: expected nothing, got > F. 1:1(0) ack 1 win 65535 at 0.100",
		"+0 close(4) = 0":                                                             "x.pkt:8: expected nothing, got > F. 1:1(0) ack 1 win 65535 at 0.100",
		"+0 write(4, ..., 10) = 9":                                                    "x.pkt:8: expected write(4, ..., 10) = 9, got 10",
		"+0 write(4, ..., 10) = -1 EPIPE (Broken pipe)":                               "x.pkt:8: expected write(4, ..., 10) = -1 EPIPE, got 10",
		"+0 close(7) = 0":                                                             "x.pkt:8: expected close(7) = 0, got -1 EBADF (bad file descriptor)",
		"+0 close(7) = -1 EPIPE":                                                      "x.pkt:8: expected close(7) = -1 EPIPE, got -1 EBADF (bad file descriptor)",
		"+0 read(4, ..., 10) = 10":                                                    "x.pkt:8: expected read(4, ..., 10) = 10, got a call that does not return: one that returns later has its time, too, as in +0...1",
		"+0...0.3 read(4, ..., 10) = 10":                                              "x.pkt:8: expected read(4, ..., 10) = 10 at 0.400, it has not returned",
		"+0...0.3 read(4, ..., 10) = 10\n+.1 < P. 1:11(10) ack 1 win 1":               "x.pkt:8: expected read(4, ..., 10) = 10 at 0.400, got 10 at 0.200",
		"+0...0.3 write(4, ..., 10) = 10":                                             "x.pkt:8: expected write(4, ..., 10) = 10 at 0.400, got 10 at 0.100",
		"+0 < P. 1:4(3) ack 1 win 1\n+0 > . 1:1(0) ack 4\n+0 read(4, \"abc\", 3) = 3": `x.pkt:10: expected read(4, "abc", 3) = 3, got 3 with "\x00\x00\x00"`,
		"+0 getsockopt(4, SOL_SOCKET, SO_TYPE, [9], [4]) = 0":                         "x.pkt:8: expected getsockopt(4, SOL_SOCKET, SO_TYPE, [9], [4]) = 0, got 0 with [1]",
		"+0 ioctl(4, SIOCINQ, [7]) = 0":                                               "x.pkt:8: expected ioctl(4, SIOCINQ, [7]) = 0, got 0 with [0]",
		"+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLIN}], 1, 0) = 1":          "x.pkt:8: expected poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLIN}], 1, 0) = 1, got 1 with revents=POLLOUT of 4",
		"+0 getpeername(4, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr(\"192.0.2.1\")}, [16]) = 0": `x.pkt:8: expected getpeername(4, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("192.0.2.1")}, [16]) = 0, got 0 with 192.0.2.1:32769`,
		"+0 %{ assert tcpi_snd_mss == 7, tcpi_snd_mss }%":                                                        "x.pkt:8: assert tcpi_snd_mss == 7, tcpi_snd_mss is not true at 0.100: it is 1000",
		"+0 %{\nx = 2\nx += 1\nassert x < 3\n}%":                                                                 "x.pkt:11: assert x < 3 is not true at 0.100",
		"+0 %{ assert nobody == 1 }%":                                                                            "x.pkt:8: outside the subset: nobody in code",
		"0 close(4) = 0":                                                                                         "x.pkt:8: its time, 0.000, has passed: it is 0.100",
		"+0 write(4, ..., 999999999999) = 1":                                                                     "x.pkt:8: outside the subset: 999999999999 bytes in write",
		"+0 bind(4) = 0":                                                                                         "x.pkt:8: bind has 1 arguments, not more than 1",
		"+0 `nstat`":                                                                                             "x.pkt:8: outside the subset: the command nstat",
		"+0 `sysctl -q net.ipv4.tcp_sack=0`":                                                                     "x.pkt:8: outside the subset: settings that change between events: sysctl -q net.ipv4.tcp_sack=0",
	} {
		if _, got := runText(t, opened+src, RunOptions{Silence: true}); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", src, got, want)
		}
	}
}

// TestOptionsOfScripts: what the lines at the beginning, and commands there, mean.
func TestOptionsOfScripts(t *testing.T) {
	for src, want := range map[string]string{
		"--local_ip=10.0.0.1\n--remote_ip=10.0.0.2\n--bind_port=80\n" + opened + `+0 getsockname(4, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.1")}, [16]) = 0`: "",
		"--tolerance_usecs=200000\n" + opened + "+0 close(4) = 0\n+.15 > F. 1:1(0) ack 1":                                                                                               "",
		"--mtu=600\n" + opened:                                  "x.pkt:6: expected > S. 0:0(0) ack 1 <mss 1460> at 0.000, got > S. 0:0(0) ack 1 <mss 560> at 0.000",
		"--ip_version=ipv6\n" + opened:                          "x.pkt:1: outside the subset: --ip_version=ipv6",
		"--no_such\n" + opened:                                  "x.pkt:1: outside the subset: --no_such",
		"`../common/defaults.sh`\n" + opened:                    "",
		"`sysctl -q net.ipv4.tcp_fack=1`\n" + opened:            "x.pkt:1: outside the subset: the command sysctl -q net.ipv4.tcp_fack=1",
		"`sysctl -q net.ipv4.tcp_rmem=1`\n" + opened:            "x.pkt:1: outside the subset: the command sysctl -q net.ipv4.tcp_rmem=1",
		"`sysctl -w net.ipv6.x=1`\n" + opened:                   "x.pkt:1: outside the subset: the command sysctl -w net.ipv6.x=1",
		"`echo 3 > /sys/module/x`\n" + opened:                   "x.pkt:1: outside the subset: the command echo 3 > /sys/module/x",
		"`ip route add 1.2.3.4/32 dev tun0`\n" + opened:         "x.pkt:1: outside the subset: the command ip route add 1.2.3.4/32 dev tun0",
		"`tc qdisc add dev tun0 root pfifo limit 0`\n" + opened: "x.pkt:1: outside the subset: the command tc qdisc add dev tun0 root pfifo limit 0",
		"`ip tcp_metrics flush all > /dev/null 2>&1; ethtool -K tun0 tso off &> /dev/null || true\n" +
			"../common/set_sysctls.py /proc/sys/net/ipv4/tcp_timestamps=0 \\\n  /proc/sys/net/ipv4/tcp_rmem=\"4096 8192 16384\" # small\n" +
			"echo 1 > /proc/sys/net/ipv4/tcp_sack && sysctl -q net/ipv4/tcp_ecn=0`\n" + opened: "",
	} {
		if _, got := runText(t, src, RunOptions{}); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", src, got, want)
		}
	}
}

// TestPushes: PSH may differ where the caller says so, and nothing else with it.
func TestPushes(t *testing.T) {
	const src = opened + "+0 write(4, ..., 10) = 10\n+0 > . 1:11(10) ack 1"
	if _, got := runText(t, src, RunOptions{AnyPush: true}); got != "" {
		t.Error(got)
	}
	want := "x.pkt:9: expected > . 1:11(10) ack 1 at 0.100, got > P. 1:11(10) ack 1 at 0.100"
	if _, got := runText(t, src, RunOptions{}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestSuperframes: segments are taken for the packet that they make up, unless the script is strict.
func TestSuperframes(t *testing.T) {
	const src = opened + "+0 write(4, ..., 3000) = 3000\n+0 > P. 1:3001(3000) ack 1"
	if _, got := runText(t, src, RunOptions{}); got != "" {
		t.Error(got)
	}
	if _, got := runText(t, strings.Replace(src, "P. 1:3001", ". 1:3001", 1), RunOptions{}); got != "" {
		t.Error(got)
	}
	if _, got := runText(t, "--strict_segments\n"+src, RunOptions{AnyPush: true}); !strings.HasPrefix(got, "x.pkt:10: expected > P. 1:3001(3000) ack 1 at 0.100, got > P. 1:1001(1000) ack 1") {
		t.Error(got)
	}
}

// TestOverlooked: without Silence, packets that no event expects any more are overlooked, as packetdrill does.
func TestOverlooked(t *testing.T) {
	transcript, got := runText(t, opened+"+0 close(4) = 0\n+1 < . 1:1(0) ack 2 win 1", RunOptions{})
	if got != "" {
		t.Error(got)
	}
	if want := "0.100 close(4) = 0\n0.100 > F. 1:1(0) ack 1 win 65535\n0.400056 > F. 1:1(0) ack 1 win 65535\n"; !strings.Contains(transcript, want) {
		t.Errorf("the transcript is\n%s", transcript)
	}
}

// TestTranscript shows what happened up to the difference.
func TestTranscript(t *testing.T) {
	const want = `0.000 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
0.000 connect(3, ..., ...) ...
0.000 > S 0:0(0) win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 9>
0.100 < S. 0:0(0) ack 1 win 65535 <mss 1000>
0.100 > . 1:1(0) ack 1 win 65535
0.100 connect(3, ..., ...) = 0
0.150 assert tcpi_snd_mss == 1000
`
	const src = "`sysctl net.ipv4.tcp_timestamps=0`\n" + `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0...0.1 connect(3, ..., ...) = 0
+0 > S 0:0(0) <...>
+.1 < S. 0:0(0) ack 1 win 65535 <mss 1000>
+.05 %{ assert tcpi_snd_mss == 1000 }%
+0 > . 1:1(0) ack 1
`
	got, fault := runText(t, src, RunOptions{Silence: true})
	if wantFault := "x.pkt:6: expected nothing, got > . 1:1(0) ack 1 win 65535 at 0.100"; fault != wantFault {
		t.Errorf("%s, want %s", fault, wantFault)
	}
	if !strings.HasPrefix(want, got) || !strings.HasSuffix(got, "connect(3, ..., ...) = 0\n") {
		t.Errorf("got\n%s\nwant the beginning of\n%s", got, want)
	}
	if got, fault = runText(t, src, RunOptions{}); fault != "x.pkt:7: expected > . 1:1(0) ack 1 at 0.150, got > . 1:1(0) ack 1 at 0.100" || got != want {
		t.Errorf("%s after\n%s", fault, got)
	}
}

// TestGenerated: a script that a program has made up runs as one that was read.
func TestGenerated(t *testing.T) {
	s, err := Parse("", opened, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Events = append(s.Events,
		Event{Line: 70, When: When{Base: Before}, Packet: &Packet{In: true, Flags: flagBits[2], Range: Range{From: 2, To: 2}}},
		Event{Line: 71, When: When{Base: Before}, Packet: &Packet{Flags: flagBits[8], Range: Range{From: 1, To: 1}, Ack: 2}},
	)
	_, err = Run(s, RunOptions{})
	if want := "line 71: expected > . 1:1(0) ack 2 at 0.100, got > . 1:1(0) ack 1 at 0.100"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
