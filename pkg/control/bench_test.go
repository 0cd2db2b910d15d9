package control_test

import (
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

const crowdSize = 100_000

// crowd opens connections from so many addresses that the ports suffice.
func (d *daemon) crowd(b *testing.B, n int) {
	var opening sync.WaitGroup
	for i := range n {
		opening.Add(1)
		from := netip.AddrFrom4([4]byte{10, 8, 0, byte(1 + i/20000)})
		err := d.peer.Dial(stack.DialConfig{
			Local: netip.AddrPortFrom(from, 0), Remote: netip.AddrPortFrom(ours, echoPort),
		}, holder{}, func(_ stack.Conn, err error) {
			if err != nil {
				b.Error(err)
			}
			opening.Done()
		})
		if err != nil {
			b.Fatal(err)
		}
		if i%500 == 499 { // no more at a time than the queues of the pipe hold
			opening.Wait()
			d.await("a part of the crowd", func() bool { return d.open() > i })
		}
	}
}

func (d *daemon) open() (n int) {
	for i := range d.stack.Shards() {
		n += d.stack.Counters(i).Conns
	}
	return n
}

// BenchmarkOperator is what an operator waits for with 100,000 connections open; and what a connection waits for an echo while
// he asks without a pause.
func BenchmarkOperator(b *testing.B) {
	if testing.Short() {
		b.Skip("shortened: 100,000 connections take a while to open")
	}
	d := newCrowded(b)
	d.crowd(b, crowdSize)
	everything := func(f control.Filter) func() {
		return func() {
			n := 0
			err := d.client.Connections(b.Context(), f, func(page []control.Connection) error {
				n += len(page)
				return nil
			})
			if err != nil || n < crowdSize {
				b.Errorf("%d connections, %v", n, err)
			}
		}
	}
	for _, c := range []struct {
		name string
		ask  func()
	}{
		{"connections", everything(control.Filter{})},
		{"connections-info", everything(control.Filter{Details: true})},
		{"one-of-many", func() {
			if err := d.client.Connections(b.Context(), control.Filter{RemotePort: 1}, func([]control.Connection) error { return nil }); err != nil {
				b.Error(err)
			}
		}},
		{"metrics", func() {
			a, err := d.client.Open(b.Context(), "GET", "/metrics", nil)
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close()
			if n, err := io.Copy(io.Discard, a); err != nil || n == 0 {
				b.Errorf("%d bytes, %v", n, err)
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.ask()
			}
		})
		b.Run("echo-beside-"+c.name, func(b *testing.B) { d.echo(b, c.ask) })
	}
	b.Run("echo-alone", func(b *testing.B) { d.echo(b, nil) })
}

// echo measures round trips of one connection while ask is called again and again, if there is one.
func (d *daemon) echo(b *testing.B, ask func()) {
	c, err := socket.Dial(d.peer, netip.AddrPortFrom(ours, echoPort))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	over := make(chan struct{})
	var asking sync.WaitGroup
	if ask != nil {
		asking.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					ask()
				}
			}
		})
	}
	var took []time.Duration
	p := make([]byte, 64)
	for b.Loop() {
		from := time.Now()
		if _, err := c.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, p); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(from))
	}
	close(over)
	asking.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "ns/median")
	b.ReportMetric(float64(took[len(took)*99/100]), "ns/p99")
}

// newCrowded is a daemon with room for a crowd on a link with deep queues.
func newCrowded(b *testing.B) *daemon {
	link, wire := pipe.New(1, pipe.Options{Packets: 1 << 16, Bytes: 64 << 20})
	return daemonOn(b, link, wire, "10.8.0.0/16")
}
