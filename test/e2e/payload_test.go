package e2e

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// random is the endless pseudorandom stream of a seed.
func random(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// payload is the first n bytes of a seed's stream.
func payload(seed uint64, n int) []byte {
	p := make([]byte, n)
	random(seed).Read(p)
	return p
}

// hashOf is the SHA-256 of the first n bytes of r.
func hashOf(r io.Reader, n int64) (string, error) {
	h := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, io.LimitReader(r, n), make([]byte, 256<<10)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// deadline is when a test stops waiting for what must happen.
func deadline() time.Time { return time.Now().Add(patience) }

// setDeadline bounds everything a test does on c.
func setDeadline(t *testing.T, c net.Conn, d time.Duration) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
}

// expectEOF reads c to its end, which must come without another byte.
func expectEOF(t *testing.T, c net.Conn) {
	t.Helper()
	setDeadline(t, c, patience)
	rest, err := io.ReadAll(c)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%d bytes (%.40q), %v; want the end", len(rest), rest, err)
	}
}
