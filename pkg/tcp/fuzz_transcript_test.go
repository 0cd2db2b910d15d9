package tcp

import (
	"fmt"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

func printed(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// transcript is what has happened, in the language of scripts; a nil one keeps nothing.
type transcript struct {
	lines []string
	at    mono.Time
}

func (l *transcript) text() string { return strings.Join(l.lines, "\n") }

func (l *transcript) note(format string, args ...any) {
	if l != nil {
		l.line("// " + printed(format, args...))
	}
}

func (l *transcript) line(line string) {
	if l != nil {
		l.lines = append(l.lines, line)
	}
}

func (l *transcript) call(call string, result int) {
	if l != nil {
		l.line(printed("+0 %s = %d", call, result))
	}
}

func (l *transcript) in(z *fuzzed, g *Segment) {
	if l != nil {
		l.segment(z, '<', g, z.peer.iss, z.peer.ourISS)
	}
}

func (l *transcript) out(z *fuzzed, g *Segment) {
	if l != nil {
		l.segment(z, '>', g, z.peer.ourISS, z.peer.iss)
	}
}

// segment writes a packet with numbers from those of the two SYNs.
func (l *transcript) segment(z *fuzzed, direction byte, g *Segment, from, back seq.Num) {
	passed := mono.Duration(0)
	if l.at != 0 {
		passed = z.now.Sub(l.at)
	}
	l.at = z.now
	var b strings.Builder
	fmt.Fprintf(&b, "+%.6g %c ", float64(passed)/1e9, direction)
	flags := [...]string{"F", "S", "R", "P", ".", "U", "E", "W", "A"}
	for _, i := range [...]int{0, 1, 2, 3, 5, 6, 7, 8, 4} {
		if g.Flags&(1<<i) != 0 {
			b.WriteString(flags[i])
		}
	}
	if g.Flags == 0 {
		b.WriteByte('-')
	}
	at := g.Seq - from
	fmt.Fprintf(&b, " %d:%d(%d)", at, at.Add(uint32(len(g.Text))), len(g.Text))
	if g.Flags&ACK != 0 {
		fmt.Fprintf(&b, " ack %d", g.Ack-back)
	}
	fmt.Fprintf(&b, " win %d", g.Window)
	if g.Flags&URG != 0 {
		fmt.Fprintf(&b, " urg %d", g.Urgent)
	}
	if list := g.Options.words(back); len(list) > 0 {
		fmt.Fprintf(&b, " <%s>", strings.Join(list, ","))
	}
	if z.open && z.c.State() != fsm.Closed {
		fmt.Fprintf(&b, " // %v", z.c.State())
	}
	l.line(b.String())
}

// words are the options as a script has them.
func (o *Options) words(back seq.Num) (list []string) {
	if o.Has&HasMSS != 0 {
		list = append(list, printed("mss %d", o.MSS))
	}
	if o.Has&HasSACKPermitted != 0 {
		list = append(list, "sackOK")
	}
	if o.Has&HasTimestamps != 0 {
		list = append(list, printed("TS val %d ecr %d", o.TSVal, o.TSEcr))
	}
	if o.Has&HasWindowScale != 0 {
		list = append(list, "nop", printed("wscale %d", o.WindowScale))
	}
	if o.Blocks > 0 {
		text := "sack"
		for _, s := range o.SACK[:o.Blocks] {
			text += printed(" %d:%d", s.From-back, s.To-back)
		}
		list = append(list, "nop", "nop", text)
	}
	if o.Has&HasUserTimeout != 0 {
		list = append(list, printed("kind 28 %04x", o.UserTimeout))
	}
	if o.Has&HasFastOpen != 0 {
		list = append(list, strings.TrimSpace(printed("FO %x", o.FastOpen.Bytes[:o.FastOpen.Len])))
	}
	return list
}
