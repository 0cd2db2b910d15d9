package stack

import (
	"errors"
	"runtime"
	"sync/atomic"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// ref names a record of a shard: its kind in the two upper bits, its index in the slab below. 0 names none.
type ref uint32

const (
	kindShift        = 30
	kindConn  uint32 = 1 << kindShift
	kindHalf  uint32 = 2 << kindShift
	kindWait  uint32 = 3 << kindShift
	indexMask ref    = 1<<kindShift - 1
)

func (r ref) index() uint32 { return uint32(r & indexMask) }
func (r ref) kind() uint32  { return uint32(r &^ indexMask) }

// entry is what a record of any kind begins with: its flow, and the next in its chain of the table.
type entry struct {
	key
	next ref
}

// record is a connection past the handshake, or one that we opened. It holds no pointer.
type record struct {
	entry
	node     node
	owner    uint32 // index into shard.owners
	listener uint32 // the same, of the listener, while early or counted; else 0
	thirsty  uint32 // place in shard.thirst; 0: none
	flight   uint32 // place in shard.recorder, if that says so, too
	dirty    bool   // in shard.dirty or shard.bulk
	late     bool   // in shard.late
	orphan   bool   // counted in shard.orphans
	early    bool   // opened by a cookie, and the handshake is not over
	counted  bool   // against ListenConfig.Connections and SourceConnections
	tcp      tcp.Conn
}

// half is a connection in SYN-RECEIVED after a passive open.
type half struct {
	entry
	node  node
	owner uint32 // index into shard.owners: the listener's
	tcp   tcp.HalfOpen
}

// wait is a connection in TIME-WAIT: in the table, and in a list from the first to end to the last.
type wait struct {
	entry
	before, after ref
	tcp           tcp.TimeWait
}

// owner is a handler with the number of connections, half-open ones included, that it has on this shard.
type owner struct {
	handler  Handler
	listener *Listener // whose handler it is, or nil
	conns    int
}

// shard is one queue's part of the stack. One goroutine runs it to completion; it takes no lock.
type shard struct {
	stack *Stack
	id    int
	dev   link.Device
	env   tcp.Env
	now   mono.Time
	batch *link.Batch
	lends bool // the packet at hand lies in batch
	ahead ahead

	table  table
	wheel  wheel
	conns  slab[record]
	halves slab[half]
	waits  slab[wait]
	first  ref // the TIME-WAIT that ends first
	last   ref

	owners     []owner
	freeOwners []uint32
	byListener map[*Listener]uint32

	requests map[Flow]*Request // that wait for a verdict
	patience patience

	orphans             int      // connections that their users have closed and that are not over
	dirty               []uint32 // connections that may have something to send
	late                []uint32 // those of them whose acknowledgment waits
	lateSince           mono.Time
	bulk                fifo // those of them with much text
	thirst              thirst
	sweepAt             mono.Time // no sweep before, unless something has found no memory
	hand                uint32    // the connection at which giveWay has stopped
	pass                []uint32
	frags               *ip.Reassembler
	present             presence
	inbox               inbox
	over                chan struct{} // closed when run has returned
	stopping            atomic.Bool
	yield               bool         // Conn.Yield
	forwards            atomic.Int32 // packets on their way here from other shards
	forwardBytes        atomic.Int64 // and their bytes
	counters            Counters
	watches             []*Watch
	reason              string // why the packet at hand was not taken; kept only if somebody listens
	heard               Kinds  // what any of them listens to
	event               Event
	raw                 []byte // the packet at hand, and the segment, for those who listen
	came                tcp.Segment
	recorder            recorder
	flow                Flow   // the one being worked on, for the tracer
	current             uint32 // and its connection; 0: it has none yet, or is packed
	temp                tcp.Conn
	out                 tcp.Out
	packet              link.Packet
	header              [ip.HeaderLen + tcp.MaxHeaderLen]byte
	scratch             [1500]byte
	errorRate, pingRate rate
	port                uint32 // where the search for a free port begins
}

const fragmentTimeout = 30 * mono.Second

func newShard(s *Stack, id int, dev link.Device) *shard {
	n := len(s.cfg.Link.Queues)
	sh := &shard{
		stack: s, id: id, dev: dev, batch: link.NewBatch(), owners: make([]owner, 1), byListener: map[*Listener]uint32{}, requests: map[Flow]*Request{},
		frags: ip.NewReassembler(s.limits.Load().Fragments/n, int64(fragmentTimeout)), present: newPresence(), over: make(chan struct{}),
	}
	sh.env = tcp.Env{
		Settings: []tcp.Settings{s.cfg.TCP}, Memory: tcp.NewMemory(s.limits.Load().Memory / n),
		Limit: tcp.Limiter{Key: s.cfg.Secrets[0]},
		MTU:   s.cfg.Link.MTU, Frame: s.cfg.Link.Superframe, Strict: s.cfg.Strict,
	}
	sh.ahead = newAhead(cap(sh.batch.Packets))
	sh.recorder = newRecorder(s.cfg.Limits.FlightRecorder / n)
	for i := range s.cfg.Watches {
		sh.watches = append(sh.watches, &s.cfg.Watches[i])
	}
	sh.listen()
	sh.table = newTable(sh.entryOf, func(e *entry) uint64 { f := e.flow(); return sh.hash(&f) })
	sh.wheel.node, sh.wheel.fire = sh.nodeOf, sh.fire
	sh.now = s.cfg.Now()
	sh.wheel.start(sh.now)
	sh.port = uint32(s.cfg.Secrets[0][0]>>32) ^ uint32(id)
	return sh
}

func (s *shard) hash(f *Flow) uint64 { return s.stack.cfg.Secrets[1].Hash(f) }

func (s *shard) entryOf(r ref) *entry {
	switch r.kind() {
	case kindConn:
		return &s.conns.at(r.index()).entry
	case kindHalf:
		return &s.halves.at(r.index()).entry
	}
	return &s.waits.at(r.index()).entry
}

func (s *shard) nodeOf(r ref) *node {
	if r.kind() == kindConn {
		return &s.conns.at(r.index()).node
	}
	return &s.halves.at(r.index()).node
}

// run turns until the stack is closed or the device fails.
func (s *shard) run() error {
	next := mono.Time(0)
	for !s.stopping.Load() {
		if next > s.now {
			if err := s.dev.Wait(next); err != nil {
				return s.gone(err)
			}
		}
		var err error
		if next, err = s.turn(); err != nil {
			return s.gone(err)
		}
		if s.yield {
			s.yield = false
			runtime.Gosched()
		}
	}
	s.abortAll()
	return nil
}

func (s *shard) gone(err error) error {
	s.abortAll()
	if errors.Is(err, link.ErrClosed) && s.stack.closed.Load() {
		return nil
	}
	return err
}

// turn is one turn: read, take in, expire, hear other goroutines, send. It returns when the next is due.
func (s *shard) turn() (next mono.Time, err error) {
	if err := s.dev.Read(s.batch); err != nil {
		return 0, err
	}
	s.now = max(s.now, s.stack.cfg.Now())
	s.counters.Turns++
	s.lookAhead(s.batch.Packets)
	for i := range s.batch.Packets {
		s.ingest(&s.batch.Packets[i], s.ahead.hashes[i])
	}
	s.expire()
	s.inbox.drain()
	s.giveWay()
	s.quench()
	more := s.emit(s.batch.Room() == nil)
	s.counters.TurnLength.Add(s.stack.cfg.Now().Sub(s.now))
	if more || s.batch.Room() == nil || s.thirst.live > 0 && s.env.Memory.Free() {
		return s.now, nil
	}
	return s.deadline(), nil
}

func (s *shard) expire() {
	s.wheel.advance(s.now)
	s.expireWaits()
	s.expireRequests()
	if d := s.frags.Deadline(); d != 0 && mono.Time(d) <= s.now {
		s.frags.Expire(int64(s.now))
	}
}

// fire is for a record that the wheel has brought to its time; it reports whether that was its deadline.
func (s *shard) fire(r ref) bool {
	if r.kind() == kindConn {
		return s.timeout(r.index())
	}
	return s.halfTimeout(r)
}

// deadline is when something is to be done though nothing arrives.
func (s *shard) deadline() mono.Time {
	d := s.wheel.deadline()
	if s.first != 0 {
		d = min(d, s.waits.at(s.first.index()).tcp.Deadline(s.now)+1)
	}
	if t := s.frags.Deadline(); t != 0 {
		d = min(d, mono.Time(t))
	}
	if len(s.patience) > 0 {
		d = min(d, s.patience[0].until)
	}
	if s.env.Memory.Scarce() {
		d = min(d, s.sweepAt)
	}
	return d
}

// post puts a task into the inbox and wakes the shard; false after the stack's Close.
func (s *shard) post(t *Task) bool {
	if s.inbox.closed.Load() {
		return false
	}
	s.inbox.push(t)
	s.dev.Wake()
	return true
}

// abortAll ends every connection with a RST, and lets the handlers know.
func (s *shard) abortAll() {
	s.now = max(s.now, s.stack.cfg.Now())
	s.inbox.closed.Store(true)
	s.inbox.drain()
	s.cancelRequests(nil)
	for i := uint32(1); i < s.conns.next; i++ {
		if rec := s.conns.at(i); rec.localPort != 0 {
			s.work(i)
			rec.tcp.Shutdown(&s.env, s.now)
			s.settle(i)
		}
	}
	for s.emit(false) {
	}
	s.inbox.drain()
}
