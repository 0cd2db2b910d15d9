package stack

import (
	"sync"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// openEarly opens a connection by a SYN with a valid cookie (RFC 7413 section 4.1.2): it is the listener's at once, with
// the text of the SYN. It reports false where the handshake has to come first.
func (s *shard) openEarly(l *Listener, h uint64, f *Flow, g *tcp.Segment, iss seq.Num) bool {
	if l.FastOpen == 0 || g.Options.Has&tcp.HasFastOpen == 0 || l.early.Load() >= int64(l.FastOpen) ||
		!s.stack.cfg.Secrets[0].FastOpenValid(f, s.now, &g.Options.FastOpen) || s.noRoomToAccept(l, f) != DropNone {
		return false
	}
	_, offset := s.stack.cfg.Secrets[0].ISN(f, s.now)
	s.workApart(f)
	o := s.opening(l, f, iss, offset)
	o.Early = 1
	s.temp.OpenPassive(&s.env, s.now, o, g)
	s.counters.Delivered++
	s.counters.FastOpens++
	l.early.Add(1)
	s.accept(l, h, f, true)
	return true
}

// confirmed is for a connection opened early whose handshake is over, or that is.
func (s *shard) confirmed(rec *record) {
	rec.early = false
	s.owners[rec.listener].listener.early.Add(-1)
	s.leaveListener(rec)
}

// fillCookie completes the option of a SYN or a SYN,ACK.
func (s *shard) fillCookie(f *Flow, o *tcp.Out) {
	if o.Flags&tcp.ACK != 0 {
		o.Options.FastOpen = s.stack.cfg.Secrets[0].FastOpenCookie(f, s.now)
	} else if k, ok := s.stack.cookieJar.find(f.Remote); ok {
		o.Options.FastOpen = k.FastOpenCookie
	}
}

// knownServer is what a client keeps of a server that gives cookies (RFC 7413 section 4.1.3).
type knownServer struct {
	tcp.FastOpenCookie
	mss uint16 // of the server's, bytes
}

// maxKnownServers bounds the cookies that are kept.
const maxKnownServers = 4096

// cookieJar keeps the cookies that servers have given us.
type cookieJar struct {
	mu      sync.Mutex
	servers map[ip.Addr]knownServer
}

func (j *cookieJar) find(a ip.Addr) (knownServer, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	k, ok := j.servers[a]
	return k, ok
}

// keep notes what a SYN,ACK brings. When there are too many, any one goes.
func (j *cookieJar) keep(a ip.Addr, o *tcp.Options) {
	mss := uint16(536)
	if o.Has&tcp.HasMSS != 0 {
		mss = o.MSS
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, known := j.servers[a]; !known && len(j.servers) >= maxKnownServers {
		for b := range j.servers {
			delete(j.servers, b)
			break
		}
	}
	if j.servers == nil {
		j.servers = map[ip.Addr]knownServer{}
	}
	j.servers[a] = knownServer{o.FastOpen, mss}
}
