package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/observe"
)

// Attributes of a terminal that are no colors: NO_COLOR leaves them.
const (
	bold    = "\x1b[1m"
	reverse = "\x1b[7m"
	plain   = "\x1b[0m"
)

// screen is the whole screen, a line each, none wider than it.
func (m *watchModel) screen() []string {
	lines := m.head()
	switch {
	case m.help:
		for _, line := range helpLines {
			lines = append(lines, m.fit(line))
		}
	case m.complaint != "" && m.selected == "": // what the table has is not so any more
	case m.selected != "":
		lines = append(lines, m.details(m.height-len(lines)-1)...)
	default:
		lines = append(lines, m.table(m.height-len(lines)-1)...)
	}
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	return append(lines[:m.height-1], m.foot())
}

// fit cuts a line without attributes to the screen's width, and shows that it did.
func (m *watchModel) fit(s string) string {
	if r := []rune(s); len(r) > m.width {
		return string(r[:m.width-1]) + "…"
	}
	return s
}

// head is what is true of the whole daemon.
func (m *watchModel) head() []string {
	what := "tcpd watch " + m.socket
	if !m.now.at.IsZero() {
		what += "  "
		if m.complaint != "" {
			what += "last answer "
		}
		what += m.now.at.Format("15:04:05")
	}
	if m.paused {
		what += "  paused"
	}
	if m.filter != "" {
		what += "  filter: " + m.filter
	}
	if m.complaint != "" {
		lines := append([]string{m.fit(what)}, wrap(m.complaint, m.width)...)
		for i := range lines {
			lines[i] = m.fit(lines[i])
		}
		return append(lines, "")
	}
	lines := append([]string{m.fit(what)}, m.states()...)
	return append(lines, m.fit(m.rates()), m.fit(m.troubles()), "")
}

// states are the states in which there are connections, with bars as long as their shares, in two lines.
func (m *watchModel) states() []string {
	all := 0
	for _, n := range m.now.states {
		all += n
	}
	var parts []string
	for _, s := range control.States() {
		if n := m.now.states[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d %s", s, n, strings.Repeat("▇", max(1, 8*n/all))))
		}
	}
	if len(parts) == 0 {
		parts = []string{"no connections"}
	}
	var lines []string
	line := ""
	for _, p := range parts {
		if line != "" && len([]rune(line))+3+len([]rune(p)) > m.width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += "   "
		}
		line += p
	}
	lines = append(lines, line, "")
	return []string{m.fit(lines[0]), m.fit(lines[1])}
}

func (m *watchModel) rates() string {
	segments := func(of func(*observe.Counters) uint64) string { return number(int(math.Round(m.rate(of))), "segment") }
	return fmt.Sprintf("a second: %.0f accepted, %.0f ended; in %s, %s; out %s, %s",
		m.rate(func(c *observe.Counters) uint64 { return c.Accepted }), m.rate(func(c *observe.Counters) uint64 { return c.Ended }),
		size(m.rate(func(c *observe.Counters) uint64 { return c.TextReceived })), segments(func(c *observe.Counters) uint64 { return c.SegmentsRead }),
		size(m.rate(func(c *observe.Counters) uint64 { return c.TextAcknowledged })), segments(func(c *observe.Counters) uint64 { return c.SegmentsWritten }))
}

// size is a number of bytes.
func size(n float64) string {
	for _, unit := range []string{"B", "kB", "MB"} {
		if n < 1000 {
			return plainly(n) + " " + unit
		}
		n /= 1000
	}
	return plainly(n) + " GB"
}

// troubles are what was sent again and what was dropped, the most frequent first.
func (m *watchModel) troubles() string {
	type trouble struct {
		name string
		rate float64
	}
	var list []trouble
	add := func(what string, of func(*observe.Counters) map[string]uint64) {
		for _, name := range slices.Sorted(maps.Keys(of(&m.now.counters))) {
			r := m.rate(func(c *observe.Counters) uint64 { return of(c)[name] })
			if r > 0 {
				list = append(list, trouble{what + strings.ReplaceAll(name, "_", " "), r})
			}
		}
	}
	add("again: ", func(c *observe.Counters) map[string]uint64 { return c.Resent })
	add("dropped: ", func(c *observe.Counters) map[string]uint64 { return c.Drops })
	if len(list) == 0 {
		return "nothing dropped, nothing sent again"
	}
	slices.SortStableFunc(list, func(a, b trouble) int { return int(b.rate - a.rate) })
	var parts []string
	for _, t := range list {
		parts = append(parts, fmt.Sprintf("%s %.0f", t.name, t.rate))
	}
	return strings.Join(parts, ", ")
}

// tableRows is how many connections there is room for.
func (m *watchModel) tableRows() int { return max(1, m.height-9) }

// table is the list of connections around the cursor.
func (m *watchModel) table(room int) []string {
	list := m.now.connections
	title := fmt.Sprintf("%-12s %8s %8s  %-21s  %-21s %9s", "State", "Recv-Q", "Send-Q", "Local", "Peer", "RTT")
	if m.wide {
		title += fmt.Sprintf(" %9s %9s %9s %7s", "Cwnd", "In", "Out", "Again")
	}
	lines := []string{bold + m.fit(title) + plain}
	rows := max(1, room-2)
	first := max(0, min(m.cursor-rows/2, len(list)-rows))
	for i := first; i < len(list) && i < first+rows; i++ {
		c := &list[i]
		line := m.fit(m.row(c))
		if i == m.cursor {
			line = reverse + line + plain
		}
		lines = append(lines, line)
	}
	if m.now.more {
		lines = append(lines, m.fit(fmt.Sprintf("there are more than %d: / filters", mostRows)))
	}
	return lines
}

func (m *watchModel) row(c *control.Connection) string {
	rtt := ""
	if c.Info.RTT > 0 {
		rtt = fmt.Sprintf("%.2f ms", c.Info.RTT.Seconds()*1000)
	}
	line := fmt.Sprintf("%-12s %8d %8d  %-21s  %-21s %9s", c.State, c.Receive, c.Send, c.Local, c.Remote, rtt)
	if m.wide {
		line += fmt.Sprintf(" %9s %9s %9s %7d", size(float64(c.Info.Cwnd)), size(float64(c.Info.BytesIn)), size(float64(c.Info.BytesOut)), c.Info.Retransmits)
	}
	return line
}

// diagram is the machine, as Figure 5 of RFC 9293 has it, without what ends a connection early.
var diagram = []string{
	"SYN-SENT ───────────────┐",
	"LISTEN ── SYN-RECEIVED ─┴ ESTABLISHED ─┬ FIN-WAIT-1 ─┬ FIN-WAIT-2 ─┬ TIME-WAIT",
	"                                       │             └ CLOSING ────┘",
	"                                       └ CLOSE-WAIT ── LAST-ACK ─── CLOSED",
}

// marked is the diagram with a state marked, and those by which the connection has come to it.
func (m *watchModel) marked(state string, way map[string]bool) (lines []string) {
	for _, line := range diagram {
		line = m.fit(line)
		for _, s := range append(control.States(), "LISTEN", "CLOSED") {
			switch {
			case s == state:
				line = strings.Replace(line, s, reverse+s+plain, 1)
			case way[s]:
				line = strings.Replace(line, s, bold+s+plain, 1)
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// details are all of the selected connection.
func (m *watchModel) details(room int) []string {
	c := m.now.selected
	if m.complaint != "" { // what has happened stays so
		return m.withLadder([]string{bold + m.fit(m.selected) + plain}, room)
	}
	if c == nil {
		lines := []string{bold + m.fit(m.selected) + plain, m.fit("It is over, or not yet looked at; esc goes back.")}
		return m.withLadder(lines, room)
	}
	s := liveStory(c)
	way := map[string]bool{}
	for i := range c.Flight {
		way[c.Flight[i].State] = true
	}
	title := []string{bold + m.fit(c.ID+"  "+c.State) + plain, m.fit(s.sums)}
	var lines []string
	for _, w := range s.conn.Explain().Waits {
		lines = append(lines, wrap(string(w.Owes)+": "+w.Text, m.width)...)
	}
	if n := len(m.rtts); n > 0 {
		lines = append(lines, m.fit(fmt.Sprintf("RTT  %-30s %.2f ms", spark(m.rtts, 30), m.rtts[n-1]*1000)),
			m.fit(fmt.Sprintf("cwnd %-30s %s", spark(m.cwnds, 30), size(m.cwnds[n-1]))))
	}
	lines = append(lines, "")
	if len(title)+len(diagram)+len(lines) < room { // and one for the ladder
		title = append(title, m.marked(c.State, way)...)
	}
	lines = append(title, lines...)
	if len(m.lines) == 0 { // the ladder begins now: until then, what was remarkable before
		for _, l := range s.conn.Explain().Happened {
			times := ""
			if l.Times > 1 {
				times = fmt.Sprintf(" %d times", l.Times)
			}
			lines = append(lines, m.fit(fmt.Sprintf("%s  %s%s", s.began.Add(l.At).Format("15:04:05.000000"), l.What, times)))
		}
		lines = lines[:min(len(lines), max(1, room-1))]
	}
	return m.withLadder(lines, room)
}

// withLadder adds as much of the ladder's end as there is room for.
func (m *watchModel) withLadder(lines []string, room int) []string {
	if len(m.lines) == 0 {
		return append(lines, m.fit("its ladder: nothing has happened since"))
	}
	for _, line := range m.lines[max(0, len(m.lines)-max(1, room-len(lines))):] {
		lines = append(lines, m.fit(line))
	}
	return lines
}

// spark draws the last numbers.
func spark(list []float64, width int) string {
	list = list[max(0, len(list)-width):]
	top := slices.Max(list)
	bars := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range list {
		i := 0
		if top > 0 {
			i = int(v / top * float64(len(bars)-1))
		}
		b.WriteRune(bars[i])
	}
	return b.String()
}

var helpLines = []string{
	"up, down, j, k     choose a connection; page up, page down",
	"enter              all of it: states, who owes the next move, its ladder",
	"esc                back",
	"/                  filter as ss does: state established sport = :80",
	"s                  sort by something else",
	"space, p           pause: the screen stands still, the daemon does not",
	"r                  reset the connection: its peer gets a RST",
	"?                  this",
	"q                  quit",
}

// foot is the last line: what is asked, or what can be.
func (m *watchModel) foot() string {
	switch {
	case m.typing && m.says != "":
		return m.fit("filter: " + m.typed + "█   " + m.says)
	case m.typing:
		return m.fit("filter: " + m.typed + "█   enter, esc")
	case m.confirm != "":
		return reverse + m.fit("reset "+m.confirm+"? y, or any other key for no") + plain
	case m.says != "":
		return m.fit(m.says)
	case m.help:
		return m.fit("any key closes this help")
	}
	return m.fit("q quit  ? help  / filter  enter details  r reset  space pause  s sort: " + sorts[m.sorted].name)
}
