package tcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// snapshotVersion is the first byte of an encoded connection.
const snapshotVersion = 2

var errSnapshot = errors.New("tcp: not an encoded connection")

// Encode appends the connection, if it does not Repeat, to b: its record, the text in its rings and the list of what is out
// of order. A half-open or a TIME-WAIT is encoded as the connection that it unpacks to. No text may wait for Store. Text that
// is lent stays with who has it. Rings that another goroutine looks at are copied: who decodes has them for himself.
func (c *Conn) Encode(x *Env, b []byte) []byte {
	k := codec{b: append(b, snapshotVersion, byte(c.state))}
	c.fields(&k)
	c.attachments(x, &k)
	return k.b
}

// Decode makes c the connection that was encoded into b. What it held before must have been freed. Without memory, or
// when b is damaged, c holds nothing and is not to be used.
func (c *Conn) Decode(x *Env, b []byte) error {
	if len(b) < 2 || b[0] != snapshotVersion || fsm.State(b[1]) < fsm.Closed || fsm.State(b[1]) > fsm.TimeWait {
		return errSnapshot
	}
	*c = Conn{state: fsm.State(b[1])}
	k := codec{b: b[2:], reading: true}
	c.fields(&k)
	if k.err == nil && (int(c.profile) >= len(x.Settings) || c.snd.mss == 0) {
		k.err = errSnapshot
	}
	if k.err == nil {
		c.attachments(x, &k)
	}
	for _, check := range []func(*Env) error{c.checkSend, c.checkFlight, c.checkReceive, c.checkHoles} {
		if k.err == nil {
			k.err = check(x)
		}
	}
	if k.err != nil || len(k.b) != 0 {
		c.Free(x)
		return fmt.Errorf("%w: %w", errSnapshot, k.err)
	}
	return nil
}

// codec writes fields to b, or reads them from it: one list of the fields serves both ways.
type codec struct {
	b       []byte
	reading bool
	err     error
}

func word[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int64 | ~int](k *codec, v *T) {
	if !k.reading {
		k.b = binary.AppendUvarint(k.b, uint64(*v))
		return
	}
	u, n := binary.Uvarint(k.b)
	if n <= 0 || uint64(T(u)) != u {
		k.b, k.err = nil, errSnapshot
		return
	}
	*v, k.b = T(u), k.b[n:]
}

// flag writes or reads a bool.
func flag(k *codec, v *bool) {
	u := uint8(0)
	if *v {
		u = 1
	}
	word(k, &u)
	*v = u == 1
}

// text writes or reads n bytes of a ring from the sequence number at.
func (k *codec) text(r *ring, at seq.Num, n int) {
	if n == 0 || k.err != nil {
		return
	}
	if n < 0 || n > len(r.buf) || k.reading && n > len(k.b) {
		k.err = errSnapshot
		return
	}
	if k.reading {
		r.put(at, k.b[:n])
		k.b = k.b[n:]
		return
	}
	a, b := r.slices(at, n)
	k.b = append(append(k.b, a...), b...)
}

// fields lists every field of the record but the state and the handles.
func (c *Conn) fields(k *codec) {
	word(k, &c.profile)
	word(k, &c.retries)
	word(k, &c.backoff)
	word(k, &c.dscp)
	word(k, &c.facts)
	c.snd.fields(k)
	c.rcv.fields(k)
	word(k, &c.rtt.srtt)
	word(k, &c.rtt.rttvar)
	word(k, &c.rtt.min)
	word(k, &c.rtt.at)
	word(k, &c.cw.Cwnd)
	word(k, &c.cw.Ssthresh)
	word(k, &c.cw.MSS)
	word(k, &c.cw.Pacing)
	flag(k, &c.cw.Owns)
	for i := range c.cw.Priv {
		word(k, &c.cw.Priv[i])
	}
	for i := range c.timer {
		word(k, &c.timer[i])
	}
	word(k, &c.events)
	c.rack.fields(k)
	word(k, &c.tune.from)
	word(k, &c.tune.read)
	word(k, &c.tune.at)
	c.rate.fields(k)
	c.episode.fields(k)
	word(k, &c.ts.recent)
	word(k, &c.ts.offset)
	word(k, &c.ts.at)
	word(k, &c.keepIdle)
	word(k, &c.keepInterval)
	word(k, &c.keepCount)
	word(k, &c.icmp.Type)
	word(k, &c.icmp.Code)
	word(k, &c.userTimeout)
	word(k, &c.finTimeout)
	word(k, &c.way.at)
	word(k, &c.way.una)
	word(k, &c.way.nxt)
	word(k, &c.acc.received)
	word(k, &c.acc.acked)
	word(k, &c.acc.syn)
	word(k, &c.mtu.most)
	word(k, &c.mtu.high)
	word(k, &c.mtu.size)
	word(k, &c.mtu.next)
	word(k, &c.busy.on)
	word(k, &c.busy.since)
	for i := range c.busy.total {
		word(k, &c.busy.total[i])
	}
	word(k, &c.pace)
	word(k, &c.challenge)
	word(k, &c.heard)
	word(k, &c.stalled)
	c.count.fields(k)
}

func (r *rate) fields(k *codec) {
	word(k, &r.delivered)
	word(k, &r.deliveredAt)
	word(k, &r.firstAt)
	word(k, &r.appLimited)
	word(k, &r.roundEnd)
	word(k, &r.sampled)
	word(k, &r.interval)
	word(k, &r.loss.bytes)
	word(k, &r.loss.flight)
	word(k, &r.loss.lost)
	flag(k, &r.loss.appLimited)
}

func (e *episode) fields(k *codec) {
	word(k, &e.cwnd)
	word(k, &e.ssthresh)
	word(k, &e.resent)
	word(k, &e.began)
	word(k, &e.delivered)
	word(k, &e.out)
	word(k, &e.flight)
}

func (t *counts) fields(k *codec) {
	word(k, &t.segsIn)
	word(k, &t.segsOut)
	word(k, &t.retransmits)
	word(k, &t.timeouts)
	word(k, &t.dsacks)
	word(k, &t.bytesIn)
	word(k, &t.bytesOut)
	word(k, &t.bytesLost)
}

func (s *sendSpace) fields(k *codec) {
	word(k, &s.una)
	word(k, &s.nxt)
	word(k, &s.iss)
	word(k, &s.end)
	word(k, &s.wl1)
	word(k, &s.wl2)
	word(k, &s.wnd)
	word(k, &s.maxWnd)
	word(k, &s.buf)
	word(k, &s.mss)
	word(k, &s.frame)
	word(k, &s.scale)
	word(k, &s.dupAcks)
	word(k, &s.recover)
	word(k, &s.up)
	word(k, &s.used)
	word(k, &s.round)
	word(k, &s.small)
	word(k, &s.push)
	word(k, &s.reduced)
}

func (r *receiveSpace) fields(k *codec) {
	word(k, &r.nxt)
	word(k, &r.irs)
	word(k, &r.adv)
	word(k, &r.acked)
	word(k, &r.read)
	word(k, &r.kept)
	word(k, &r.stored)
	word(k, &r.finAt)
	word(k, &r.up)
	word(k, &r.textAt)
	word(k, &r.dup.From)
	word(k, &r.dup.To)
	word(k, &r.buf)
	word(k, &r.mss)
	word(k, &r.scale)
	word(k, &r.acks)
	word(k, &r.quick)
}

// attachments is what lies in Memory: the rings with their text, and the runs out of order.
func (c *Conn) attachments(x *Env, k *codec) {
	if r := k.ring(x, &c.snd.ring, c.firstText()); r != nil {
		k.text(r, c.firstText(), int(int32(seq.Max(c.snd.end, c.firstText())-c.firstText())))
	}
	r := k.ring(x, &c.rcv.ring, c.rcv.kept)
	if r != nil {
		k.text(r, c.rcv.kept, int(int32(c.rcv.stored-c.rcv.kept)))
	}
	k.holes(x, &c.rcv.holes, r)
	k.flight(x, &c.snd.flight)
	k.marks(x, &c.snd.marks)
}

// ring writes or reads the size of a ring, as a logarithm; 0 is none.
func (k *codec) ring(x *Env, h *handle, from seq.Num) *ring {
	log := uint8(0)
	if *h != 0 {
		log = uint8(bits.Len(uint(len(x.Memory.ring(*h).buf) - 1)))
	}
	if word(k, &log); log == 0 || k.err != nil {
		return nil
	}
	if !k.reading {
		return x.Memory.ring(*h)
	}
	if log < minRingLog || log > maxRingLog || x.Memory.Limit > 0 && x.Memory.InUse+1<<log > x.Memory.Limit {
		k.err = errSnapshot
		return nil
	}
	x.Memory.attach(h, int(log), from)
	return x.Memory.ring(*h)
}

// holes writes or reads the runs beyond a hole, each with its text in r.
func (k *codec) holes(x *Env, h *handle, r *ring) {
	n := uint16(0)
	if *h != 0 {
		n = uint16(len(x.Memory.holes[*h].run)) + 1
	}
	if word(k, &n); n == 0 || k.err != nil {
		return
	}
	if int(n) > maxHoles+1 || r == nil && n > 1 {
		k.err = errSnapshot
		return
	}
	list := x.Memory.holesOf(h)
	if k.reading {
		list.run = append(list.run, make([]Block, n-1)...)
		x.Memory.weighHoles(list)
	}
	for i := range list.recent {
		word(k, &list.recent[i])
	}
	for i := range list.run {
		word(k, &list.run[i].From)
		word(k, &list.run[i].To)
		k.text(r, list.run[i].From, int(int32(list.run[i].To-list.run[i].From)))
	}
}

// flight writes or reads the scoreboard.
func (k *codec) flight(x *Env, h *handle) {
	n := uint32(0)
	if *h != 0 {
		n = uint32(len(x.Memory.flights[*h].live()))
	}
	if word(k, &n); n == 0 || k.err != nil {
		return
	}
	if n > uint32(len(k.b)) && k.reading {
		k.err = errSnapshot
		return
	}
	f := x.Memory.flightOf(h)
	if k.reading {
		f.spans = append(f.spans[:0], make([]span, n)...)
		x.Memory.weigh(f)
	}
	word(k, &f.sacked)
	word(k, &f.lost)
	for i := range f.live() {
		f.live()[i].fields(k)
	}
}

// marks writes or reads the ends of records.
func (k *codec) marks(x *Env, h *handle) {
	n := uint16(len(x.Memory.marks[*h]))
	if word(k, &n); n == 0 || k.err != nil {
		return
	}
	if n > maxMarks {
		k.err = errSnapshot
		return
	}
	list := x.Memory.marksOf(h)
	if k.reading {
		*list = make([]seq.Num, n)
	}
	for i := range *list {
		word(k, &(*list)[i])
	}
}

func (s *span) fields(k *codec) {
	word(k, &s.end)
	word(k, &s.fate)
	flag(k, &s.again)
	flag(k, &s.probe)
	word(k, &s.at)
	word(k, &s.delivered)
	word(k, &s.deliveredAt)
	word(k, &s.firstAt)
	flag(k, &s.appLimited)
	word(k, &s.flight)
	word(k, &s.lost)
}

func (r *rack) fields(k *codec) {
	word(k, &r.at)
	word(k, &r.end)
	word(k, &r.rtt)
	word(k, &r.late)
	word(k, &r.degree)
	word(k, &r.fack)
	word(k, &r.dsackRound)
	word(k, &r.probe)
	word(k, &r.mult)
	word(k, &r.persist)
}
