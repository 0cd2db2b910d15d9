// Package main, built with -buildmode=c-shared, is packetdrill's shared-object interface over our stack: the genuine tool
// (github.com/google/packetdrill) runs its scripts against it.
//
//	go build -buildmode=c-shared -o tcpd.so ./test/packetdrill
//	LD_PRELOAD=$PWD/tcpd.so packetdrill --so_filename=$PWD/tcpd.so --so_flags=namespace ... script.pkt
//
// # How
//
// Package bsd (pkg/tcptest/bsd) has the socket calls; this package hands them to C. Time is virtual: it stands still
// but for what the tool sleeps, and for a microsecond each time that it looks at the clock, so that a run is the same on a
// busy machine as on an idle one. A packet that is injected is taken in before the call returns, and what is sent is
// stamped as it leaves.
//
// A call that has to wait waits on the tool's second thread, as blocking calls of scripts do, and is made again after
// everything that happens on the first; that one goes on when the second waits again, or has returned and looked at the
// clock. Where the first thread itself has to wait, time passes up to the stack's next deadline.
//
// Descriptors are real ones, of /dev/null: the tool closes what a script leaves open.
//
// # Flags
//
// The value of --so_flags is a list with commas. rcvbuf=N and sndbuf=N are the buffers at first, in bytes; wscale, sack
// and timestamps, each with =0 or =1, say what is offered; congestion=NAME is the algorithm; local=ADDRESS is the
// address of the stack, 192.168.0.1 if there is none; mtu=N is that of its device. With namespace the stack takes its
// settings from the network namespace that the tool runs in, when the script opens its first socket, as the kernel would:
// from the sysctls of net.ipv4, which scripts set, and from whether a device tun0 segments (ethtool -K). Other flags come
// before these. The congestion control is never the namespace's: without a flag it is CUBIC, as the scripts want it.
//
// # TCP_INFO
//
// For the assertions of its scripts, %{ ... }%, the tool does not ask the shared object: it calls getsockopt itself, with
// the descriptor. No shared object can answer that, unless getsockopt is its own. So there is one here, which answers for
// our descriptors and hands all others to the kernel; it takes the place of the C library's where the object is loaded
// before the tool's start, with LD_PRELOAD. Without it, scripts with assertions end with "can't find getsockopt to get
// TCP info".
package main

func main() {} // a shared object has none
