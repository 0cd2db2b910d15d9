package tcp

import (
	"math/bits"
	"slices"

	"github.com/tcpd-project/tcpd/pkg/seq"
)

// handle names a thing in Memory; 0 names none.
type handle uint32

// Memory is what connections attach only while they need it: send and receive rings, and lists of text out of
// order. An idle connection has none. One goroutine uses it.
type Memory struct {
	// Limit is the most bytes of rings in use at once; 0: no limit. A connection that gets no ring loses
	// segments, or waits to write: it is never wrong.
	Limit int
	// InUse is the bytes of rings now attached.
	InUse int
	// Lists is the bytes of scoreboards and of lists of text out of order. Beyond an eighth of Limit they are kept short.
	Lists int
	// Short is set when there was no memory for a ring; who has seen it clears it.
	Short bool

	rings   []ring
	holes   []holes
	flights []flight
	marks   [][]seq.Num
	// freed handles, to be used again.
	freeRings, freeHoleLists, freeFlights, freeMarkLists []handle
	// spare buffers by the logarithm of their size.
	spare      [maxRingLog + 1][][]byte
	spareBytes int
}

const (
	minRingLog = 11 // 2 KiB
	maxRingLog = 30 // sequence numbers must tell the ring's two ends apart
	maxSpare   = 16 << 20
)

// ring is a buffer of a stream: the byte with sequence number s is at s modulo the size, a power of two. So the send
// ring is the retransmission queue and the receive ring the reassembly queue, and no offset is kept.
type ring struct {
	buf    []byte
	shared bool // another goroutine may look at buf: never to be used again

	// Of text that repeats (Repeat), which lies in buf once and is nobody's memory: not 0, and where it begins.
	cycle  uint32
	origin seq.Num
}

// owned is how many bytes of memory the ring takes, and room how many of a stream it holds.
func (r *ring) owned() int {
	if r.cycle != 0 {
		return 0
	}
	return len(r.buf)
}

func (r *ring) room() int {
	if r.cycle != 0 {
		return 1 << maxRingLog
	}
	return len(r.buf)
}

// slices returns where the n bytes from s lie: two pieces, where the ring wraps.
func (r *ring) slices(s seq.Num, n int) (a, b []byte) {
	if r.cycle != 0 {
		i := int(s.Sub(r.origin) % r.cycle)
		return r.buf[i : i+n : i+n], nil
	}
	i := int(uint32(s) & uint32(len(r.buf)-1))
	if i+n <= len(r.buf) {
		return r.buf[i : i+n : i+n], nil
	}
	return r.buf[i:], r.buf[:i+n-len(r.buf)]
}

func (r *ring) put(s seq.Num, p []byte) {
	a, b := r.slices(s, len(p))
	copy(b, p[copy(a, p):])
}

// NewMemory returns an empty Memory.
func NewMemory(limit int) *Memory {
	return &Memory{Limit: limit, rings: make([]ring, 1), holes: make([]holes, 1), flights: make([]flight, 1), marks: make([][]seq.Num, 1)}
}

// Scarce reports that little is left, for the smallest rings alone.
func (m *Memory) Scarce() bool { return m.Limit > 0 && m.InUse > m.Limit-m.Limit/16 }

// Free reports that there is room for another ring, of the least size.
func (m *Memory) Free() bool { return m.Limit == 0 || m.InUse+1<<minRingLog <= m.Limit }

// listsFull reports that lists take as much as they may, together.
func (m *Memory) listsFull() bool { return m.Limit > 0 && m.Lists > m.Limit/8 }

// mayTake reports whether a ring of 1<<log bytes may be attached. The last eighth is for the smallest ones: where others have
// taken the rest, a request and its answer still find room.
func (m *Memory) mayTake(log int) bool {
	limit := m.Limit
	if log > minRingLog {
		limit -= limit / 8
	}
	return m.Limit == 0 || m.InUse+1<<log <= limit
}

func (m *Memory) ring(h handle) *ring { return &m.rings[h] }

// ensure makes *h a ring of at least n bytes; what is in it, from the sequence number from on, is kept. It reports
// whether there was memory.
func (m *Memory) ensure(h *handle, n int, from seq.Num) bool {
	log := max(minRingLog, bits.Len(uint(n-1)))
	if *h != 0 && len(m.rings[*h].buf) >= 1<<log {
		return true
	}
	if log > maxRingLog || !m.mayTake(log) {
		m.Short = true
		return false
	}
	m.attach(h, log, from)
	return true
}

// attach makes *h a ring of 1<<log bytes, whether or not a new one would get so many.
func (m *Memory) attach(h *handle, log int, from seq.Num) {
	buf := m.take(log)
	if *h == 0 {
		*h = m.newRing()
		m.rings[*h] = ring{buf: buf}
		return
	}
	old := m.rings[*h]
	a, b := old.slices(from, len(old.buf))
	grown := ring{buf: buf, shared: old.shared}
	grown.put(from, a)
	grown.put(from.Add(uint32(len(a))), b)
	m.give(old)
	m.rings[*h] = grown
}

// adopt makes the buffer buf, whose size is a power of two and which another goroutine fills, the ring *h.
func (m *Memory) adopt(h *handle, buf []byte) {
	if *h == 0 {
		*h = m.newRing()
	} else if r := m.rings[*h]; len(r.buf) > 0 {
		m.give(r)
	}
	m.rings[*h] = ring{buf: buf, shared: true}
	m.InUse += len(buf)
}

func (m *Memory) newRing() handle {
	if k := len(m.freeRings); k > 0 {
		h := m.freeRings[k-1]
		m.freeRings = m.freeRings[:k-1]
		return h
	}
	m.rings = append(m.rings, ring{})
	return handle(len(m.rings) - 1)
}

// detach gives a ring back, if there is one.
func (m *Memory) detach(h *handle) {
	if *h == 0 {
		return
	}
	m.give(m.rings[*h])
	m.rings[*h] = ring{}
	m.freeRings = append(m.freeRings, *h)
	*h = 0
}

func (m *Memory) take(log int) []byte {
	m.InUse += 1 << log
	if k := len(m.spare[log]); k > 0 {
		buf := m.spare[log][k-1]
		m.spare[log] = m.spare[log][:k-1]
		m.spareBytes -= len(buf)
		return buf
	}
	return make([]byte, 1<<log)
}

func (m *Memory) give(r ring) {
	m.InUse -= r.owned()
	if r.shared || m.spareBytes+len(r.buf) > maxSpare {
		return
	}
	log := bits.Len(uint(len(r.buf) - 1))
	m.spare[log] = append(m.spare[log], r.buf)
	m.spareBytes += len(r.buf)
}

// maxHoles bounds the runs of text out of order that a connection keeps: a peer that overshoots in slow start loses every
// other segment of a whole window. fewHoles does while all lists together take too much.
const (
	maxHoles = 4096
	fewHoles = 16
)

// blockBytes is the size of a Block in memory.
const blockBytes = 8

// holes is the text out of order of one connection: runs in order of sequence number, apart from each other.
type holes struct {
	run    []Block
	room   int        // of run, as counted in Memory.Lists
	recent [4]seq.Num // where the last segments lay, the newest first (RFC 2018 section 4)
}

// mostHoles is how many runs a connection may keep now.
func (m *Memory) mostHoles() int {
	if m.listsFull() {
		return fewHoles
	}
	return maxHoles
}

// weighHoles counts the room that the list has taken.
func (m *Memory) weighHoles(h *holes) {
	m.Lists += (cap(h.run) - h.room) * blockBytes
	h.room = cap(h.run)
}

// add notes the run b. It reports false, and notes nothing, when that would make more than most.
func (h *holes) add(b Block, most int) bool {
	i := h.search(b.From - 1) // one that ends where b begins touches it, too
	j := i                    // runs [i, j) touch b
	for j < len(h.run) && h.run[j].From.LessEq(b.To) {
		b.From, b.To = seq.Min(b.From, h.run[j].From), seq.Max(b.To, h.run[j].To)
		j++
	}
	if i == j && len(h.run) >= most {
		return false
	}
	h.run = slices.Replace(h.run, i, j, b)
	return true
}

// search is the first run that ends beyond at.
func (h *holes) search(at seq.Num) int {
	i, _ := slices.BinarySearchFunc(h.run, at, func(b Block, at seq.Num) int {
		if b.To.LessEq(at) {
			return -1
		}
		return 1
	})
	return i
}

// holding is the run that at lies in; false if there is none.
func (h *holes) holding(at seq.Num) (Block, bool) {
	if i := h.search(at); i < len(h.run) && h.run[i].From.LessEq(at) {
		return h.run[i], true
	}
	return Block{}, false
}

// fill takes off the runs that nxt has reached, and returns the number after the text that is now in order.
func (h *holes) fill(nxt seq.Num) seq.Num {
	k := 0
	for k < len(h.run) && h.run[k].From.LessEq(nxt) {
		nxt = seq.Max(nxt, h.run[k].To)
		k++
	}
	h.run = slices.Delete(h.run, 0, k)
	return nxt
}

// bytes is how much text the runs are.
func (h *holes) bytes() (n int) {
	for _, b := range h.run {
		n += int(b.To.Sub(b.From))
	}
	return n
}

func (m *Memory) holesOf(h *handle) *holes {
	if *h == 0 {
		if k := len(m.freeHoleLists); k > 0 {
			*h = m.freeHoleLists[k-1]
			m.freeHoleLists = m.freeHoleLists[:k-1]
		} else {
			m.holes = append(m.holes, holes{})
			*h = handle(len(m.holes) - 1)
		}
		l := &m.holes[*h]
		*l = holes{run: l.run[:0], room: l.room}
	}
	return &m.holes[*h]
}

// maxKeptRuns bounds the runs that a list given back keeps room for.
const maxKeptRuns = 64

func (m *Memory) freeHoles(h *handle) {
	if *h != 0 {
		if l := &m.holes[*h]; cap(l.run) > maxKeptRuns {
			l.run = nil
			m.weighHoles(l)
		}
		m.freeHoleLists = append(m.freeHoleLists, *h)
		*h = 0
	}
}
