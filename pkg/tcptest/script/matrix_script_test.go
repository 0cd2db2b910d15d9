package script

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// matrixScript is a cell's script.
type matrixScript struct {
	text              string
	reached, answered int // the last lines of what leads to the state, and of the event with its answer
}

// script makes the script of a cell: settings, what leads to the state, the event and its answer, what the user learns
// afterwards, and the proof.
func (c *cell) script() matrixScript {
	base := c.state
	if c.from != nil {
		base = c.from
	}
	own := slices.Concat(c.event.lines, c.lines)
	settings, own := cut(own)
	more, before := cut(c.before)
	if len(own) > 0 && !hasTime(own[0]) {
		own[0] = "+.05 " + own[0]
	}
	after := maps.Clone(c.state.numbers)
	maps.Copy(after, c.moved)

	lines := []string{"// " + c.state.name + ", " + c.event.name + ": RFC 9293 " + c.source + "."}
	if c.event.tells != "" {
		lines = append(lines, "// The event is: "+c.event.tells+".")
	}
	add := func(numbers map[string]int64, list []string) int {
		for _, l := range list {
			if l = resolve(l, numbers); !hasTime(l) {
				l = "+0 " + l
			}
			lines = append(lines, l)
		}
		return len(lines)
	}
	add(nil, slices.Concat(settings, more))
	add(base.numbers, base.prologue)
	g := matrixScript{reached: add(base.numbers, before)}
	g.answered = add(c.state.numbers, own)
	add(after, c.told(strings.Join(slices.Concat(before, own), "\n")))
	add(after, proofs[c.after])
	g.text = strings.Join(lines, "\n") + "\n"
	return g
}

// cut takes the commands out of lines.
func cut(lines []string) (commands, rest []string) {
	for _, l := range lines {
		if l[0] == '`' {
			commands = append(commands, l)
		} else {
			rest = append(rest, l)
		}
	}
	return commands, rest
}

func hasTime(line string) bool { return strings.ContainsAny(line[:1], "+*0`") }

var symbol = regexp.MustCompile(`\b(una|snd|rcv|good|edge|FD)([+-]\d+)?\b`)

// resolve puts numbers for the symbols.
func resolve(line string, numbers map[string]int64) string {
	return symbol.ReplaceAllStringFunc(line, func(s string) string {
		parts := symbol.FindStringSubmatch(s)
		var by int64
		if parts[2] != "" {
			_, _ = fmt.Sscan(parts[2], &by) // it is a number: the expression says so
		}
		return fmt.Sprint(uint32(numbers[parts[1]] + by))
	})
}

// linuxNames are the states that TCP_INFO tells of a connection with a user.
var linuxNames = map[string]string{
	"SYN-SENT": "SYN_SENT", "SYN-RECEIVED-OPEN": "SYN_RECV", "ESTABLISHED": "ESTABLISHED", "FIN-WAIT-1": "FIN_WAIT1",
	"FIN-WAIT-2": "FIN_WAIT2", "CLOSE-WAIT": "CLOSE_WAIT", "CLOSING": "CLOSING", "LAST-ACK": "LAST_ACK",
}

// told is what the user learns in the state after the event, as long as he has a descriptor (sections 3.10.2, 3.10.3 and
// 3.10.6). In lines are the cell's own.
func (c *cell) told(lines string) (list []string) {
	if strings.Contains(lines, "close(") {
		return nil
	}
	if name := linuxNames[c.after]; name != "" {
		list = append(list, "%{ assert tcpi_state == TCP_"+name+", tcpi_state }%")
	}
	const (
		nothing = "read(FD, ..., 100) = -1 EAGAIN (Resource temporarily unavailable)"
		end     = "read(FD, ..., 100) = 0"
		closed  = "write(FD, ..., 100) = -1 EPIPE (Broken pipe)"
	)
	deaf := strings.Contains(lines, "SHUT_RD") || strings.Contains(lines, "O_RDWR)")
	switch c.after {
	case "SYN-SENT", "SYN-RECEIVED-OPEN", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2":
		if !deaf {
			list = append(list, nothing)
		}
	case "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT":
		if !deaf {
			list = append(list, end)
		}
	}
	switch c.after {
	case "FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "LAST-ACK", "TIME-WAIT":
		list = append(list, closed)
	}
	return list
}

// proofs show from outside in which state a connection is, and what its SND.NXT and RCV.NXT are: by what it sends again
// by itself; else by its answer to a segment below the window, after it has been silent for longer than the limit of such
// answers.
var proofs = map[string][]string{
	"CLOSED":            closed,
	"LISTEN":            append(slices.Clone(closed), "+.1 < S 300000:300000(0) win 65535 <mss 1000>", "> S. 0:0(0) ack 300001 <...>"),
	"SYN-SENT":          {"+0~+2.5 > S 0:0(0) <...>"},
	"SYN-RECEIVED":      {"+0~+2.5 > S. 0:0(0) ack rcv <...>"},
	"SYN-RECEIVED-OPEN": {"+0~+2.5 > S. 0:0(0) ack rcv <...>"},
	"ESTABLISHED":       synchronized,
	"FIN-WAIT-1":        closing,
	"FIN-WAIT-2":        synchronized,
	"CLOSE-WAIT":        synchronized,
	"CLOSING":           closing,
	"LAST-ACK":          closing,
	"TIME-WAIT":         synchronized,
}

var (
	closed       = []string{"+.6 < . rcv:rcv(0) ack snd win 65535", "> R snd:snd(0)"}
	synchronized = []string{"+.6 < . rcv-1:rcv-1(0) ack snd win 65535", "> . snd:snd(0) ack rcv"}
	closing      = []string{"+0~+1 > F. snd-1:snd-1(0) ack rcv"}
)
