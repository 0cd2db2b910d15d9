package tcp

import (
	"slices"

	"github.com/tcpd-project/tcpd/pkg/seq"
)

// A user may say where a record of his ends, for the segments to end there, too (Linux's MSG_EOR). The peer's user sees a
// stream all the same: it is for what looks into segments on the way, and for time stamps.

// maxMarks bounds the ends of records that a connection notes at once.
const maxMarks = 256

// EndRecord notes that a record ends with what has been written so far: no segment will hold text of both sides, neither when
// it is sent nor when it is sent again. It reports false, and notes nothing, when too many are queued already.
func (c *Conn) EndRecord(x *Env) bool {
	if c.any(factReleased|factFinQueued) || c.snd.end == c.firstText() {
		return true // nothing is before it
	}
	list := x.Memory.marksOf(&c.snd.marks)
	if n := len(*list); n == maxMarks {
		return false
	} else if n == 0 || (*list)[n-1] != c.snd.end {
		*list = append(*list, c.snd.end)
	}
	return true
}

// record is how many bytes from the sequence number at on are of one record; the whole ring if no end is noted.
func (c *Conn) record(x *Env, at seq.Num) uint32 {
	if c.snd.marks == 0 {
		return 1 << 31
	}
	for _, end := range x.Memory.marks[c.snd.marks] {
		if at.Less(end) {
			return end.Sub(at)
		}
	}
	return 1 << 31
}

// forgetMarks follows SND.UNA.
func (c *Conn) forgetMarks(x *Env) {
	if c.snd.marks == 0 {
		return
	}
	list := &x.Memory.marks[c.snd.marks]
	*list = slices.DeleteFunc(*list, func(end seq.Num) bool { return end.LessEq(c.snd.una) })
	if len(*list) == 0 {
		x.Memory.freeMarks(&c.snd.marks)
	}
}

func (m *Memory) marksOf(h *handle) *[]seq.Num {
	if *h == 0 {
		if k := len(m.freeMarkLists); k > 0 {
			*h = m.freeMarkLists[k-1]
			m.freeMarkLists = m.freeMarkLists[:k-1]
		} else {
			m.marks = append(m.marks, nil)
			*h = handle(len(m.marks) - 1)
		}
	}
	return &m.marks[*h]
}

func (m *Memory) freeMarks(h *handle) {
	if *h != 0 {
		m.marks[*h] = nil
		m.freeMarkLists = append(m.freeMarkLists, *h)
		*h = 0
	}
}
