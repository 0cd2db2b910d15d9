package bsd

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// ErrBlocked says that a call has to wait, on a blocking descriptor: make it again when the stack has moved. What it has
// done by then is not lost: a send or a receive that returns n and ErrBlocked has taken n bytes, and goes on with the
// rest.
var ErrBlocked = errors.New("bsd: the call would block")

// Options say how descriptors are numbered, and what a socket begins with.
type Options struct {
	Number  func() (int, error) // the number of a new descriptor; nil: the least that is free, from 3 on
	Release func(fd int)        // it has been closed; may be nil
	// NotSentLowat is how much may be queued and unsent before a writer has to wait, in bytes, where TCP_NOTSENT_LOWAT has not
	// been set (Linux's sysctl tcp_notsent_lowat); 0: no limit.
	NotSentLowat int
}

// Sockets are the descriptors over one stack, which is turned by nobody else.
type Sockets struct {
	Stack *stack.Stack

	addrs []netip.Prefix
	opt   Options
	now   func() mono.Time
	next  mono.Time
	files map[int]file
	all   map[*socket]bool // also those that nobody has accepted yet
	port  uint16           // where the search for a port to listen on begins
}

// file is what a descriptor stands for: a *socket or an *epoll.
type file interface{ isFile() }

// New makes a stack of one queue, and a table of descriptors over it.
func New(cfg stack.Config, opt Options) (*Sockets, error) {
	if cfg.Now == nil {
		cfg.Now = mono.Now
	}
	st, err := stack.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Sockets{
		Stack: st, addrs: cfg.Addrs, opt: opt, now: cfg.Now, next: mono.Never,
		files: map[int]file{}, all: map[*socket]bool{}, port: firstPort,
	}, nil
}

// Turn turns the stack until it has nothing more to do now, and returns when it is due again: it is to be called when
// packets have been delivered, and at Deadline.
func (s *Sockets) Turn() (next mono.Time, err error) {
	for {
		if s.next, err = s.Stack.Turn(0); err != nil {
			return s.next, err
		}
		if s.next > s.now() && !s.goOn() {
			break
		}
	}
	for k := range s.all {
		k.offerSpace()
		if k.lingers != 0 {
			s.next = min(s.next, max(k.lingers, s.now()+1))
		}
	}
	return s.next, nil
}

// goOn lets the sockets do what the turn allows, and reports that another turn is due for it.
func (s *Sockets) goOn() (again bool) {
	for k := range s.all {
		again = k.goOn() || again
	}
	return again
}

// Deadline is when Turn is due though nothing arrives and nothing is called, or mono.Never.
func (s *Sockets) Deadline() mono.Time { return s.next }

// number gives a file a descriptor.
func (s *Sockets) number(f file) (fd int, err error) {
	if s.opt.Number != nil {
		if fd, err = s.opt.Number(); err != nil {
			return -1, err
		}
	} else {
		for fd = 3; s.files[fd] != nil; fd++ {
		}
	}
	s.files[fd] = f
	return fd, nil
}

// release takes a descriptor out of the table.
func (s *Sockets) release(fd int) {
	delete(s.files, fd)
	for _, f := range s.files {
		if e, ok := f.(*epoll); ok {
			delete(e.entries, fd)
		}
	}
	if s.opt.Release != nil {
		s.opt.Release(fd)
	}
}

// socket finds the socket of a descriptor.
func (s *Sockets) socket(fd int) (*socket, error) {
	switch f := s.files[fd].(type) {
	case *socket:
		return f, nil
	case nil:
		return nil, unix.EBADF
	}
	return nil, unix.ENOTSOCK
}

// Conn is the connection beneath a descriptor; false if there is none, or none any more.
func (s *Sockets) Conn(fd int) (c stack.Conn, ok bool) {
	k, err := s.socket(fd)
	if err != nil || !k.held {
		return stack.Conn{}, false
	}
	return k.conn, true
}

// LocalAddr is getsockname.
func (s *Sockets) LocalAddr(fd int) (netip.AddrPort, error) {
	k, err := s.socket(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return k.local, nil
}

// PeerAddr is getpeername.
func (s *Sockets) PeerAddr(fd int) (netip.AddrPort, error) {
	k, err := s.socket(fd)
	switch {
	case err != nil:
		return netip.AddrPort{}, err
	case k.phase != connected:
		return netip.AddrPort{}, unix.ENOTCONN
	}
	return k.remote, nil
}

// Has reports whether a descriptor is one of these.
func (s *Sockets) Has(fd int) bool { return s.files[fd] != nil }
