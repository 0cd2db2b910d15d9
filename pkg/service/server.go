package service

import (
	"io"
	"net"
	"sync"
)

// ConnService is a service for connections that each have a goroutine: ServeConn serves one and returns when it has
// closed it.
type ConnService interface{ ServeConn(net.Conn) }

// Server serves connections of any net.Listeners, a goroutine for each.
type Server struct {
	service ConnService
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[io.Closer]struct{} // listeners and connections
}

// NewServer returns a server of v.
func NewServer(v ConnService) *Server {
	return &Server{service: v, open: map[io.Closer]struct{}{}}
}

// Serve takes connections from l until l fails, and returns that error.
func (s *Server) Serve(l net.Listener) error {
	if !s.begin(l) {
		_ = l.Close()
		return net.ErrClosed
	}
	defer s.end(l)
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if !s.begin(c) {
			_ = c.Close()
			continue // l has been closed, too
		}
		go func() {
			defer s.end(c)
			s.service.ServeConn(c)
		}()
	}
}

// Close closes the listeners and connections, and the service if it is an io.Closer, and waits until all have been let go.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	var err error
	if c, ok := s.service.(io.Closer); ok {
		err = c.Close()
	}
	s.running.Wait()
	return err
}

// Wait waits until all listeners and connections have been let go. No Serve may begin meanwhile.
func (s *Server) Wait() { s.running.Wait() }

// Open is how many listeners and connections have not been let go.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// begin notes what is to be closed; false when all has been.
func (s *Server) begin(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.open[c] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Server) end(c io.Closer) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	s.running.Done()
}
