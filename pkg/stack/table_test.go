package stack

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

type tabled struct {
	table
	entries []entry
	secret  tcp.Secret
}

func newTabled(n int) *tabled {
	t := &tabled{entries: make([]entry, n+1), secret: tcp.Secret{1, 2}}
	t.table = newTable(func(r ref) *entry { return &t.entries[r] }, func(e *entry) uint64 { f := e.flow(); return t.secret.Hash(&f) })
	return t
}

func flowOf(i int) Flow {
	return Flow{Local: ip.V4([4]byte{10, 7, 0, 2}), Remote: ip.V4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), LocalPort: 80, RemotePort: uint16(i%60000 + 1)}
}

func (t *tabled) put(i int) {
	f := flowOf(i)
	t.entries[i].key = keyOf(&f)
	t.insert(t.secret.Hash(&f), ref(i))
}

func (t *tabled) get(i int) ref {
	f := flowOf(i)
	return t.find(t.secret.Hash(&f), keyOf(&f))
}

// The table says what a map says, while it grows and shrinks.
func TestTable(t *testing.T) {
	const n = 30000
	tab := newTabled(n)
	r := rand.New(rand.NewPCG(3, 4))
	in := map[int]bool{}
	for range 5 * n {
		i := r.IntN(n) + 1
		if in[i] {
			f := flowOf(i)
			tab.remove(tab.secret.Hash(&f), ref(i))
			delete(in, i)
		} else {
			tab.put(i)
			in[i] = true
		}
	}
	for i := 1; i <= n; i++ {
		if got := tab.get(i); (got == ref(i)) != in[i] || got != 0 && got != ref(i) {
			t.Fatalf("flow %d: found %d, in is %v", i, got, in[i])
		}
	}
	if tab.count != len(in) {
		t.Errorf("count is %d of %d", tab.count, len(in))
	}
}

// full returns a table of n flows.
func full(n int) *tabled {
	tab := newTabled(n)
	for i := 1; i <= n; i++ {
		tab.put(i)
	}
	return tab
}

// Finding a flow allocates nothing, nor does one that comes where another went.
func TestTableAllocatesNothing(t *testing.T) {
	const n = 10000
	tab, i := full(n), 0
	if a := testing.AllocsPerRun(1000, func() {
		i = i%n + 1
		f := flowOf(i)
		tab.remove(tab.secret.Hash(&f), ref(i))
		tab.put(i)
		if tab.get(i) != ref(i) {
			t.Fatal("lost")
		}
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func skipMany(b *testing.B, n int) {
	if testing.Short() && n > 1000 {
		b.Skip("shortened: more than 1,000 flows take a while to put in")
	}
}

func BenchmarkTableFind(b *testing.B) {
	for _, n := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprintf("flows=%d", n), func(b *testing.B) {
			skipMany(b, n)
			tab := full(n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if tab.get(i*7919%n+1) == 0 {
					b.Fatal("lost")
				}
			}
		})
	}
}

// What is looked for in vain, as for each SYN.
func BenchmarkTableMiss(b *testing.B) {
	const n = 1_000_000
	skipMany(b, n)
	tab := full(n)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if tab.get(n+1+i%n) != 0 {
			b.Fatal("found")
		}
	}
}

// What a new flow costs, while the table grows.
func BenchmarkTableInsert(b *testing.B) {
	const n = 1_000_000
	skipMany(b, n)
	tab := newTabled(n)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%n == 0 {
			tab.table = newTable(tab.entry, tab.hash)
		}
		tab.put(i%n + 1)
	}
}
