package stack

import (
	"math/bits"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// wheel is a hierarchical timing wheel (Varghese and Lauck, 1987): six levels of 64 slots, ticks of 65.5 us, 52 days
// in all. A record is in it once, with its earliest deadline; one that has moved to later is found out when it fires.
type wheel struct {
	now      uint64 // tick
	slots    [wheelLevels][wheelSlots]ref
	occupied [wheelLevels]uint64
	node     func(ref) *node
	due      []ref
}

const (
	wheelLevels = 6
	wheelLog    = 6
	wheelSlots  = 1 << wheelLog
	tickLog     = 16
)

// node is a record's place in the wheel.
type node struct {
	prev, next ref
	tick       uint64 // 0: not in the wheel
	slot       uint16
}

func (w *wheel) start(now mono.Time) { w.now = uint64(now) >> tickLog }

// arm sees to it that r fires at the time at, or earlier.
func (w *wheel) arm(r ref, at mono.Time) {
	n := w.node(r)
	if at == mono.Never {
		return
	}
	tick := max((uint64(at)+1<<tickLog-1)>>tickLog, w.now+1)
	if n.tick != 0 {
		if n.tick <= tick {
			return
		}
		w.disarm(r)
	}
	w.insert(r, n, tick)
}

func (w *wheel) insert(r ref, n *node, tick uint64) {
	d := tick - w.now
	level := min((bits.Len64(d)-1)/wheelLog, wheelLevels-1)
	if d >= 1<<(wheelLog*wheelLevels) {
		d = 1<<(wheelLog*wheelLevels) - 1
	}
	slot := (w.now + d) >> (wheelLog * level) & (wheelSlots - 1)
	head := &w.slots[level][slot]
	*n = node{next: *head, tick: tick, slot: uint16(level)<<wheelLog | uint16(slot)}
	if *head != 0 {
		w.node(*head).prev = r
	}
	*head = r
	w.occupied[level] |= 1 << slot
}

func (w *wheel) disarm(r ref) {
	n := w.node(r)
	if n.tick == 0 {
		return
	}
	level, slot := n.slot>>wheelLog, n.slot&(wheelSlots-1)
	if n.next != 0 {
		w.node(n.next).prev = n.prev
	}
	if n.prev != 0 {
		w.node(n.prev).next = n.next
	} else {
		w.slots[level][slot] = n.next
		if n.next == 0 {
			w.occupied[level] &^= 1 << slot
		}
	}
	*n = node{}
}

// next is the tick of the next slot to be emptied.
func (w *wheel) next() (tick uint64, ok bool) {
	tick = 1<<64 - 1
	for level := range wheelLevels {
		if w.occupied[level] == 0 {
			continue
		}
		at := w.now >> (wheelLog * level)
		turned := bits.RotateLeft64(w.occupied[level], -int((at+1)&(wheelSlots-1)))
		tick = min(tick, (at+1+uint64(bits.TrailingZeros64(turned)))<<(wheelLog*level))
		ok = true
	}
	return tick, ok
}

// deadline is when advance is next to be called, or mono.Never.
func (w *wheel) deadline() mono.Time {
	if tick, ok := w.next(); ok {
		return mono.Time(tick << tickLog)
	}
	return mono.Never
}

// advance moves to now and returns the records whose time has come; they are no longer in the wheel.
func (w *wheel) advance(now mono.Time) []ref {
	w.due = w.due[:0]
	to := uint64(now) >> tickLog
	for {
		tick, ok := w.next()
		if !ok || tick > to {
			break
		}
		w.now = tick
		for level := wheelLevels - 1; level >= 0; level-- {
			if tick&(1<<(wheelLog*level)-1) == 0 {
				w.empty(level, tick>>(wheelLog*level)&(wheelSlots-1))
			}
		}
	}
	w.now = max(w.now, to)
	return w.due
}

// empty takes what is in a slot to a lower level, or out.
func (w *wheel) empty(level int, slot uint64) {
	r := w.slots[level][slot]
	w.slots[level][slot] = 0
	w.occupied[level] &^= 1 << slot
	for r != 0 {
		n := w.node(r)
		next, tick := n.next, n.tick
		*n = node{}
		if tick <= w.now {
			w.due = append(w.due, r)
		} else {
			w.insert(r, n, tick)
		}
		r = next
	}
}
