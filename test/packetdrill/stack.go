package main

// #include "calls.h"
import "C"

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcptest/bsd"
)

// The one stack, under the lock of clock.c.
var (
	asked   setup
	sockets *bsd.Sockets // nil until the first socket is opened
	wire    *bsd.Wire
	sent    []packet // and not yet asked for
)

// packet is one that has left the stack.
type packet struct {
	at   mono.Time
	data []byte
}

func now() mono.Time { return mono.Time(C.clock_ns) }

//export tcpdBegin
func tcpdBegin(flags *C.char) {
	var err error
	if asked, err = parseFlags(C.GoString(flags)); err != nil {
		fmt.Fprintln(os.Stderr, "tcpd.so:", err)
		os.Exit(2)
	}
	sockets, sent = nil, nil
}

// begin makes the stack, once.
func begin() error {
	if sockets != nil {
		return nil
	}
	if asked.namespace {
		asked.readNamespace()
	}
	wire = &bsd.Wire{Now: now, Split: asked.split, Out: func(at mono.Time, data []byte) { sent = append(sent, packet{at, data}) }}
	var secrets [2]tcp.Secret
	if err := binary.Read(rand.Reader, binary.NativeEndian, &secrets); err != nil {
		return err
	}
	var err error
	sockets, err = bsd.New(stack.Config{
		Link: wire.Link(asked.mtu, true), Addrs: []netip.Prefix{netip.PrefixFrom(asked.local, 32)},
		TCP: asked.tcp, Secrets: secrets, Now: now,
	}, bsd.Options{
		NotSentLowat: asked.lowat,
		Number:       func() (int, error) { return unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0) },
		Release:      func(fd int) { _ = unix.Close(fd) },
	})
	return err
}

//export tcpdTurn
func tcpdTurn() {
	if sockets != nil {
		_, _ = sockets.Turn() // the wire is never closed
	}
}

//export tcpdDeadline
func tcpdDeadline() C.int64_t {
	if sockets == nil {
		return C.int64_t(mono.Never)
	}
	return C.int64_t(sockets.Deadline())
}

//export tcpdDeliver
func tcpdDeliver(p unsafe.Pointer, n C.size_t) C.long {
	if sockets != nil {
		wire.Deliver(append([]byte(nil), bytesAt(p, int(n))...))
		tcpdTurn()
	}
	return 0
}

//export tcpdSent
func tcpdSent(p unsafe.Pointer, n *C.size_t, at *C.longlong) C.int {
	if len(sent) == 0 {
		return 0
	}
	first := sent[0]
	sent = sent[1:]
	*n = C.size_t(copy(bytesAt(p, int(*n)), first.data))
	*at = C.longlong(first.at / mono.Time(mono.Microsecond))
	return 1
}
