package stack

// table finds a flow's record by linear hashing: it grows by a few buckets at a time, so that no packet waits for it for long.
// The chains run through the records themselves.
type table struct {
	heads [][]ref // in blocks, so that growing copies nothing large
	count int
	low   uint32 // buckets when the current doubling began
	split uint32 // buckets already split in it
	seen  ref    // as ahead.seen
	entry func(ref) *entry
	hash  func(*entry) uint64
}

const (
	headLog = 12
	splits  = 16 // a power of 2: how many buckets grow splits
)

func newTable(at func(ref) *entry, hash func(*entry) uint64) table {
	return table{heads: [][]ref{make([]ref, 1<<headLog)}, low: 1 << headLog, entry: at, hash: hash}
}

func (t *table) head(b uint32) *ref { return &t.heads[b>>headLog][b&(1<<headLog-1)] }

func (t *table) bucket(h uint64) uint32 {
	b := uint32(h) & (t.low - 1)
	if b < t.split {
		b = uint32(h) & (2*t.low - 1)
	}
	return b
}

// find returns the record of the flow, or 0.
func (t *table) find(h uint64, k key) ref {
	r := *t.head(t.bucket(h))
	for r != 0 {
		e := t.entry(r)
		if e.key == k {
			return r
		}
		r = e.next
	}
	return 0
}

func (t *table) insert(h uint64, r ref) {
	if t.count++; t.count > int(t.low+t.split) {
		t.grow()
	}
	head := t.head(t.bucket(h))
	t.entry(r).next = *head
	*head = r
}

func (t *table) remove(h uint64, r ref) {
	for p := t.head(t.bucket(h)); *p != 0; p = &t.entry(*p).next {
		if *p == r {
			*p = t.entry(r).next
			t.count--
			return
		}
	}
}

// grow splits some buckets in two. It looks at the first records of all of them before: see ahead.
func (t *table) grow() {
	if fresh := t.low + t.split; int(fresh>>headLog) == len(t.heads) {
		t.heads = append(t.heads, make([]ref, 1<<headLog))
	}
	for b := t.split; b < t.split+splits; b++ {
		if r := *t.head(b); r != 0 {
			t.seen += t.entry(r).next
		}
	}
	for range splits {
		t.splitNext()
	}
	if t.split == t.low {
		t.low, t.split = 2*t.low, 0
	}
}

func (t *table) splitNext() {
	chain := *t.head(t.split)
	*t.head(t.split) = 0
	t.split++
	for chain != 0 {
		e := t.entry(chain)
		next := e.next
		head := t.head(t.bucket(t.hash(e)))
		e.next = *head
		*head = chain
		chain = next
	}
}
