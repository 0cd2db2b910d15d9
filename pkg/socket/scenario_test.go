package socket_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// scenarios are told by both; what they tell must be the same.
var scenarios = []struct {
	name string
	run  func(*story)
}{
	{"read after the peer's close", func(s *story) {
		s.write(s.server, "server")
		s.server.Close()
		s.read(s.client, "client")
		s.read(s.client, "client")
		s.read(s.client, "client, again,")
	}},
	{"write after the peer's close", func(s *story) {
		s.server.Close()
		s.read(s.client, "client")
		s.write(s.client, "client")
		s.awaitEnd(s.client)
		s.write(s.client, "client, again,")
		s.write(s.client, "client, a third time,")
		s.read(s.client, "client")
	}},
	{"read after the peer's RST", func(s *story) {
		s.reset()
		s.read(s.client, "client")
		s.read(s.client, "client, again,")
		s.write(s.client, "client")
	}},
	{"read text before the peer's RST", func(s *story) {
		s.write(s.server, "server")
		s.reset()
		s.read(s.client, "client")
		s.read(s.client, "client, again,")
		s.read(s.client, "client, a third time,")
	}},
	{"write after the peer's RST", func(s *story) {
		s.reset()
		s.write(s.client, "client")
		s.write(s.client, "client, again,")
		s.read(s.client, "client")
	}},
	{"the peer's RST while reading", func(s *story) {
		done := make(chan struct{})
		go func() { defer close(done); s.read(s.client, "client") }()
		s.server.SetLinger(0)
		s.server.Close()
		<-done
	}},
	{"own close", func(s *story) {
		s.tell("close", s.client.Close())
		s.read(s.client, "client")
		s.write(s.client, "client")
		s.tell("close again", s.client.Close())
		s.tell("CloseWrite", s.client.CloseWrite())
		s.tell("CloseRead", s.client.CloseRead())
		s.tell("SetDeadline", s.client.SetDeadline(time.Time{}))
		s.tell("SetNoDelay", s.client.SetNoDelay(true))
		s.tell("SetReadBuffer", s.client.SetReadBuffer(1<<20))
	}},
	{"own close while reading", func(s *story) {
		done := make(chan struct{})
		go func() { defer close(done); s.read(s.client, "client") }()
		s.client.Close()
		<-done
	}},
	{"CloseWrite", func(s *story) {
		s.write(s.client, "client")
		s.tell("CloseWrite", s.client.CloseWrite())
		s.write(s.client, "client")
		s.read(s.server, "server")
		s.read(s.server, "server, again,")
		s.write(s.server, "server")
		s.read(s.client, "client")
		s.tell("CloseWrite again", s.client.CloseWrite())
		s.tell("server's CloseWrite", s.server.CloseWrite())
		s.read(s.client, "client, again,")
	}},
	{"the peer's RST after CloseWrite", func(s *story) {
		s.client.CloseWrite()
		s.reset()
		s.write(s.client, "client")
		s.write(s.client, "client, again,")
		s.read(s.client, "client")
	}},
	{"the peer's RST after CloseRead", func(s *story) {
		s.client.CloseRead()
		s.reset()
		s.read(s.client, "client")
		s.read(s.client, "client, again,")
		s.write(s.client, "client")
	}},
	{"CloseRead", func(s *story) {
		s.tell("CloseRead", s.client.CloseRead())
		s.read(s.client, "client")
		s.write(s.client, "client")
		s.read(s.server, "server")
		s.tell("CloseRead again", s.client.CloseRead())
	}},
	{"CloseRead while reading", func(s *story) {
		done := make(chan struct{})
		go func() { defer close(done); s.read(s.client, "client") }()
		s.client.CloseRead()
		<-done
	}},
	{"calls after the peer's RST", func(s *story) {
		s.reset()
		s.tell("SetNoDelay", s.client.SetNoDelay(true))
		s.tell("SetKeepAlive", s.client.SetKeepAlive(true))
		s.tell("SetReadBuffer", s.client.SetReadBuffer(1<<16))
		s.tell("SetLinger", s.client.SetLinger(-1))
		s.tell("SetDeadline", s.client.SetDeadline(time.Time{}))
		s.tell("CloseWrite", s.client.CloseWrite())
		s.tell("CloseRead", s.client.CloseRead())
		s.read(s.client, "client")
		s.tell("close", s.client.Close())
	}},
	{"close with text unread", func(s *story) {
		s.write(s.client, "client")
		s.server.Read(make([]byte, 1))
		s.server.Close()
		s.read(s.client, "client")
	}},
	{"SetLinger(0)", func(s *story) {
		s.tell("SetLinger", s.server.SetLinger(0))
		s.tell("close", s.server.Close())
		s.read(s.client, "client")
	}},
	{"SetLinger taken back", func(s *story) {
		s.tell("SetLinger", s.server.SetLinger(0))
		s.tell("SetLinger", s.server.SetLinger(-1))
		s.tell("close", s.server.Close())
		s.read(s.client, "client")
	}},
	{"a deadline in the past", func(s *story) {
		s.write(s.server, "server")
		s.client.SetDeadline(time.Now().Add(-time.Second))
		s.read(s.client, "client")
		s.write(s.client, "client")
		n, err := s.client.Read(nil)
		s.tell(fmt.Sprintf("client reads nothing: %d", n), err)
		n, err = s.client.Write(nil)
		s.tell(fmt.Sprintf("client writes nothing: %d", n), err)
		s.client.SetDeadline(time.Time{})
		s.read(s.client, "client")
		s.write(s.client, "client")
	}},
	{"a deadline to come", func(s *story) {
		s.client.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		s.read(s.client, "client")
		s.write(s.client, "client")
		s.client.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := io.Copy(onlyWriter{s.client}, endless{})
		s.tell("client writes without end", err)
	}},
	{"a deadline set while reading", func(s *story) {
		done := make(chan struct{})
		go func() { defer close(done); s.read(s.client, "client") }()
		s.client.SetReadDeadline(time.Now().Add(-time.Second))
		<-done
	}},
	{"nothing read and written", func(s *story) {
		n, err := s.client.Read(nil)
		s.tell(fmt.Sprintf("client reads %d", n), err)
		n, err = s.client.Write(nil)
		s.tell(fmt.Sprintf("client writes %d", n), err)
		s.client.CloseWrite()
		n, err = s.client.Write(nil)
		s.tell(fmt.Sprintf("client writes %d", n), err)
		s.client.Close()
		n, err = s.client.Read(nil)
		s.tell(fmt.Sprintf("client reads %d", n), err)
	}},
	{"Dial refused", func(s *story) {
		_, err := s.host.dial(context.Background(), s.host.free())
		s.tell("dial", err)
	}},
	{"Dial cancelled", func(s *story) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := s.host.dial(ctx, s.host.free())
		s.tell("dial", err)
		ctx, cancel = context.WithTimeout(context.Background(), -1)
		defer cancel()
		_, err = s.host.dial(ctx, s.host.free())
		s.tell("dial", err)
	}},
	{"Dial to port 0, and to no host", func(s *story) {
		ctx := context.Background()
		at := netip.MustParseAddrPort(s.host.free())
		_, err := s.host.dial(ctx, netip.AddrPortFrom(at.Addr(), 0).String())
		s.tell("dial port 0", err)
		_, err = s.host.dial(ctx, "224.0.0.1:80")
		s.tell("dial multicast", err)
	}},
	{"listeners", func(s *story) {
		l, err := s.host.listen(s.host.free())
		s.tell("listen", err)
		_, err = s.host.listen(l.Addr().String())
		s.tell("listen again", err)
		done := make(chan error)
		go func() { _, err := l.Accept(); done <- err }()
		s.tell("close", l.Close())
		s.tell("accept while closing", <-done)
		_, err = l.Accept()
		s.tell("accept", err)
		s.tell("close again", l.Close())
		_, err = s.host.dial(context.Background(), l.Addr().String())
		s.tell("dial", err)
		_, err = s.host.listen("192.0.2.1:80")
		s.tell("listen elsewhere", err)
	}},
	{"a queued connection when the listener closes", func(s *story) {
		l, err := s.host.listen(s.host.free())
		s.tell("listen", err)
		c, err := s.host.dial(context.Background(), l.Addr().String())
		s.tell("dial", err)
		l.Close()
		s.read(c, "client")
		c.Close()
	}},
}
