package stack

import "testing"

// Whoever chooses his ports cannot choose chains: the longest of all flows that one peer can have with one port of ours is
// what chance makes it, at one record a bucket.
func TestChainsOfOnePeer(t *testing.T) {
	const n, longest = 65535, 16 // chance has longer ones once in ten million tries
	tab := newTabled(n)
	for i := 1; i <= n; i++ {
		f := flowOf(1)
		f.RemotePort = uint16(i)
		tab.entries[i].key = keyOf(&f)
		tab.insert(tab.secret.Hash(&f), ref(i))
	}
	for b := range tab.low + tab.split {
		k := 0
		for r := *tab.head(b); r != 0; r = tab.entry(r).next {
			k++
		}
		if k > longest {
			t.Fatalf("a chain of %d records", k)
		}
	}
}
