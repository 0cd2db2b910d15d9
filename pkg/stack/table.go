package stack

// table finds a flow's record by linear hashing: it grows by one bucket at a time, so that no packet ever waits for
// it. A bucket is a cache line with a part of each flow's hash: a record, which lies in more memory than any cache holds, is
// touched only if it is the one.
type table struct {
	buckets [][]bucket // in blocks, so that growing copies nothing large
	spill   [][]bucket // what does not fit into those; the first is never used
	spare   []uint32   // of spill
	spilled uint32     // of spill, used or spare
	count   int
	low     uint32 // buckets when the current doubling began
	split   uint32 // buckets already split in it
	key     func(ref) *key
}

// places is the room of a bucket. On average fill are taken: of those that wait to be split up to twice as many, in spill.
const (
	places = 7
	fill   = 5
)

type bucket struct {
	hash [places]uint32 // the lower half of the flow's
	ref  [places]ref    // 0: free
	more uint32         // the bucket of spill that goes on with this one, or 0
	_    uint32
}

const (
	tableLog  = 8 // of the size of blocks
	tableMask = 1<<tableLog - 1
)

func newTable(at func(ref) *key) table {
	block := func() [][]bucket { return [][]bucket{make([]bucket, 1<<tableLog)} }
	return table{buckets: block(), spill: block(), spilled: 1, low: 1 << tableLog, key: at}
}

func bucketAt(blocks [][]bucket, i uint32) *bucket { return &blocks[i>>tableLog][i&tableMask] }

// home is the bucket where a hash's chain begins.
func (t *table) home(hash uint32) *bucket {
	b := hash & (t.low - 1)
	if b < t.split {
		b = hash & (2*t.low - 1)
	}
	return bucketAt(t.buckets, b)
}

// next goes on from a bucket to what it has in spill; nil if nothing.
func (t *table) next(b *bucket) *bucket {
	if b.more == 0 {
		return nil
	}
	return bucketAt(t.spill, b.more)
}

// find returns the record of the flow, or 0.
func (t *table) find(h uint64, k key) ref {
	for b := t.home(uint32(h)); b != nil; b = t.next(b) {
		for i, hash := range b.hash {
			if r := b.ref[i]; hash == uint32(h) && r != 0 && *t.key(r) == k {
				return r
			}
		}
	}
	return 0
}

func (t *table) insert(h uint64, r ref) {
	if t.count++; t.count > fill*int(t.low+t.split) {
		t.grow()
	}
	t.place(uint32(h), r)
}

func (t *table) place(hash uint32, r ref) {
	for b := t.home(hash); ; b = t.next(b) {
		for i := range b.ref {
			if b.ref[i] == 0 {
				b.hash[i], b.ref[i] = hash, r
				return
			}
		}
		if b.more == 0 {
			b.more = t.newSpill()
		}
	}
}

func (t *table) remove(h uint64, r ref) {
	for b := t.home(uint32(h)); b != nil; b = t.next(b) {
		for i := range b.ref {
			if b.ref[i] == r {
				b.ref[i] = 0
				t.count--
				return
			}
		}
	}
}

// grow splits one bucket in two.
func (t *table) grow() {
	if fresh := t.low + t.split; int(fresh>>tableLog) == len(t.buckets) {
		t.buckets = append(t.buckets, make([]bucket, 1<<tableLog))
	}
	at := bucketAt(t.buckets, t.split)
	old := *at
	*at = bucket{}
	if t.split++; t.split == t.low {
		t.low, t.split = 2*t.low, 0
	}
	for {
		for i, r := range old.ref {
			if r != 0 {
				t.place(old.hash[i], r)
			}
		}
		if old.more == 0 {
			return
		}
		i := old.more
		at = bucketAt(t.spill, i)
		old = *at
		*at = bucket{}
		t.spare = append(t.spare, i)
	}
}

// newSpill returns the number of an empty bucket of spill.
func (t *table) newSpill() uint32 {
	if k := len(t.spare); k > 0 {
		i := t.spare[k-1]
		t.spare = t.spare[:k-1]
		return i
	}
	if int(t.spilled>>tableLog) == len(t.spill) {
		t.spill = append(t.spill, make([]bucket, 1<<tableLog))
	}
	t.spilled++
	return t.spilled - 1
}
