package stack

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Flow names a connection: our end and the peer's.
type Flow = tcp.Flow

// Handler is the user of connections, on their shard. Ready is called whenever something has happened to c: what, is
// in e. It must not block, and must not keep slices of c's text. After tcp.Ended c must not be used again.
type Handler interface {
	Ready(c Conn, e tcp.Events)
}

// Config is what a stack is made of. Link, and at least one of Addrs, must be given.
type Config struct {
	Link  *link.Link
	Addrs []netip.Prefix // the addresses that are ours, up to 0.0.0.0/0
	TCP   tcp.Settings   // tcp.Defaults() if zero; else all of them, so that one begins with tcp.Defaults()
	// Routes are what is known of the ways to some peers. The longest prefix decides.
	Routes []Route
	// Secrets are the keys of sequence numbers and of the tables, which nobody may guess: drawn from crypto/rand, if zero.
	Secrets [2]tcp.Secret
	Limits  Limits
	Watches []Watch // those that listen from the first packet on
	// Foreign is called for whole packets to our addresses or others that are neither TCP to us nor ICMP to us, on
	// the goroutine of a shard; it reports whether it took the packet. nil: what is for us is refused by ICMP.
	Foreign func(packet []byte) bool
	// Panicked is told of a panic of a Handler, of ListenConfig.Admit or of Foreign, with the stack of its goroutine, a
	// shard's; flow is the zero Flow for Foreign. What it was called for has been ended, and nothing else. nil: nobody is
	// told, and Counters.Panics counts it.
	Panicked func(flow Flow, value any, stack []byte)
	Now      func() mono.Time // mono.Now if nil
	Strict   bool             // panic at what is impossible, and let users' panics go on
}

// Route is what is known of the way to the peers in Prefix.
type Route struct {
	Prefix netip.Prefix
	// MSS is the most payload of a segment, in bytes, that is offered to these peers and sent to them, if that is less
	// than the device takes; it bounds what their own offers bring (RFC 9293 section 3.7.1).
	MSS int
}

// Limits bound what outsiders can make the stack keep. Zero fields take the defaults.
type Limits struct {
	// Connections past the handshake, by listeners and by us, that have not reached TIME-WAIT; 16,777,216. Beyond it the last
	// ACKs of handshakes are not taken, and Dial fails with ErrNoCapacity.
	Connections int
	HalfOpen    int // connections in SYN-RECEIVED, beyond which SYNs get cookies (all, if negative); 4,096
	TimeWait    int // connections in TIME-WAIT, the oldest go first; 1,048,576
	Orphans     int // connections that their users have closed and that are not over; beyond it they are reset; 262,144
	Memory      int // bytes of send and receive rings; 1 GiB
	Fragments   int // bytes of incomplete datagrams; 4 MiB
	// FlightRecorder is how many bytes the flight records take, of a few hundred each; none are kept, if negative; 4 MiB.
	FlightRecorder int
}

func (l *Limits) setDefaults() {
	for _, d := range []struct {
		v *int
		n int
	}{{&l.Connections, 1 << 24}, {&l.HalfOpen, 4096}, {&l.TimeWait, 1 << 20}, {&l.Orphans, 1 << 18}, {&l.Memory, 1 << 30}, {&l.Fragments, 4 << 20}, {&l.FlightRecorder, 4 << 20}} {
		if *d.v == 0 {
			*d.v = d.n
		}
	}
}

// SetLimits changes the limits, and returns when every shard knows. What there is beyond them stays, but fragments: the limits
// hold for what comes. The flight recorder keeps its size. It must not be called on a shard.
func (s *Stack) SetLimits(l Limits) {
	l.setDefaults()
	s.limits.Store(&l)
	n := len(s.shards)
	for i, sh := range s.shards {
		s.Do(i, func() {
			sh.env.Memory.Limit = l.Memory / n
			sh.frags.SetMost(l.Fragments / n)
		})
	}
}

// Errors of the stack's calls.
var (
	ErrClosed     = errors.New("stack: closed")
	ErrAddrInUse  = errors.New("stack: address already in use")
	ErrNotOurs    = errors.New("stack: address is not one of the stack's")
	ErrNoPort     = errors.New("stack: no free port")
	ErrNotUnicast = errors.New("stack: the remote address is not that of one host")
	ErrNoCapacity = errors.New("stack: not enough room")
)

// Stack is a TCP/IP host on a link: one shard a queue.
type Stack struct {
	cfg       Config
	shards    []*shard
	listeners atomic.Pointer[listeners]
	profiles  atomic.Pointer[[]tcp.Settings]
	mu        sync.Mutex // of whoever changes listeners or profiles, never of a shard
	limits    atomic.Pointer[Limits]
	sources   *sources
	cookieJar cookieJar
	conns     atomic.Int64 // Limits.Connections
	halfOpen  atomic.Int64
	cookies   atomic.Int64 // when the last SYN cookie was sent, as a mono.Time
	nextShard atomic.Uint32

	lastListener uint16    // under mu
	forwards     sync.Pool // *forward
	running      sync.WaitGroup
	started      atomic.Bool
	closed       atomic.Bool
	ended        chan struct{} // closed by Close when nothing runs any more
	fatal        chan error
}

// New makes a stack. Start lets it run; without Start its shards are turned by hand, as simulations do.
func New(cfg Config) (*Stack, error) {
	switch {
	case cfg.Link == nil || len(cfg.Link.Queues) == 0:
		return nil, errors.New("stack: no link")
	case len(cfg.Link.Queues) > 64:
		return nil, fmt.Errorf("stack: %d queues: at most 64", len(cfg.Link.Queues))
	case len(cfg.Addrs) == 0:
		return nil, errors.New("stack: no address: give at least one prefix in Config.Addrs")
	case cfg.Link.MTU < 68:
		return nil, fmt.Errorf("stack: MTU %d: IPv4 needs 68", cfg.Link.MTU)
	}
	for _, p := range cfg.Addrs {
		if !p.IsValid() || !p.Addr().Is4() {
			return nil, fmt.Errorf("stack: %v is not an IPv4 prefix", p)
		}
	}
	for _, r := range cfg.Routes {
		if !r.Prefix.IsValid() || !r.Prefix.Addr().Is4() || r.MSS < tcp.MinMSS || r.MSS > 65495 {
			return nil, fmt.Errorf("stack: route %v with MSS %d: an IPv4 prefix and %d to 65495 bytes are wanted", r.Prefix, r.MSS, tcp.MinMSS)
		}
	}
	if reflect.ValueOf(cfg.TCP).IsZero() {
		cfg.TCP = tcp.Defaults()
	}
	if err := checkSettings(&cfg.TCP); err != nil {
		return nil, err
	}
	if cfg.Secrets == [2]tcp.Secret{} {
		cfg.Secrets = drawSecrets()
	}
	if cfg.Now == nil {
		cfg.Now = mono.Now
	}
	cfg.Limits.setDefaults()
	s := &Stack{cfg: cfg, fatal: make(chan error, len(cfg.Link.Queues)), ended: make(chan struct{})}
	s.forwards.New = newForward
	s.listeners.Store(&listeners{})
	s.profiles.Store(&[]tcp.Settings{cfg.TCP})
	s.limits.Store(&s.cfg.Limits)
	s.sources = &sources{key: cfg.Secrets[1]}
	for i, q := range cfg.Link.Queues {
		s.shards = append(s.shards, newShard(s, i, q))
	}
	return s, nil
}

func drawSecrets() (s [2]tcp.Secret) {
	_ = binary.Read(rand.Reader, binary.NativeEndian, &s) // rand.Reader never fails
	return s
}

// Start runs every shard on a goroutine of its own, until Close. A stack one of whose shards loses its device closes itself.
func (s *Stack) Start() {
	s.started.Store(true)
	for _, sh := range s.shards {
		s.running.Go(func() {
			defer close(sh.over)
			if err := sh.run(); err != nil {
				s.fatal <- err
				go s.Close() // which waits for this goroutine
			}
		})
	}
}

// Failed delivers the error of a shard that has lost its device: why a stack that nobody has closed is closed.
func (s *Stack) Failed() <-chan error { return s.fatal }

// Shards is how many shards there are.
func (s *Stack) Shards() int { return len(s.shards) }

// Turn runs one turn of a shard and returns when the next is due if nothing arrives: for simulations, in place of
// Start.
func (s *Stack) Turn(shard int) (next mono.Time, err error) { return s.shards[shard].turn() }

// Close aborts every connection and ends the shards and their devices. When it returns all of that is over, whoever called it first.
func (s *Stack) Close() error {
	if s.closed.Swap(true) {
		<-s.ended
		return nil
	}
	for _, sh := range s.shards {
		sh.stopping.Store(true)
		sh.dev.Wake()
	}
	s.running.Wait()
	var errs []error
	for _, sh := range s.shards {
		if !s.started.Load() {
			sh.abortAll()
		}
		errs = append(errs, sh.dev.Close())
	}
	close(s.ended)
	return errors.Join(errs...)
}

// Closed is closed when the stack has been closed and nothing runs on it any more.
func (s *Stack) Closed() <-chan struct{} { return s.ended }

// Settings are those of the stack's connections.
func (s *Stack) Settings() tcp.Settings { return s.cfg.TCP }

// ours reports whether packets to a are for this stack.
func (s *Stack) ours(a ip.Addr) bool {
	n := a.Netip()
	for _, p := range s.cfg.Addrs {
		if p.Contains(n) {
			return true
		}
	}
	return false
}

// Do runs f on the shard and waits until it has run. It reports false, and f does not run, when the stack has been
// closed or the shard has lost its device. It must not be called on a shard. In a stack that was not started f runs at
// once.
func (s *Stack) Do(shard int, f func()) bool {
	if !s.started.Load() {
		f()
		return true
	}
	done := make(chan struct{})
	sh := s.shards[shard]
	if !sh.post(NewTask(func() { f(); close(done) })) {
		return false
	}
	select {
	case <-done:
		return true
	case <-sh.over:
	}
	select {
	case <-done: // the shard's last task, perhaps
		return true
	default:
		return false
	}
}

// mss is the most payload of a segment to and from a peer; 0: what the device takes.
func (s *Stack) mss(peer ip.Addr) uint16 {
	if len(s.cfg.Routes) == 0 {
		return 0
	}
	a, bits, mss := peer.Netip(), -1, 0
	for _, r := range s.cfg.Routes {
		if r.Prefix.Bits() > bits && r.Prefix.Contains(a) {
			bits, mss = r.Prefix.Bits(), r.MSS
		}
	}
	return uint16(mss)
}

// DialConfig says where to dial, and how.
type DialConfig struct {
	// Local is our end. A zero port is chosen; the zero address stands for that of the first of Config.Addrs.
	Local, Remote netip.AddrPort
	// TCP are the connection's settings, which begin with Stack.Settings, since the MSL must be the stack's; nil: the stack's.
	TCP *tcp.Settings
	// FastOpen asks the peer for a cookie (RFC 7413). If it has given one before, what is written while opened is called
	// goes with the SYN, as far as a segment takes it. It may come to the peer's user twice.
	FastOpen bool
}

// Dial opens a connection. opened is called on the connection's shard with the connection in SYN-SENT, or with an error;
// from then on h hears of it. A remote address of more than one host is ErrNotUnicast (MUST-46). There is no loopback: what
// goes to an address of our own goes to the link, and comes back only if a router there sends it back, as the kernel may.
func (s *Stack) Dial(cfg DialConfig, h Handler, opened func(Conn, error)) error {
	local, remote := cfg.Local, cfg.Remote
	if !ip.FromNetip(remote.Addr()).IsUnicast() {
		return ErrNotUnicast
	}
	profile, err := s.profile(cfg.TCP)
	if err != nil {
		return err
	}
	if !local.Addr().IsValid() {
		local = netip.AddrPortFrom(s.cfg.Addrs[0].Addr(), local.Port())
	}
	// No other address may be a packet's source (RFC 1122 section 3.2.1.3): not the first of 0.0.0.0/0, for instance.
	if a := ip.FromNetip(local.Addr()); !s.ours(a) || !a.IsUnicast() {
		return ErrNotOurs
	}
	i := int(s.nextShard.Add(1)) % len(s.shards)
	if local.Port() != 0 {
		i = int(local.Port()) % len(s.shards)
	}
	sh := s.shards[i]
	f := Flow{Local: ip.FromNetip(local.Addr()), Remote: ip.FromNetip(remote.Addr()), LocalPort: local.Port(), RemotePort: remote.Port()}
	if !sh.post(NewTask(func() { opened(sh.dial(f, tcp.Open{Profile: profile, FastOpen: cfg.FastOpen}, h)) })) {
		return ErrClosed
	}
	return nil
}
