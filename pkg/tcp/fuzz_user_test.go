package tcp

import (
	"bytes"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// The calls of a fuzzed connection's user, and of the stack around it.

// write queues n bytes of the pattern.
func (z *fuzzed) write(n int) {
	text := make([]byte, n)
	fill(text, uint32(z.written), ourPattern)
	took := z.c.Write(z.x, text)
	z.written += took
	z.log.call(printed("write(4, ..., %d)", n), took)
}

// take reads up to n bytes, and compares.
func (z *fuzzed) take(n int) {
	if !z.open {
		return
	}
	a, b, in := z.c.Unread(z.x)
	text := append(append(append([]byte(nil), a...), b...), in...)
	text = text[:min(len(text), n)]
	want := make([]byte, len(text))
	fill(want, uint32(z.read), theirPattern)
	if !bytes.Equal(text, want) {
		z.fail("what is read at %d is not what was sent", z.read)
	}
	if len(text) > 0 {
		z.read += len(text)
		z.c.Consume(z.x, len(text))
		z.log.call(printed("read(4, ..., %d)", n), len(text))
	}
}

func (z *fuzzed) close() {
	switch z.byte() % 5 {
	case 0:
		z.closeWrite()
	case 1:
		z.log.call("shutdown(4, SHUT_RD)", 0)
		z.c.CloseRead(z.x, z.now)
	case 2:
		z.log.call("close(4)", 0)
		z.c.Close(z.x, z.now)
	case 3:
		z.log.note("ABORT")
		z.c.Abort(z.x, z.now)
	case 4:
		z.log.note("ABORT, by the stack")
		z.c.Shutdown(z.x, z.now)
	}
	z.skipRead()
}

// skipRead follows a user who has said that he reads no more.
func (z *fuzzed) skipRead() {
	if z.c.is(factDeaf) {
		z.read = int(z.c.rcv.read.Sub(z.c.rcv.irs + 1))
	}
}

func (z *fuzzed) option() {
	k, v := z.byte()%10, z.byte()
	on := v&1 != 0
	z.log.note("option %d is set to %d", k, v)
	switch k {
	case 0:
		z.c.SetNoDelay(on)
	case 1:
		z.c.SetCork(on)
	case 2:
		z.c.SetQuickAck(on)
	case 3:
		z.c.SetFinTimeout(mono.Duration(v) * mono.Second)
	case 4:
		z.c.SetKeepAlive(z.x, z.now, mono.Duration(v)*mono.Second, mono.Duration(v>>4)*mono.Second+1, v&15)
	case 5:
		z.c.SetBuffers(int(v&15)<<10, int(v>>4)<<10)
	case 6:
		z.c.SetUserTimeout(z.x, z.now, mono.Duration(v)*250*mono.Millisecond)
	case 7:
		if z.marks++; z.marks < 200 {
			z.c.EndRecord(z.x)
		}
	case 8:
		z.c.Urge(int(v) << 4)
	case 9:
		z.c.WantSpace(z.x)
		z.c.SetDSCP(v)
	}
}

func (z *fuzzed) icmp() {
	kind, quoted, v := z.byte()%3, z.c.snd.una.Add(uint32(around(z.byte()))), z.byte()
	z.log.note("ICMP error %d quotes %d", kind, quoted-z.peer.ourISS)
	switch kind {
	case 0:
		z.c.TooBig(z.x, z.now, quoted, int(v)<<4)
	case 1:
		z.c.HardError(z.x, z.now, quoted, ICMPError{3, 3})
	case 2:
		z.c.SoftError(z.x, z.now, quoted, ICMPError{3, 1}, v&1 != 0)
	}
}

func (z *fuzzed) memory() {
	z.x.Memory.Limit = int(z.byte()) << 12
	z.x.Memory.Short = false
	z.log.note("memory %d", z.x.Memory.Limit)
}

// repack packs and unpacks a connection that may be, and encodes and decodes any.
func (z *fuzzed) repack() {
	z.settle()
	if !z.open {
		return
	}
	var h HalfOpen
	var w TimeWait
	switch {
	case z.c.PackHalfOpen(&h):
		h.Unpack(z.x, &z.c)
	case z.c.PackTimeWait(&w):
		z.c.Free(z.x)
		w.Unpack(z.x, z.now, &z.c)
	}
	b := z.c.Encode(z.x, nil)
	z.c.Free(z.x)
	limit := z.x.Memory.Limit
	z.x.Memory.Limit = 0
	if err := z.c.Decode(z.x, b); err != nil || !bytes.Equal(z.c.Encode(z.x, nil), b) {
		z.fail("encoded, and decoded as another: %v", err)
	}
	z.x.Memory.Limit = limit
	z.challenge = 0 // of which the packed ones know a little less
	z.log.note("packed and unpacked")
}
