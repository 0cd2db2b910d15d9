package script

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// String is the script in its own language, without comments.
func (s *Script) String() string {
	var b strings.Builder
	for _, o := range s.Options {
		fmt.Fprintf(&b, "--%s", o.Name)
		if o.Value != "" {
			fmt.Fprintf(&b, "=%s", o.Value)
		}
		b.WriteByte('\n')
	}
	for i := range s.Events {
		fmt.Fprintln(&b, s.Events[i].String())
	}
	return b.String()
}

// String is the event as a script has it.
func (e *Event) String() string {
	when := e.When.String()
	if c := e.Call; c != nil && c.Blocks {
		when += "..." + decimal(c.Until)
	}
	return strings.TrimPrefix(when+" "+e.action(), " ")
}

// action is what happens, without the time.
func (e *Event) action() string {
	switch {
	case e.Packet != nil:
		return e.Packet.String()
	case e.Call != nil:
		return e.Call.String()
	case e.Command != nil:
		return "`" + e.Command.Text + "`"
	}
	return "%{" + e.Code.Text + "}%"
}

// String is the time as a script has it.
func (w When) String() string {
	plus := ""
	switch w.Base {
	case Untimed:
		return ""
	case Any:
		return "*"
	case Before:
		plus = "+"
	}
	if w.To != w.At {
		return plus + decimal(w.At) + "~" + plus + decimal(w.To)
	}
	return plus + decimal(w.At)
}

// decimal is a time in seconds, to the microsecond, with as few digits as it takes.
func decimal(d mono.Duration) string {
	return strconv.FormatFloat(float64(d/mono.Microsecond)/1e6, 'f', -1, 64)
}

// String is the packet as a script has it.
func (k *Packet) String() string {
	b := []byte{'>'}
	if k.In {
		b[0] = '<'
	}
	if s := k.IP.String(); s != "" {
		b = append(b, " ["+s+"]"...)
	}
	if k.ICMP != nil {
		return string(b) + k.ICMP.String()
	}
	if k.Ports != [2]uint16{} {
		b = fmt.Appendf(b, " %d > %d", k.Ports[0], k.Ports[1])
	}
	b = append(b, ' ')
	for i, bit := range flagBits {
		if k.Flags&bit != 0 {
			b = append(b, flagLetters[i])
		}
	}
	if k.Flags == 0 {
		b = append(b, '-')
	}
	b = fmt.Appendf(b, " %v(%d)", k.Range, k.Range.Len())
	if k.Flags&flagBits[len(flagBits)-1] != 0 {
		b = fmt.Appendf(b, " ack %d", k.Ack)
	}
	if k.Window != nil {
		b = fmt.Appendf(b, " win %d", *k.Window)
	}
	if k.Urgent != nil {
		b = fmt.Appendf(b, " urg %d", *k.Urgent)
	}
	return string(b) + k.optionText()
}

// optionText is the list of options with the space before it, or nothing.
func (k *Packet) optionText() string {
	if k.AnyOptions {
		return " <...>"
	}
	if len(k.Options) == 0 {
		return ""
	}
	list := make([]string, len(k.Options))
	for i, o := range k.Options {
		list[i] = o.String()
	}
	return " <" + strings.Join(list, ",") + ">"
}

// String is the range without the length.
func (r Range) String() string { return fmt.Sprintf("%d:%d", r.From, r.To) }

// String is what stands in brackets.
func (f Field4) String() string {
	var list []string
	for name, ecn := range ecnNames {
		if ecn == f.ECN {
			list = append(list, name)
		}
	}
	if f.TTL != 0 {
		list = append(list, fmt.Sprintf("ttl %d", f.TTL))
	}
	return strings.Join(list, ",")
}

// String is the message as a script has it, with a space before it.
func (m *ICMP) String() string {
	s := " icmp " + m.Type
	if m.Code != "" {
		s += " " + m.Code
	}
	if m.MTU != 0 {
		s += fmt.Sprintf(" mtu %d", m.MTU)
	}
	if m.Quote != nil {
		s += fmt.Sprintf(" [%v(%d)]", *m.Quote, m.Quote.Len())
	}
	return s
}

// String is the option as a script has it.
func (o TCPOption) String() string {
	switch o.Kind {
	case End:
		return "eol"
	case Nop:
		return "nop"
	case MSS:
		return fmt.Sprintf("mss %d", o.Value)
	case WindowScale:
		return fmt.Sprintf("wscale %d", o.Value)
	case SACKPermitted:
		return "sackOK"
	case Timestamps:
		return fmt.Sprintf("TS val %d ecr %d", o.Value, o.Echo)
	case SACK:
		s := "sack"
		for _, b := range o.Blocks {
			s += " " + b.String()
		}
		return s
	case Unknown:
		return strings.TrimSpace(fmt.Sprintf("kind %d %x", o.Value, o.Cookie))
	}
	name := "FO"
	if o.Kind == FastOpenExp {
		name = "FOEXP"
	}
	return strings.TrimSpace(name + " " + hex.EncodeToString(o.Cookie))
}

// String is the call with its result.
func (c *Call) String() string {
	s := c.text() + " = " + c.Result.String()
	if c.Errno != "" {
		s += " " + c.Errno
	}
	if c.Note != "" {
		s += " (" + c.Note + ")"
	}
	return s
}

// text is the call without its result.
func (c *Call) text() string { return c.Name + list("(", c.Args, ")") }

func list(open string, parts []Expr, shut string) string {
	text := make([]string, len(parts))
	for i, e := range parts {
		text[i] = e.String()
	}
	return open + strings.Join(text, ", ") + shut
}

// String is the expression in C's notation.
func (e Expr) String() string {
	switch e.Kind {
	case Number:
		return strconv.FormatInt(e.Number, 10)
	case Name:
		return e.Text
	case Text:
		return quote(e.Text)
	case Or:
		return strings.ReplaceAll(list("", e.Parts, ""), ", ", "|")
	case List:
		return list("[", e.Parts, "]")
	case Apply:
		return e.Text + list("(", e.Parts, ")")
	case Struct:
		fields := make([]string, len(e.Fields))
		for i, f := range e.Fields {
			fields[i] = f.String()
		}
		return "{" + strings.Join(fields, ", ") + "}"
	}
	return "..."
}

// String is the member as a script has it.
func (f Field) String() string {
	switch {
	case f.Name == "":
		return f.Value.String()
	case f.Count != nil:
		return f.Name + "(" + f.Count.String() + ")=" + f.Value.String()
	}
	return f.Name + "=" + f.Value.String()
}

// quote writes bytes as a string of C's.
func quote(s string) string {
	b := []byte{'"'}
	for _, c := range []byte(s) {
		switch {
		case c == '"', c == '\\':
			b = append(b, '\\', c)
		case c < ' ', c > '~':
			b = fmt.Appendf(b, `\x%02x`, c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
