package stack

import (
	"math/bits"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// wheel is a hierarchical timing wheel (Varghese and Lauck, 1987): six levels of 64 slots, ticks of 65.5 us, 52 days
// in all. A record is in it once, with its earliest deadline; one that has moved to later is found out when it fires.
//
// Of however many records fall due or go down a level together, only so many move at a time: the wheel stands still until all
// have, and meanwhile packets are served.
type wheel struct {
	now      uint64 // tick
	level    int    // the slots for now are still to be emptied on this level and those below; -1: on none
	slots    [wheelLevels][wheelSlots]ref
	occupied [wheelLevels]uint64
	node     func(ref) *node
	fire     func(ref) (acted bool) // for each record whose time has come; it is no longer in the wheel
}

const (
	wheelLevels = 6
	wheelLog    = 6
	wheelSlots  = 1 << wheelLog
	tickLog     = 16
)

// maxMoves is how many records move at a time, so many for each packet that a turn takes that the wheel keeps up with a shard
// that is never idle. One for which fire acts counts as several: with its segment it takes as long.
const (
	maxMoves = 512
	actMoves = 8
)

// node is a record's place in the wheel.
type node struct {
	prev, next ref
	tick       uint64 // 0: not in the wheel
	slot       uint16
}

func (w *wheel) start(now mono.Time) { w.now, w.level = uint64(now)>>tickLog, -1 }

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
	if w.level >= 0 {
		return mono.Time(w.now << tickLog)
	}
	if tick, ok := w.next(); ok {
		return mono.Time(tick << tickLog)
	}
	return mono.Never
}

// advance moves towards now and fires the records whose time has come. It gets there in one call unless deadline says otherwise.
func (w *wheel) advance(now mono.Time) {
	to := uint64(now) >> tickLog
	for moves := maxMoves; ; w.level-- {
		if w.level < 0 {
			tick, ok := w.next()
			if !ok || tick > to {
				break
			}
			w.now, w.level = tick, wheelLevels-1
		}
		if w.now&(1<<(wheelLog*w.level)-1) != 0 {
			continue
		}
		if moves = w.empty(w.level, w.now>>(wheelLog*w.level)&(wheelSlots-1), moves); moves <= 0 {
			return
		}
	}
	w.now = max(w.now, to)
}

// empty takes what is in a slot to a lower level, or out, and returns how many moves are left: none if they did not suffice, or
// just did.
func (w *wheel) empty(level int, slot uint64, moves int) int {
	head := &w.slots[level][slot]
	for ; *head != 0 && moves > 0; moves-- {
		r := *head
		n := w.node(r)
		tick := n.tick
		w.disarm(r)
		if tick > w.now {
			w.insert(r, n, tick)
		} else if w.fire(r) {
			moves -= actMoves - 1
		}
	}
	return moves
}
