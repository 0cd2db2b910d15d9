package stack

import "testing"

// Whoever chooses his ports cannot choose chains: the longest of all flows that one peer can have with one port of ours is
// what chance makes it, at five records a bucket and up to ten in those that are to be split next.
func TestChainsOfOnePeer(t *testing.T) {
	const n, longest = 65535, 35 // chance has longer ones once in a million tries
	tab := newTabled(n)
	for i := 1; i <= n; i++ {
		f := flowOf(1)
		f.RemotePort = uint16(i)
		tab.keys[i] = keyOf(&f)
		tab.insert(tab.secret.Hash(&f), ref(i))
	}
	for i := range tab.low + tab.split {
		k := 0
		for b := bucketAt(tab.buckets, i); b != nil; b = tab.next(b) {
			for _, r := range b.ref {
				if r != 0 {
					k++
				}
			}
		}
		if k > longest {
			t.Fatalf("a chain of %d records", k)
		}
	}
}
