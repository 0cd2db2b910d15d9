package bsd

import "golang.org/x/sys/unix"

// urgent is Linux's view of urgent text, which is of a single byte: the last one before the urgent pointer. It lies
// outside the stream for who has not set SO_OOBINLINE, and receiving stops before it.
type urgent struct {
	at     uint64 // of the stream; the byte before the one that the pointer points to
	known  bool   // the peer has announced it
	taken  bool   // by MSG_OOB
	passed bool   // read past it
}

// announced notes the urgent pointer, as a position in the stream.
func (u *urgent) announced(pointer uint64) {
	if pointer > 0 {
		*u = urgent{at: pointer - 1, known: true}
	}
}

// bound cuts text that begins at from before the urgent byte; skip tells that what comes next is that byte, which is not
// of the stream.
func (u *urgent) bound(from uint64, a, b []byte, inline bool) (x, y []byte, skip bool) {
	if !u.known || u.passed || from > u.at {
		return a, b, false
	}
	n := u.at - from
	if uint64(len(a)+len(b)) <= n {
		return a, b, false
	}
	if n == 0 && inline {
		u.passed = true
		return a, b, false
	}
	if n == 0 {
		u.passed = true
		return nil, nil, true
	}
	if n <= uint64(len(a)) {
		return a[:n], nil, false
	}
	return a, b[:n-uint64(len(a))], false
}

// receiveUrgent is recv with MSG_OOB.
func (k *socket) receiveUrgent(iov [][]byte, flags int) (int, error) {
	u := &k.urgent
	if k.options.is(unix.SOL_SOCKET, unix.SO_OOBINLINE) || !u.known || u.taken || u.passed {
		return 0, unix.EINVAL
	}
	a, b := k.unread()
	i := u.at - k.read
	if i >= uint64(len(a)+len(b)) {
		if k.receiveShut() {
			return 0, nil
		}
		return 0, unix.EAGAIN // announced, and not here: never waited for
	}
	if i < uint64(len(a)) {
		a, b = a[i:i+1], nil
	} else {
		i -= uint64(len(a))
		a, b = b[i:i+1], nil
	}
	if flags&unix.MSG_PEEK == 0 {
		u.taken = true
	}
	return gather(iov, a, b), nil
}
