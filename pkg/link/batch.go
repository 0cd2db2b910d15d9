package link

import "sync/atomic"

// MaxPacket is the largest packet a device hands up, in bytes: IPv4's limit.
const MaxPacket = 65535

const (
	batchPackets = 64
	// deviceHeader is room for what a device puts before each packet (virtio's header takes 10 or 12 bytes).
	deviceHeader = 16
	batchBytes   = 4 * (MaxPacket + deviceHeader)
	maxStores    = 8
)

// Batch is the packets of one Read. Packets and their bytes are valid until the next Read into it, or longer if they are
// lent.
type Batch struct {
	Packets []Packet
	store   *Loan // where they lie
	used    int   // bytes of it
	spare   *Loan // where the next ones will lie, if these are lent
	stores  []*Loan
}

// Loan is what keeps the bytes of a Batch as they are.
type Loan struct {
	bytes []byte
	count atomic.Int32 // how often it is lent
}

// NewBatch returns a batch of up to 64 packets; small ones lie close together in 256 KiB.
func NewBatch() *Batch {
	b := &Batch{Packets: make([]Packet, 0, batchPackets)}
	b.store = b.newStore()
	return b
}

func (b *Batch) newStore() *Loan {
	l := &Loan{bytes: make([]byte, batchBytes)}
	b.stores = append(b.stores, l)
	return l
}

// Reset empties b. Devices call it first.
func (b *Batch) Reset() {
	clear(b.Packets)
	b.Packets, b.used = b.Packets[:0], 0
	if b.Lent() {
		b.store = b.spare
	}
	b.spare = nil
}

// Room returns where the device is to put the next packet (any packet fits, its own header before it), or nil
// when b is full.
func (b *Batch) Room() []byte {
	if len(b.Packets) >= batchPackets || len(b.store.bytes)-b.used < MaxPacket+deviceHeader {
		return nil
	}
	return b.store.bytes[b.used : b.used+MaxPacket+deviceHeader]
}

// Add takes the bytes room[from:to] of the last Room as a packet, to be described by the caller.
func (b *Batch) Add(room []byte, from, to int) *Packet {
	b.Packets = append(b.Packets, Packet{Head: room[from:to:to]})
	b.used += (to + 63) &^ 63 // the next packet on a cache line of its own
	if b.used > len(b.store.bytes) {
		b.used = len(b.store.bytes)
	}
	return &b.Packets[len(b.Packets)-1]
}

// Lend keeps the bytes of the packets as they are until the Loan is returned: the next ones are read to another place. It
// returns nil when there is none, for borrowers who are slow may not have more than 2 MiB.
func (b *Batch) Lend() *Loan {
	if b.spare == nil && !b.findSpare() {
		return nil
	}
	b.store.count.Add(1)
	return b.store
}

// Lent reports whether any of the bytes are lent.
func (b *Batch) Lent() bool { return b.spare != nil && b.store.count.Load() > 0 }

func (b *Batch) findSpare() bool {
	for _, l := range b.stores {
		if l != b.store && l.count.Load() == 0 {
			b.spare = l
			return true
		}
	}
	if len(b.stores) < maxStores {
		b.spare = b.newStore()
	}
	return b.spare != nil
}

// Return ends a loan: its borrower looks at the bytes no more. Any goroutine may call it, once for each Lend.
func (l *Loan) Return() { l.count.Add(-1) }
