package bsd

import (
	"cmp"
	"slices"

	"golang.org/x/sys/unix"
)

// ready is tcp_poll: what may be done with the socket, as bits of poll, which are epoll's, too.
func (k *socket) ready() (e uint32) {
	if k.phase == listening {
		if len(k.arrivals) > 0 {
			return unix.EPOLLIN | unix.EPOLLRDNORM
		}
		return 0
	}
	closed := !k.held && !k.deferred
	if closed || k.receiveShut() && k.sendShut() {
		e |= unix.EPOLLHUP
	}
	if k.receiveShut() {
		e |= unix.EPOLLIN | unix.EPOLLRDNORM | unix.EPOLLRDHUP
	}
	switch {
	case k.deferred:
		e |= unix.EPOLLOUT | unix.EPOLLWRNORM
	case k.opened || closed:
		e |= k.readyText()
	}
	if k.err != 0 {
		e |= unix.EPOLLERR
	}
	return e
}

// readyText is what may be done with text.
func (k *socket) readyText() (e uint32) {
	if k.waiting() >= k.options.value(unix.SOL_SOCKET, unix.SO_RCVLOWAT) {
		e |= unix.EPOLLIN | unix.EPOLLRDNORM
	}
	if k.sendShut() || k.writable() {
		e |= unix.EPOLLOUT | unix.EPOLLWRNORM
	} else {
		k.noSpace = true
	}
	if u := &k.urgent; u.known && !u.taken && !u.passed {
		e |= unix.EPOLLPRI
	}
	return e
}

// Poll is poll(2) without the waiting: it fills in what is ready of each, and counts them.
func (s *Sockets) Poll(fds []unix.PollFd) (n int) {
	const always = unix.POLLERR | unix.POLLHUP
	for i := range fds {
		p := &fds[i]
		p.Revents = 0
		switch f := s.files[int(p.Fd)].(type) {
		case nil:
			if p.Fd >= 0 {
				p.Revents = unix.POLLNVAL
			}
		case *socket:
			p.Revents = int16(f.ready()) & (p.Events | always)
		case *epoll:
			if len(f.pending()) > 0 {
				p.Revents = unix.POLLIN & p.Events
			}
		}
		if p.Revents != 0 {
			n++
		}
	}
	return n
}

// epoll is an epoll instance.
type epoll struct {
	entries map[int]*watch
	turns   uint64 // how often one has been reported
}

func (*epoll) isFile() {}

// watch is a descriptor in an epoll instance.
type watch struct {
	fd      int
	socket  *socket
	event   unix.EpollEvent
	woken   bool   // something has happened since it was last reported; all that counts if it is edge-triggered
	spent   bool   // EPOLLONESHOT, and it has been reported
	turn    uint64 // when it was last reported: who has waited longest comes first
	removed bool
}

// wake tells of something that happened to a socket: of the bits in e, or, if 0, of whatever one waits for.
func (k *socket) wake(e uint32) {
	k.watchers = slices.DeleteFunc(k.watchers, func(w *watch) bool { return w.removed })
	for _, w := range k.watchers {
		if e == 0 || e&w.mask() != 0 {
			w.woken = true
		}
	}
}

// mask is what is waited for: errors always are.
func (w *watch) mask() uint32 { return w.event.Events | unix.EPOLLERR | unix.EPOLLHUP }

// EpollCreate is epoll_create(2).
func (s *Sockets) EpollCreate() (fd int, err error) {
	return s.number(&epoll{entries: map[int]*watch{}})
}

// EpollCtl is epoll_ctl(2).
func (s *Sockets) EpollCtl(ep, op, fd int, e unix.EpollEvent) error {
	p, ok := s.files[ep].(*epoll)
	k, isSocket := s.files[fd].(*socket)
	w := p.find(fd)
	switch {
	case s.files[ep] == nil || s.files[fd] == nil:
		return unix.EBADF
	case !ok || ep == fd:
		return unix.EINVAL
	case !isSocket:
		return unix.EPERM
	case op == unix.EPOLL_CTL_ADD && w != nil:
		return unix.EEXIST
	case op == unix.EPOLL_CTL_ADD:
		w = &watch{fd: fd, socket: k, event: e, woken: true}
		p.entries[fd] = w
		k.watchers = append(k.watchers, w)
		k.ready() // one who finds no room to write is told when there is some
	case w == nil:
		return unix.ENOENT
	case op == unix.EPOLL_CTL_MOD:
		w.event, w.woken, w.spent = e, true, false
		k.ready()
	case op == unix.EPOLL_CTL_DEL:
		w.removed = true
		delete(p.entries, fd)
	default:
		return unix.EINVAL
	}
	return nil
}

func (p *epoll) find(fd int) *watch {
	if p == nil {
		return nil
	}
	return p.entries[fd]
}

// report is what is to be told of a watch, or 0.
func (w *watch) report() uint32 {
	if w.spent || w.event.Events&unix.EPOLLET != 0 && !w.woken {
		return 0
	}
	return w.socket.ready() & w.mask()
}

// pending are the watches that have something to tell, in the order in which they are told.
func (p *epoll) pending() (list []*watch) {
	for _, w := range p.entries {
		if w.report() != 0 {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b *watch) int {
		return cmp.Or(cmp.Compare(a.turn, b.turn), cmp.Compare(a.fd, b.fd))
	})
	return list
}

// EpollWait is epoll_wait(2) without the waiting.
func (s *Sockets) EpollWait(ep int, events []unix.EpollEvent) (n int, err error) {
	p, ok := s.files[ep].(*epoll)
	switch {
	case s.files[ep] == nil:
		return 0, unix.EBADF
	case !ok || len(events) == 0:
		return 0, unix.EINVAL
	}
	for _, w := range p.pending() {
		if n == len(events) {
			break
		}
		events[n] = w.event
		events[n].Events = w.report()
		n++
		p.turns++
		w.woken, w.turn = false, p.turns
		w.spent = w.event.Events&unix.EPOLLONESHOT != 0
	}
	return n, nil
}
