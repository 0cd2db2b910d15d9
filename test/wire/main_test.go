// Package wire holds the stack against the kernel's TCP across wires that are not what they should be, and lets
// tshark say what it thinks of our segments. Each test has network namespaces of its own, which end with the test,
// however that ends.
package wire

import (
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/test/space"
)

var (
	size = 64 * config.MiB
	seed = flag.Uint64("seed", 1, "what the faults and the text of TestMessyWire are drawn from")
)

func init() { flag.TextVar(&size, "bytes", size, "what TestMessyWire carries each way, such as 10GiB") }

// patience is how long a test waits for something that must happen. It is no measurement: a healthy run never comes
// near it.
const patience = 30 * time.Second

func deadline() time.Time { return time.Now().Add(patience) }

// A short name for what every test begins with.
var need = space.Need

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// random is the endless pseudorandom stream of a seed.
func random(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}
