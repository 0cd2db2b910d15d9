package tun

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// parking is where a device's goroutine waits: on the queue and an eventfd, which wakers write.
type parking struct {
	state atomic.Uint32 // idle, parked or woken
	event int           // eventfd
	fds   [2]unix.PollFd
	spin  spinning
}

const (
	idle   = iota
	parked // in ppoll, or about to be: a waker must write the eventfd
	woken  // a Wake that no Wait has taken yet
)

func (k *parking) open(queue int) error {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("tun: eventfd: %w", err)
	}
	k.event = fd
	k.fds = [2]unix.PollFd{{Fd: int32(queue), Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}}
	return nil
}

func (k *parking) close() { _ = unix.Close(k.event) }

// wake makes the wait under way, or the next one, return. Its caller has the device entered.
func (k *parking) wake() {
	if k.state.Swap(woken) == parked {
		one := [8]byte{1}
		_, _ = unix.Write(k.event, one[:]) // fails only when it is full of wakes
	}
}

// Wake ends the Wait under way, or the next one.
func (d *device) Wake() {
	// A waker that finds nobody parked touches no descriptor.
	if d.parking.state.CompareAndSwap(idle, woken) || d.parking.state.Load() == woken {
		return
	}
	if d.enter() {
		d.parking.wake()
		d.leave()
	}
}

// Wait spins for a short while, if that paid lately, and then parks the thread.
func (d *device) Wait(until mono.Time) error {
	if !d.enter() {
		return link.ErrClosed
	}
	defer d.leave()
	k := &d.parking
	if k.state.Load() == woken || len(d.found.Packets) > 0 || until <= mono.Now() {
		k.state.Store(idle)
		return nil // Close is noticed by whatever is called next
	}
	k.fds[0].Revents, k.fds[1].Revents = 0, 0
	ready, err := d.spin(until)
	if err != nil {
		return err
	}
	var errno unix.Errno
	if !ready && k.state.CompareAndSwap(idle, parked) {
		errno = k.park(until)
	}
	k.state.Store(idle)
	switch {
	case d.use.Load() >= closing:
		return link.ErrClosed
	case errno != 0 && errno != unix.EINTR:
		return fmt.Errorf("tun: %s: ppoll: %w", d.name, errno)
	case k.fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0:
		return d.gone(unix.EBADFD)
	}
	return nil
}

// park sleeps until the queue has a packet, a waker calls, or the time has come.
func (k *parking) park(until mono.Time) unix.Errno {
	from := mono.Now()
	n, errno := sysPark(k.fds[:], until)
	if d := mono.Now().Sub(from); n > 0 || d > soon { // a short time-out says nothing
		k.spin.parked(d)
	}
	if k.fds[1].Revents != 0 {
		var count [8]byte
		_, _ = unix.Read(k.event, count[:])
	}
	return errno
}

// spin reads for as long as spinning is thought to pay; ready says that there is something to do, or that the time has come.
// What it reads first is perhaps not all that came during the turn; after that one packet is all there is.
func (d *device) spin(until mono.Time) (ready bool, err error) {
	k := &d.parking
	from := mono.Now()
	if !k.spin.pays(from) {
		return false, nil
	}
	end := mono.Min(from.Add(k.spin.window), until)
	yield := from.Add(yieldAfter)
	err = d.fill(&d.found, math.MaxInt)
	for now := from; ; now = mono.Now() {
		switch {
		case len(d.found.Packets) > 0 || err != nil || k.state.Load() == woken:
			return true, err
		case now >= until:
			return true, nil
		case now >= end:
			return false, nil
		}
		if now >= yield {
			sysYield()
			k.spin.yielded(now, mono.Now())
			yield = now.Add(yieldEach)
		}
		err = d.fill(&d.found, 1)
	}
}

// spinning decides how long to spin before parking. A wait that ended soon after parking would have been shorter and
// cheaper by spinning: the window opens. A wait that outlasted the window shuts it by half, so that an idle
// device soon parks at once. Where packets come several at a time, nobody waits for an answer to the last alone, and the
// processor is of more use to those who send them.
//
// The scheduler may have put who is to answer behind the spinner, on the same processor; so a spinner lets others go first.
// When they take all they can get, he is better off parked: who wakes up goes before those who have had their share.
type spinning struct {
	window time.Duration
	crowd  bool      // the last Read brought more than one packet
	shy    mono.Time // no spin before: others want the processor
}

const (
	// A sleeper on another processor takes some 25 us to be woken, in a virtual machine: a round trip of one connection takes
	// half the time where the window outlasts that.
	maxSpin = 60 * time.Microsecond
	minSpin = 2 * time.Microsecond
	// soon is a wait that spinning would have covered: parking and waking take some 20 us of it.
	soon = 50 * time.Microsecond

	// yieldAfter is longer than an answer from another processor takes at most times.
	yieldAfter = 20 * time.Microsecond
	yieldEach  = 10 * time.Microsecond
	// slice is more than an answer takes, and less than the scheduler gives to who wants more.
	slice = time.Millisecond
	// shyness is for how many times as long as others had the processor there is no spin.
	shyness = 16
)

func (s *spinning) pays(now mono.Time) bool { return !s.crowd && s.window > 0 && now >= s.shy }

// yielded tells that others could have the processor, and for how long they had it.
func (s *spinning) yielded(from, to mono.Time) {
	if d := to.Sub(from); d > slice {
		s.shy = to.Add(shyness * d)
	}
}

// parked tells of a wait that spinning did not end: it took d more.
func (s *spinning) parked(d time.Duration) {
	switch {
	case d <= soon:
		s.window = maxSpin
	case s.window > minSpin:
		s.window /= 2
	default:
		s.window = 0
	}
}
