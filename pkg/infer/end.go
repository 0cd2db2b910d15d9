package infer

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// End is one end of a connection, as the wire shows it.
type End struct {
	State fsm.State

	Sent   uint64  // bytes of text, each once
	Again  int     // segments sent again
	Window uint32  // that it offers, in bytes
	una    seq.Num // the peer has acknowledged all before
	max    seq.Num // the end of what it has sent
	iss    seq.Num
	fin    seq.Num // where its stream ends, if finSent
	nxt    seq.Num // it has received all before
	scale  uint8   // of its window
	scaled bool    // it has offered to scale

	acked seq.Num // the last that it has acknowledged, if hasAcked

	known, synSent, finSent bool    // known: iss, una and max mean something
	hasAcked, offered       bool    // offered: Window means something
	heard                   bool    // and nxt does
	peerFin                 seq.Num // where the peer's stream ends, if finSeen
	finSeen                 bool
	gaps                    []span
}

// span is text that was received beyond a gap.
type span struct{ from, to seq.Num }

// Flight is how much of what the end has sent is not acknowledged, SYN and FIN included.
func (e *End) Flight() uint32 {
	if !e.known {
		return 0
	}
	return e.max.Sub(e.una)
}

// Silent reports that nothing of the end is in the capture.
func (e *End) Silent() bool { return !e.offered }

// Gone reports that the end waits for nothing of the peer's any more.
func (e *End) Gone() bool { return e.State == fsm.Closed || e.State == fsm.TimeWait }

// Shut reports that the window is closed that the end offers.
func (e *End) Shut() bool { return e.offered && e.Window == 0 && !e.Gone() }

// OwesACK reports that something has come to the end that it has not acknowledged.
func (e *End) OwesACK() bool { return e.heard && (!e.hasAcked || e.acked.Less(e.nxt)) && !e.Gone() }

// Move is a step of an end's machine.
type Move struct {
	From  fsm.State
	Event fsm.Event
	To    fsm.State
}

// fire drives the machine; an event that it has no cell for is one that was not one.
func (e *End) fire(ev fsm.Event, moves []Move) []Move {
	t, ok := fsm.Step(e.State, ev)
	if !ok || t.Next == e.State {
		return moves
	}
	m := Move{e.State, ev, t.Next}
	e.State = t.Next
	return append(moves, m)
}

// sends is what the end must have done to send a segment. again tells that it had sent it before.
func (e *End) sends(g *tcp.Segment, text int) (moves []Move, again bool) {
	end := g.Seq.Add(uint32(text))
	if g.Flags&tcp.ACK != 0 {
		e.acked, e.hasAcked = g.Ack, true
	}
	if g.Flags&tcp.SYN != 0 {
		again = e.synSent && e.iss == g.Seq
		if !again {
			*e = End{State: e.State, nxt: e.nxt, heard: e.heard, acked: e.acked, hasAcked: e.hasAcked}
			e.iss, e.una, e.max, e.synSent, e.known = g.Seq, g.Seq, g.Seq+1, true, true
			e.scaled, e.scale = g.Options.Has&tcp.HasWindowScale != 0, g.Options.WindowScale
			moves = e.begins(g)
		}
		end = end.Add(1)
	}
	if !e.known {
		e.una, e.max, e.known = g.Seq, g.Seq, true
	}
	if text > 0 && end.LessEq(e.max) {
		again = true
	}
	if e.max.Less(end) {
		e.Sent += uint64(min(end.Sub(e.max), uint32(text)))
	}
	if g.Flags&tcp.FIN != 0 {
		if e.finSent {
			again = true
		} else {
			e.fin, e.finSent = end, true
			moves = e.fire(fsm.Close, moves)
		}
		end = end.Add(1)
	}
	e.max = seq.Max(e.max, end)
	if g.Flags&tcp.RST != 0 {
		moves = e.fire(fsm.Abort, moves)
	}
	if again {
		e.Again++
	}
	return moves, again
}

// begins is how the end came to send its first SYN.
func (e *End) begins(g *tcp.Segment) []Move {
	if g.Flags&tcp.ACK == 0 {
		return e.fire(fsm.OpenActive, nil)
	}
	e.State = fsm.Listen // only who listens answers a SYN so
	return e.fire(fsm.RcvSYN, nil)
}

// receives is what a segment of the peer's must have done to the end, in the order of RFC 9293 section 3.10.7.4.
func (e *End) receives(g *tcp.Segment, text int) (moves []Move) {
	acks := g.Flags&tcp.ACK != 0 && e.known && e.una.Less(g.Ack) && g.Ack.LessEq(e.max)
	switch {
	case g.Flags&tcp.RST != 0:
		if !e.heard && e.synSent && !acks || e.heard && e.nxt != g.Seq {
			return nil // it names nothing that the end knows
		}
		return e.fire(fsm.RcvRST, nil)
	case g.Flags&tcp.SYN != 0:
		return e.receivesSYN(g, acks)
	case !e.heard:
		e.nxt, e.heard = g.Seq, true // the capture begins in the middle
	}
	if acks {
		moves = e.acknowledged(g.Ack)
	}
	e.take(span{g.Seq, g.Seq.Add(uint32(text))})
	if g.Flags&tcp.FIN != 0 {
		e.peerFin, e.finSeen = g.Seq.Add(uint32(text)), true
	}
	if e.finSeen && e.nxt == e.peerFin {
		e.nxt++
		moves = e.fire(fsm.RcvFIN, moves)
	}
	return moves
}

func (e *End) receivesSYN(g *tcp.Segment, acks bool) (moves []Move) {
	fresh := !e.heard || e.nxt != g.Seq+1
	if fresh {
		e.nxt, e.heard = g.Seq+1, true
	}
	if acks {
		if moves = e.fire(fsm.RcvSYNACK, nil); moves == nil {
			return e.acknowledged(g.Ack) // at a simultaneous open
		}
		e.una = g.Ack
		return moves
	}
	if fresh && e.synSent {
		return e.fire(fsm.RcvSYN, nil)
	}
	return nil // whether it listens, its answer will show
}

// acknowledged is the crossings of SND.UNA.
func (e *End) acknowledged(ack seq.Num) (moves []Move) {
	if e.synSent && e.una == e.iss {
		moves = e.fire(fsm.SYNAcked, moves)
	}
	e.una = ack
	if e.finSent && e.fin.Less(ack) {
		moves = e.fire(fsm.FINAcked, moves)
	}
	return moves
}

// mostGaps bounds what is remembered of text beyond gaps.
const mostGaps = 1000

// take moves the end of what has been received without a gap.
func (e *End) take(s span) {
	if len(e.gaps) < mostGaps && e.nxt.Less(s.from) {
		e.gaps = append(e.gaps, s)
	}
	if s.from.LessEq(e.nxt) {
		e.nxt = seq.Max(e.nxt, s.to)
	}
	for moved := true; moved; {
		moved = false
		for i, g := range e.gaps {
			if g.from.LessEq(e.nxt) {
				e.nxt = seq.Max(e.nxt, g.to)
				e.gaps[i] = e.gaps[len(e.gaps)-1]
				e.gaps = e.gaps[:len(e.gaps)-1]
				moved = true
				break
			}
		}
	}
}
