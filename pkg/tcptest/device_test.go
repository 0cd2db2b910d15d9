package tcptest

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// refusing is a device some of whose writes fail, by a plan, and whose reads do when it is gone.
type refusing struct {
	link.Device
	plan   func(n int) error // of the write that is the nth; nil: none fails
	writes int
	failed uint64
	now    bool // the write at hand fails
	gone   error
}

func (d *refusing) Write(p *link.Packet) error {
	d.writes++
	if d.plan != nil {
		if err := d.plan(d.writes); err != nil {
			d.failed++
			d.now = true
			_ = d.Device.Write(p) // for the watcher to see; the path loses it
			d.now = false
			return err
		}
	}
	return d.Device.Write(p)
}

func (d *refusing) Read(b *link.Batch) error {
	if d.gone != nil {
		return d.gone
	}
	return d.Device.Read(b)
}

// refusingPair is a pair on devices whose writes may be made to fail.
func refusingPair(t *testing.T, o HostOptions) (p *pair, a, b *refusing) {
	var all []*refusing
	o.Wrap = func(d link.Device) link.Device {
		all = append(all, &refusing{Device: d})
		return all[len(all)-1]
	}
	p = newPair(t, o)
	p.Log.Verbose = false
	loses := func(d *refusing) func(*Frame) Verdict {
		return func(*Frame) Verdict {
			if d.now {
				return Lose
			}
			return Pass
		}
	}
	p.ab.Filter, p.ba.Filter = loses(all[0]), loses(all[1])
	return p, all[0], all[1]
}

// every has each nth write fail.
func every(n int, err error) func(int) error {
	return func(k int) error {
		if k%n == 0 {
			return err
		}
		return nil
	}
}

// writeErrors is what a write to a TUN may say: the link is down, its queue is full, there is no memory, the signal that
// interrupted it, a packet that the kernel does not like, and the queue is gone. Whether that is so the next read tells.
var writeErrors = []error{syscall.EIO, syscall.ENOBUFS, syscall.EAGAIN, syscall.ENOMEM, syscall.EINTR, syscall.EINVAL, syscall.EMSGSIZE, syscall.EBADFD, link.ErrClosed, errors.New("what nobody knows")}

// TestWriteErrors has writes fail at either end, for a while or now and then, with every error: what was not written is lost
// as on a wire, counted, and sent again. Meanwhile no shard turns more often than its timers want, and afterwards all goes
// on.
func TestWriteErrors(t *testing.T) {
	for _, e := range writeErrors[:max(3, few(uint64(len(writeErrors))))] {
		for _, n := range []int{1, 2, 7} {
			t.Run(fmt.Sprintf("%v, every %d", e, n), func(t *testing.T) {
				p, a, b := refusingPair(t, HostOptions{Superframe: n == 7, Checksum: n == 7})
				p.dial()
				p.c.Write(100_000)
				p.s.Write(100_000)
				p.Run(30 * ms)
				a.plan, b.plan = every(n, e), every(n, e)
				turns := p.Turns
				p.Run(20 * second)
				if turns = p.Turns - turns; n == 1 && turns > 200 {
					t.Errorf("%d turns while nothing could be written", turns)
				}
				if n == 7 { // they never end
					p.read(100_000, 100_000)
				}
				a.plan, b.plan = nil, nil
				p.Run(60 * second)
				p.read(100_000, 100_000)
				p.countsRefused(p.a, a)
				p.countsRefused(p.b, b)
				p.end()
			})
		}
	}
}

// countsRefused demands that the host has counted what its device has refused.
func (p *pair) countsRefused(h *Host, d *refusing) {
	p.t.Helper()
	if c := h.Stack.Counters(0); d.failed == 0 || c.WriteErrors != d.failed || c.Written != uint64(d.writes)-d.failed {
		p.t.Errorf("%s has counted %d errors and %d writes; of %d writes %d failed", h.Name, c.WriteErrors, c.Written, d.writes, d.failed)
	}
}

// TestWriteErrorsWhileOpeningAndClosing has the first writes of either end fail, one after the other: the handshake and the
// close heal, too.
func TestWriteErrorsWhileOpeningAndClosing(t *testing.T) {
	for k := 1; k <= 5; k++ {
		for _, host := range []int{0, 1} {
			p, a, b := refusingPair(t, HostOptions{})
			h, d := []*Host{p.a, p.b}[host], []*refusing{a, b}[host]
			d.plan = func(n int) error {
				if n == k {
					return syscall.ENOBUFS
				}
				return nil
			}
			p.dial()
			p.c.Write(1000)
			p.s.Write(1000)
			p.Run(10 * second)
			p.read(1000, 1000)
			p.end()
			if p.countsRefused(h, d); t.Failed() {
				t.Fatalf("write %d of %s", k, h.Name)
			}
		}
	}
}

// TestWriteErrorsForLong is a device that takes nothing for longer than R2: then who has something to send gives up, and
// says so; who has not does not notice.
func TestWriteErrorsForLong(t *testing.T) {
	p, a, _ := refusingPair(t, HostOptions{})
	p.dial()
	quiet := p.c
	p.dial()
	a.plan = every(1, syscall.EIO)
	p.c.Write(1000)
	p.Run(hour)
	if p.c.Held || p.c.Events&tcp.TimedOut == 0 || !quiet.Held {
		t.Errorf("the writer holds his connection: %v, events %b; the other his: %v", p.c.Held, p.c.Events, quiet.Held)
	}
	a.plan = nil
	quiet.Write(1000)
	p.Run(second)
	if n := p.l.Users[0].Read; n != 1000 {
		t.Errorf("the quiet one's peer has read %d bytes", n)
	}
	for _, u := range p.l.Users {
		u.Abort()
	}
	p.over()
}

// TestFatalRead: only what a read says ends a shard.
func TestFatalRead(t *testing.T) {
	p, a, _ := refusingPair(t, HostOptions{})
	p.dial()
	a.gone = syscall.EBADFD
	if _, err := p.a.Stack.Turn(0); !errors.Is(err, syscall.EBADFD) {
		t.Errorf("a turn on a device that is gone: %v", err)
	}
}

// TestWritesFailForAll has a crowd write while many writes fail at both ends, and memory is short: everything arrives, and
// nothing is left.
func TestWritesFailForAll(t *testing.T) {
	crowd := int(max(12, few(60)))
	p, a, b := refusingPair(t, HostOptions{Limits: stack.Limits{Memory: 4 << 20}})
	p.CheckEvery = 20
	a.plan, b.plan = every(6, syscall.ENOBUFS), every(5, syscall.ENOBUFS)
	var all []*User
	for range crowd {
		all = append(all, p.a.Dial(p.b, 80, 0))
	}
	p.l.Accept = func(u *User) { u.Write(30_000) }
	for _, u := range all {
		u.want = 30_000
	}
	for until := p.now.Add(hour); p.now < until; p.Run(10 * second) {
		done := 0
		for _, u := range append(all, p.l.Users...) {
			if u.Read == 30_000 {
				done++
			}
		}
		if done == 2*crowd {
			break
		}
	}
	for _, u := range append(all, p.l.Users...) {
		if u.Read != 30_000 || !u.Held {
			t.Fatalf("%s: %d bytes read, held %v, events %b", u.Host.Name, u.Read, u.Held, u.Events)
		}
		u.Close()
	}
	p.Run(mono.Second)
	p.countsRefused(p.a, a)
	a.plan, b.plan = nil, nil
	p.over()
}
