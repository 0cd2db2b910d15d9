package lib

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/socket"
)

// Text before the urgent text, urgent, and after it. Linux calls only the last byte of the urgent text urgent.
const urgentBefore, urgentLong, urgentAfter = 1000, 20_000, 500

// TestUrgentFromKernel: what the kernel sends with MSG_OOB stays in its place in the text, and its end is known before it
// is read (RFC 6093 section 3.1).
func TestUrgentFromKernel(t *testing.T) {
	need(t)
	s := newSpace(t)
	h := startHost(t, s, plan{})
	text := random(1, urgentBefore+urgentLong+urgentAfter)
	for _, o := range openings {
		t.Run(o.name, func(t *testing.T) {
			ours, theirs := h.pair(t, s, kernelIP, o.weDial, nil)
			if _, err := theirs.Write(text[:urgentBefore]); err != nil {
				t.Fatal(err)
			}
			end := urgentBefore + urgentLong
			control(t, theirs, func(fd int) error { return unix.Sendto(fd, text[urgentBefore:end], unix.MSG_OOB, nil) })
			awaitUrgent(t, ours)
			if n := ours.UrgentLeft(); n != end {
				t.Errorf("%d bytes urgent, of %d", n, end)
			}
			if _, err := theirs.Write(text[end:]); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(text))
			for _, part := range []struct{ from, to, left int }{{0, 400, end - 400}, {400, end - 1, 1}, {end - 1, len(text), 0}} {
				if _, err := io.ReadFull(ours, got[part.from:part.to]); err != nil {
					t.Fatal(err)
				}
				if n := ours.UrgentLeft(); n != part.left {
					t.Errorf("%d bytes urgent after %d have been read, want %d", n, part.to, part.left)
				}
			}
			if !bytes.Equal(got, text) {
				t.Error("the text is another")
			}
		})
	}
}

func awaitUrgent(t *testing.T, c *socket.Conn) {
	t.Helper()
	select {
	case <-c.Urgent():
	case <-time.After(patience):
		t.Fatal("no word of the urgent text")
	}
}

// TestUrgentToKernel: the kernel raises POLLPRI for our urgent text, its mark is where that ends, and all bytes come: the
// last urgent one out of line, or in line if the program wants that.
func TestUrgentToKernel(t *testing.T) {
	need(t)
	s := newSpace(t)
	h := startHost(t, s, plan{})
	for _, inline := range []bool{false, true} {
		for _, o := range openings {
			t.Run(fmt.Sprintf("in line %v, %s", inline, o.name), func(t *testing.T) {
				ours, theirs := h.pair(t, s, kernelIP, o.weDial, nil)
				if inline {
					control(t, theirs, func(fd int) error {
						return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
					})
				}
				text := random(2, urgentBefore+urgentLong+urgentAfter)
				sendUrgent(t, ours, text)
				control(t, theirs, awaitPRI)
				hearUrgent(t, theirs, text, inline)
			})
		}
	}
}

func sendUrgent(t *testing.T, c *socket.Conn, text []byte) {
	t.Helper()
	for _, part := range []struct {
		write func([]byte) (int, error)
		text  []byte
	}{
		{c.Write, text[:urgentBefore]},
		{c.WriteUrgent, text[urgentBefore : urgentBefore+urgentLong]},
		{c.Write, text[urgentBefore+urgentLong:]},
	} {
		if n, err := part.write(part.text); n != len(part.text) || err != nil {
			t.Fatalf("wrote %d bytes of %d: %v", n, len(part.text), err)
		}
	}
}

// awaitPRI waits until the kernel has the urgent byte.
func awaitPRI(fd int) error {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
	for {
		switch n, err := unix.Poll(p, int(patience/time.Millisecond)); {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0 || p[0].Revents&unix.POLLPRI == 0:
			return fmt.Errorf("poll tells of %#x, not of POLLPRI", p[0].Revents)
		default:
			return nil
		}
	}
}

// hearUrgent reads up to the mark, what is there, and on.
func hearUrgent(t *testing.T, c *net.TCPConn, text []byte, inline bool) {
	t.Helper()
	const mark = urgentBefore + urgentLong - 1
	got := make([]byte, 0, len(text))
	read := func(n int) {
		t.Helper()
		p := make([]byte, n)
		if _, err := io.ReadFull(c, p); err != nil {
			t.Fatal(err)
		}
		got = append(got, p...)
	}
	atMark := func(want int) {
		t.Helper()
		control(t, c, func(fd int) error {
			at, err := unix.IoctlGetInt(fd, unix.SIOCATMARK)
			if err == nil && at != want {
				t.Errorf("at the mark after %d bytes: %d, want %d", len(got), at, want)
			}
			return err
		})
	}
	read(urgentBefore)
	atMark(0)
	read(mark - urgentBefore)
	atMark(1)
	if inline {
		read(1)
	} else {
		control(t, c, func(fd int) error {
			var b [1]byte
			_, _, err := unix.Recvfrom(fd, b[:], unix.MSG_OOB)
			got = append(got, b[0])
			return err
		})
	}
	read(urgentAfter)
	atMark(0)
	if !bytes.Equal(got, text) {
		t.Error("the text is another")
	}
}
