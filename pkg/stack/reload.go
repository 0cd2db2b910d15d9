package stack

import (
	"fmt"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Reload has every connection encoded, forgotten and decoded, and returns how many there were. It is for simulations,
// as Check is: a connection is to be the same at any instant between two turns.
func (s *Stack) Reload() (n int, err error) {
	for _, sh := range s.shards {
		for i := uint32(1); i < sh.conns.next; i++ {
			rec := sh.conns.at(i)
			if rec.localPort == 0 {
				continue
			}
			if err := sh.reload(&rec.tcp); err != nil {
				return n, fmt.Errorf("%v: %w", rec.flow(), err)
			}
			n++
		}
		for i := uint32(1); i < sh.halves.next; i++ {
			rec := sh.halves.at(i)
			if rec.localPort == 0 {
				continue
			}
			rec.tcp.Unpack(&sh.env, &sh.temp)
			if err := sh.reload(&sh.temp); err != nil || !sh.temp.PackHalfOpen(&rec.tcp) {
				return n, fmt.Errorf("half-open %v: %w", rec.flow(), err)
			}
			n++
		}
		for r := sh.first; r != 0; r = sh.waits.at(r.index()).after {
			rec := sh.waits.at(r.index())
			rec.tcp.Unpack(&sh.env, sh.now, &sh.temp)
			if err := sh.reload(&sh.temp); err != nil || !sh.temp.PackTimeWait(&rec.tcp) {
				return n, fmt.Errorf("TIME-WAIT %v: %w", rec.flow(), err)
			}
			n++
		}
	}
	return n, nil
}

func (s *shard) reload(c *tcp.Conn) error {
	b := c.Encode(&s.env, nil)
	c.Free(&s.env)
	*c = tcp.Conn{}
	return c.Decode(&s.env, b)
}
