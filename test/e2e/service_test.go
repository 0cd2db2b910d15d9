package e2e

import (
	"bytes"
	"io"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/test/space"
)

// TestEcho: RFC 862, with writes of random sizes.
func TestEcho(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.dial(echoPort)
	setDeadline(t, c, time.Minute)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 500 {
		size := 1 << r.IntN(18)
		if err := space.RoundTrip(c, payload(uint64(i), size+r.IntN(size))); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
}

// TestDiscard: RFC 863. Everything goes in, nothing comes out.
func TestDiscard(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.dial(discardPort)
	setDeadline(t, c, time.Minute)
	if _, err := io.CopyN(c, random(3), 64<<20); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite()
	expectEOF(t, c)
	d.waitState(name(c), "CLOSED")
	d.checkPath(name(c), passiveOpen, peerCloses)
}

// TestDaytime: RFC 867. One line of printing characters, then the end.
func TestDaytime(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.dial(daytimePort)
	setDeadline(t, c, patience)
	text := must[[]byte](t)(io.ReadAll(c))
	if !regexp.MustCompile(`^[ -~]+\r\n$`).Match(text) {
		t.Errorf("%q is not one line of ASCII", text)
	}
	if year := time.Now().UTC().Format("2006"); !bytes.Contains(text, []byte(year)) {
		t.Errorf("%q lacks the year %s", text, year)
	}
}

// TestChargen: RFC 864's pattern, lines of 72 out of a ring of the 95 printing characters, each beginning one
// character after the last one.
func TestChargen(t *testing.T) {
	need(t)
	t.Parallel()
	const lines, length = 1 << 20, 74
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.dial(chargenPort)
	setDeadline(t, c, time.Minute)
	got := make([]byte, length)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	first := int(got[0] - ' ')
	chunk := make([]byte, 1024*length)
	for i := 1; i < lines; i += 1024 {
		if _, err := io.ReadFull(c, chunk); err != nil {
			t.Fatal(err)
		}
		for j := range 1024 {
			got := chunk[j*length:][:length]
			if want := chargenLine(first + i + j); !bytes.Equal(got, want) {
				t.Fatalf("line %d is %q, want %q", i+j, got, want)
			}
		}
	}
	c.Close() // with text unread: the kernel sends RST
	d.waitState(name(c), "CLOSED")
	d.checkPath(name(c), passiveOpen, []string{"ESTABLISHED RcvRST CLOSED"})
}

func chargenLine(i int) []byte {
	line := make([]byte, 0, 74)
	for j := range 72 {
		line = append(line, ' '+byte((i+j)%95))
	}
	return append(line, "\r\n"...)
}
