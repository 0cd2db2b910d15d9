package socket_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"

	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tun"
)

// A web server on a TUN of its own.
func Example() {
	dev, err := tun.Open(tun.Config{Name: "tcpd0", Host: netip.MustParsePrefix("10.7.0.1/24")})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()

	s, err := stack.New(stack.Config{Link: dev.Link(), Addrs: []netip.Prefix{netip.MustParsePrefix("10.7.0.2/32")}})
	if err != nil {
		log.Fatal(err)
	}
	s.Start()
	defer s.Close()

	l, err := socket.Listen(s, netip.MustParseAddrPort("10.7.0.2:80"))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", r.RemoteAddr)
	})))
}

// Two stacks in one process, without privileges: what tests of network programs want.
func Example_inMemory() {
	var stacks [2]*stack.Stack
	here, there := pipe.New(1, pipe.Options{})
	for i, cfg := range []stack.Config{
		{Link: here, Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}},
		{Link: there, Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/32")}},
	} {
		s, err := stack.New(cfg)
		if err != nil {
			log.Fatal(err)
		}
		s.Start()
		defer s.Close()
		stacks[i] = s
	}

	l, err := socket.Listen(stacks[1], netip.MustParseAddrPort("192.0.2.2:7"))
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c)
	}()

	c, err := socket.Dial(stacks[0], netip.MustParseAddrPort("192.0.2.2:7"))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "there and back")
	_ = c.CloseWrite()
	text, err := io.ReadAll(c)
	fmt.Printf("%s from %v, %v\n", text, c.RemoteAddr(), err)
	// Output: there and back from 192.0.2.2:7, <nil>
}
