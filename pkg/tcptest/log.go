package tcptest

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Log is the transcript of a world, and its hash. Lines are kept only if Verbose: whoever needs them runs the seed
// again.
type Log struct {
	Verbose bool
	Hash    uint64 // FNV-1a over all segments and state changes

	world *World
	start mono.Time
	lines []string
}

func newLog(w *World) *Log { return &Log{Hash: 14695981039346656037, world: w, start: w.now} }

func (l *Log) mix(v uint64) {
	for range 8 {
		l.Hash = (l.Hash ^ v&255) * 1099511628211
		v >>= 8
	}
}

func (l *Log) mixBytes(b []byte) {
	for _, v := range b {
		l.Hash = (l.Hash ^ uint64(v)) * 1099511628211
	}
}

// clock is the time since the world began.
func (l *Log) clock() string { return fmt.Sprintf("%.6f", l.world.now.Sub(l.start).Seconds()) }

func (l *Log) note(format string, args ...any) {
	if l.Verbose {
		l.lines = append(l.lines, l.clock()+"  "+fmt.Sprintf(format, args...))
	}
}

// frame notes a frame as it is sent, with what becomes of it.
func (l *Log) frame(f *Frame, mark string) {
	l.mix(uint64(l.world.now))
	l.mix(uint64(len(f.Packet))<<16 | uint64(f.GSO))
	l.mixBytes(f.Packet[ip.HeaderLen : len(f.Packet)-len(f.Seg.Text)])
	l.mixBytes([]byte(mark))
	if !l.Verbose {
		return
	}
	to := "?"
	if f.Dst != nil {
		to = f.Dst.Name
	}
	if !f.TCP {
		l.note("%s > %s  %d bytes, not TCP  %s", f.Src.Name, to, len(f.Packet), mark)
		return
	}
	l.note("%s:%d > %s:%d  %s  %s", f.Src.Name, f.Flow.LocalPort, to, f.Flow.RemotePort, l.segment(f), mark)
}

// segment shows a segment with sequence numbers from the two first ones.
func (l *Log) segment(f *Frame) string {
	g := &f.Seg
	var b strings.Builder
	fmt.Fprintf(&b, "%v seq %d", g.Flags, g.Seq-f.end.iss)
	if g.Flags&tcp.ACK != 0 {
		fmt.Fprintf(&b, " ack %d", g.Ack-f.end.peer.iss)
	}
	fmt.Fprintf(&b, " len %d win %d", len(g.Text), g.Window)
	if f.GSO != 0 {
		fmt.Fprintf(&b, " gso %d", f.GSO)
	}
	o := &g.Options
	if o.Has&tcp.HasMSS != 0 {
		fmt.Fprintf(&b, " mss %d", o.MSS)
	}
	if o.Has&tcp.HasWindowScale != 0 {
		fmt.Fprintf(&b, " ws %d", o.WindowScale)
	}
	if o.Has&tcp.HasSACKPermitted != 0 {
		b.WriteString(" sackok")
	}
	for _, s := range o.SACK[:o.Blocks] {
		fmt.Fprintf(&b, " sack %d-%d", s.From-f.end.peer.iss, s.To-f.end.peer.iss)
	}
	return b.String()
}

func (l *Log) transition(h *Host, f stack.Flow, from fsm.State, e fsm.Event, to fsm.State) {
	l.mix(uint64(l.world.now))
	l.mix(uint64(from)<<16 | uint64(e)<<8 | uint64(to))
	l.mix(uint64(f.LocalPort)<<16 | uint64(f.RemotePort))
	l.note("      %s:%d  %v --%v--> %v", h.Name, f.LocalPort, from, e, to)
}

// String is the transcript; of a long one, the end.
func (l *Log) String() string {
	const most = 400
	lines := l.lines
	skipped := ""
	if len(lines) > most {
		skipped = fmt.Sprintf("(%d lines before)\n", len(lines)-most)
		lines = lines[len(lines)-most:]
	}
	return skipped + strings.Join(lines, "\n")
}

// Lines is the whole transcript.
func (l *Log) Lines() []string { return l.lines }

func stackTrace() string { return string(debug.Stack()) }
