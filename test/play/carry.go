package play

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
)

// Random is the first n bytes of a seed's pseudorandom stream.
func Random(seed uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	p := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(p) // never fails
	return p
}

// CarryBoth carries a text each way, at the same time.
func CarryBoth(a, b Conn, fromA, fromB []byte) error {
	other := make(chan error, 1)
	go func() { other <- Carry(b, a, fromB) }()
	return errors.Join(Carry(a, b, fromA), <-other)
}

// Carry writes a text to one connection and compares what comes out of another.
func Carry(from io.Writer, to io.Reader, text []byte) error {
	wrote := make(chan error, 1)
	go func() {
		_, err := from.Write(text)
		wrote <- err
	}()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(to, got); err != nil {
		return fmt.Errorf("read %d bytes of %d: %w", n, len(text), err)
	}
	if err := <-wrote; err != nil {
		return err
	}
	if !bytes.Equal(got, text) {
		return fmt.Errorf("%d bytes have arrived, not those that were sent", len(got))
	}
	return nil
}
