package socket

import (
	"errors"
	"io"
)

// Read reads text that has arrived in order. After the peer's FIN it returns io.EOF; what came before a FIN or a RST
// can be read first.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		if c.state.Load()&closed != 0 {
			return 0, c.readable()
		}
		return 0, nil // whatever the deadline says, as with net
	}
	if err := c.in.lock.acquire(&c.in.deadline, c.readable); err != nil {
		return 0, err
	}
	defer c.endRead()
	a, b, err := c.text()
	if err != nil {
		return 0, err
	}
	n := copy(p, a)
	n += copy(p[n:], b)
	c.took(n)
	return n, nil
}

var (
	errInvalidRead  = errors.New("socket: the reader has read more than asked for")
	errInvalidWrite = errors.New("socket: the writer has written more than it was given")
)

// WriteTo writes all text until EOF to w, from where it lies: much at once from the device's buffers, and else from the ring.
// Other readers wait for it.
func (c *Conn) WriteTo(w io.Writer) (n int64, err error) {
	if err := c.in.lock.acquire(&c.in.deadline, c.readable); err != nil {
		return 0, err
	}
	defer c.endRead()
	c.in.writesTo.Store(true)
	defer c.in.writesTo.Store(false)
	for {
		a, _, err := c.text()
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		k, err := w.Write(a)
		if k < 0 || k > len(a) {
			return n, errInvalidWrite
		}
		c.took(k)
		n += int64(k)
		if err != nil {
			return n, err
		}
		if k < len(a) {
			return n, io.ErrShortWrite
		}
	}
}

// endRead lets the next reader in.
func (c *Conn) endRead() {
	c.in.lock.release()
	if c.state.Load()&(closed|closedRead) != 0 {
		c.in.forget()
	}
}

// text waits until there is something to read and returns where it lies, or why there will be nothing.
func (c *Conn) text() (a, b []byte, err error) {
	for {
		if err := c.readable(); err != nil {
			return nil, nil, err
		}
		s := c.state.Load() // before the tail: an EOF seen is an EOF behind all text
		head, tail := c.in.head.Load(), c.in.tail.Load()
		if head != tail && s&closedRead == 0 {
			if l := c.in.loans.Load().first(); l != nil {
				return l.text, nil, nil
			}
			a, b = slices(*c.in.ring.Load(), head, int(tail-head))
			return a, b, nil
		}
		if err := c.unreadable(s); err != nil {
			return nil, nil, err
		}
		select {
		case <-c.in.ready:
		case <-c.in.deadline.wait():
		}
	}
}

// took tells that n bytes have been read. The shard is woken for it only when that may open the window: it looks by
// itself when more text comes.
func (c *Conn) took(n int) {
	c.in.loans.Load().read(n) // before the head, which allows the shard to lend behind it
	head := c.in.head.Load() + uint32(n)
	c.in.head.Store(head)
	if head-c.in.told >= min(c.in.size.Load()/4, 256<<10) {
		c.in.told = head
		c.conn.Post(c.task)
	}
}

// Write queues p, waiting for room where there is none.
func (c *Conn) Write(p []byte) (n int, err error) {
	if err := c.out.lock.acquire(&c.out.deadline, c.writable); err != nil {
		return 0, err
	}
	defer c.out.lock.release()
	return c.write(p)
}

// write is Write for who holds the lock.
func (c *Conn) write(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, c.writable()
	}
	for n < len(p) {
		a, b, err := c.room(len(p) - n)
		if err != nil {
			return n, err
		}
		k := copy(a, p[n:])
		k += copy(b, p[n+k:])
		n += k
		c.put(k)
	}
	return n, nil
}

// ReadFrom sends all that r has, read straight into the ring. Other writers wait for it.
func (c *Conn) ReadFrom(r io.Reader) (n int64, err error) {
	if err := c.out.lock.acquire(&c.out.deadline, c.writable); err != nil {
		return 0, err
	}
	defer c.out.lock.release()
	for {
		a, _, err := c.room(readFromPiece)
		if err != nil {
			return n, err
		}
		k, err := r.Read(a)
		if k < 0 || k > len(a) {
			return n, errInvalidRead
		}
		if k > 0 {
			c.put(k)
			n += int64(k)
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

const readFromPiece = 64 << 10

// room waits until there is room for text and returns up to n bytes of it.
func (c *Conn) room(n int) (a, b []byte, err error) {
	for {
		if err := c.writable(); err != nil {
			return nil, nil, err
		}
		una, tail := c.out.una.Load(), c.out.tail.Load()
		if queued, size := tail-una, c.out.size.Load(); queued < size {
			n = min(n, int(size-queued))
			a, b = slices(c.grow(una, tail, n), tail, n)
			return a, b, nil
		}
		c.out.waiting.Store(true)
		c.conn.Post(c.task)
		select {
		case <-c.out.ready:
		case <-c.out.deadline.wait():
		}
	}
}

// put queues n bytes that lie in the room last returned.
func (c *Conn) put(n int) {
	c.out.tail.Store(c.out.tail.Load() + uint32(n))
	c.conn.Post(c.task)
}

const firstRing = 4 << 10

// grow returns a send ring that holds n bytes behind those of [una, tail).
func (c *Conn) grow(una, tail uint32, n int) []byte {
	queued := int(tail - una)
	old := c.out.ring.Load()
	size := firstRing
	if old != nil {
		if size = len(*old); size >= queued+n {
			return *old
		}
	}
	for size < queued+n {
		size *= 4
	}
	ring := make([]byte, size)
	if old != nil {
		a, b := slices(*old, una, queued)
		to, more := slices(ring, una, queued)
		copyAll(to, more, a, b)
	}
	c.out.ring.Store(&ring)
	return ring
}

// copyAll copies a and b, one behind the other, to x and y.
func copyAll(x, y, a, b []byte) {
	for _, from := range [2][]byte{a, b} {
		k := copy(x, from)
		x = x[k:]
		if len(from) > k {
			y = y[copy(y, from[k:]):]
		}
	}
}

// slices is where the n bytes from sequence number s lie in the ring.
func slices(ring []byte, s uint32, n int) (a, b []byte) {
	i := int(s & uint32(len(ring)-1))
	if i+n <= len(ring) {
		return ring[i : i+n : i+n], nil
	}
	return ring[i:], ring[: i+n-len(ring) : i+n-len(ring)]
}
