package main

import (
	"cmp"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// services are what listens, and what runs beside the shards. They are changed by one goroutine at a time.
type services struct {
	stack      *stack.Stack
	log        *zap.Logger
	complaints *log.Logger  // of the web servers
	page       http.Handler // of browsers that come to one; nil: none
	at         map[place]*binding
	running    sync.WaitGroup

	mu      sync.Mutex
	servers map[*connServer]struct{} // those that listen, or have connections still
}

// place is where a service listens.
type place struct {
	prefix netip.Prefix
	port   uint16
}

// plan is a service at one of its addresses. Two that are equal need no change.
type plan struct {
	index   int // in the configuration
	service config.Service
	listen  stack.ListenConfig
}

func (p *plan) place() place { return place{p.listen.Prefix, p.listen.Port} }

func (p *plan) String() string {
	return fmt.Sprintf("%s %s:%d", p.service.Service, config.Prefix{Prefix: p.listen.Prefix}, p.listen.Port)
}

// same reports whether what listens for p may go on for o.
func (p *plan) same(o *plan) bool {
	return p.service == o.service && reflect.DeepEqual(p.listen, o.listen)
}

// binding is a service that listens.
type binding struct {
	plan
	server   *connServer // of its connections; nil: a handler on the shard
	handler  *stack.Listener
	accepter *socket.Listener
}

// retire ends it; its connections live on.
func (l *binding) retire() {
	if l.accepter != nil {
		l.accepter.Retire()
	} else {
		l.handler.Close()
	}
}

// newServices has nobody listen yet.
func newServices(s *stack.Stack, page http.Handler, log *zap.Logger) (*services, error) {
	complaints, err := zap.NewStdLogAt(log, zap.WarnLevel)
	if err != nil {
		return nil, err
	}
	return &services{stack: s, log: log, complaints: complaints, page: page, at: map[place]*binding{}, servers: map[*connServer]struct{}{}}, nil
}

// serve listens as c says. page may be nil.
func serve(s *stack.Stack, c *config.Config, page http.Handler, log *zap.Logger) (*services, error) {
	run, err := newServices(s, page, log)
	if err != nil {
		return nil, err
	}
	if _, err := run.change(c); err != nil {
		run.close(lastMoment)
		return nil, err
	}
	return run, nil
}

// plans are those of a configuration, by place.
func plans(c *config.Config, t tcp.Settings) map[place]*plan {
	m := map[place]*plan{}
	for i, s := range c.Services {
		s.Address, s.Port, s.Through = config.Prefix{}, 0, config.Handler
		if c.Services[i].HasGoroutines() {
			s.Through = config.Conn
		}
		for _, a := range c.ListensAt(&c.Services[i]) {
			p := &plan{i, s, listenConfig(c, a, c.Services[i].Port)}
			if s.Through == config.Conn {
				bound(&p.listen, t)
			}
			m[p.place()] = p
		}
	}
	return m
}

// changed is what has become of listeners.
type changed struct{ opened, replaced, closed []string }

// change makes the services those of c. What stays as it is is not touched; open connections live on. If one of them cannot
// listen, all is as before.
func (run *services) change(c *config.Config) (done changed, err error) {
	var opened, replaced []*binding // new ones; then the old ones
	defer func() {
		if err != nil {
			run.undo(opened, replaced)
		}
	}()
	want := plans(c, run.stack.Settings())
	for _, replace := range []bool{false, true} { // a place that cannot be had is found before anything else has changed
		for _, p := range inOrder(want) {
			old := run.at[p.place()]
			if (old != nil) != replace || replace && old.same(p) {
				continue
			}
			l, err := run.start(p, replace)
			if err != nil {
				return changed{}, fmt.Errorf("services[%d]: %s on port %d: %w", p.index, p.service.Service, p.listen.Port, err)
			}
			run.at[p.place()] = l
			if replace {
				replaced, done.replaced = append(replaced, old), append(done.replaced, p.String())
			} else {
				opened, done.opened = append(opened, l), append(done.opened, p.String())
			}
		}
	}
	for _, old := range replaced {
		old.retire()
	}
	done.closed = run.closeBut(want)
	return done, nil
}

// inOrder are plans in the order of the configuration, and of their addresses.
func inOrder(m map[place]*plan) (list []*plan) {
	for _, p := range m {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *plan) int {
		return cmp.Or(a.index-b.index, a.listen.Prefix.Compare(b.listen.Prefix))
	})
	return list
}

// closeBut ends what listens where nothing is wanted.
func (run *services) closeBut(want map[place]*plan) (closed []string) {
	for at, l := range run.at {
		if want[at] == nil {
			l.retire()
			delete(run.at, at)
			closed = append(closed, l.String())
		}
	}
	slices.Sort(closed)
	return closed
}

// undo takes back what a change has begun with.
func (run *services) undo(opened, replaced []*binding) {
	for _, l := range opened {
		l.retire()
		delete(run.at, l.place())
	}
	for _, old := range replaced {
		l, err := run.startOn(old.server, &old.plan, true)
		if err != nil { // it has listened just so before
			run.log.Error("a service listens otherwise than it should", zap.Stringer("service", old), zap.Error(err))
			continue
		}
		run.at[old.place()].retire()
		old.retire()
		run.at[old.place()] = l
	}
}

// start lets a service listen. What serves the connections of another of its places serves those of this one, too.
func (run *services) start(p *plan, replace bool) (*binding, error) {
	if p.service.Through == config.Handler {
		return run.startOn(nil, p, replace)
	}
	for _, l := range run.at {
		if l.service == p.service {
			return run.startOn(l.server, p, replace)
		}
	}
	srv, err := run.newServer(&p.service)
	if err != nil {
		return nil, err
	}
	l, err := run.startOn(srv, p, replace)
	if err != nil {
		srv.drop()
	}
	return l, err
}

// startOn is start with what serves the connections, or nil for a handler.
func (run *services) startOn(srv *connServer, p *plan, replace bool) (*binding, error) {
	l, cfg := &binding{plan: *p, server: srv}, p.listen
	cfg.Replace = replace
	var err error
	if srv == nil {
		l.handler, err = listen(run.stack, cfg, simple[p.service.Service])
		return l, err
	}
	cfg.Admit = srv.admit
	if l.accepter, err = socket.ListenWith(run.stack, cfg); err != nil {
		return nil, err
	}
	run.mu.Lock()
	srv.listeners++
	run.servers[srv] = struct{}{}
	run.mu.Unlock()
	run.running.Go(func() {
		if err := srv.Serve(l.accepter); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			run.log.Error(p.service.Service+" has ended", zap.Stringer("address", l.accepter.Addr()), zap.Error(err))
		}
		run.leave(srv)
	})
	return l, nil
}

// leave is for a listener of srv that has ended. After the last one srv stays until its last connection has.
func (run *services) leave(srv *connServer) {
	run.mu.Lock()
	srv.listeners--
	last := srv.listeners == 0
	run.mu.Unlock()
	if !last {
		return
	}
	srv.idle()
	srv.drop()
	run.mu.Lock()
	delete(run.servers, srv)
	run.mu.Unlock()
}

// lastMoment is how long handlers may take to end once their connections have.
const lastMoment = time.Second

// close ends the services with goroutines, and their connections. The others end with the stack. A handler that waits for something
// else than its connection, such as a file, may never hear of it, and no more than patience is had with it.
func (run *services) close(patience time.Duration) {
	run.mu.Lock()
	var list []*connServer
	for srv := range run.servers {
		list = append(list, srv)
	}
	run.mu.Unlock()
	var closing sync.WaitGroup
	for _, srv := range list {
		closing.Go(func() { _ = srv.Close() })
	}
	over := make(chan struct{})
	go func() {
		closing.Wait()
		run.running.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(patience):
		left := 0
		for _, srv := range list {
			left += srv.open()
		}
		run.log.Warn("handlers have not ended: they are left behind", zap.Int("handlers", left), zap.Stringer("waited", patience))
	}
}
