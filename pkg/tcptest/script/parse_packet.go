package script

import (
	"encoding/hex"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// packet reads a packet, from < or > on.
func (p *parser) packet() *Packet {
	k := &Packet{In: p.tok.is("<")}
	p.advance()
	if p.tok.is("(") || p.tok.is("[") {
		p.ipInfo(k)
	}
	for _, not := range []string{"ipv4", "ipv6", "gre", "mpls", "udp", "psp"} {
		if p.tok.kind == word && strings.EqualFold(p.tok.text, not) {
			p.fail(outside(p.tok.line, "a packet with %s", not))
		}
	}
	if p.tok.is("icmp") {
		if !k.In {
			p.fail(outside(p.tok.line, "an ICMP message from the stack"))
		}
		p.advance()
		k.ICMP = p.icmp()
		return k
	}
	if p.tok.kind == integer {
		k.Ports[0] = uint16(p.number("a port", 16))
		p.expect(">")
		k.Ports[1] = uint16(p.number("a port", 16))
	}
	k.Flags = p.flags()
	k.Range = p.seqRange()
	if p.accept("ack") {
		if k.Flags&tcp.ACK == 0 {
			p.fail(fault(p.tok.line, "syntax: ack without the flag ."))
		}
		k.Ack = uint32(p.number("an acknowledgment number", 32))
	}
	k.Window = p.header("win")
	k.Urgent = p.header("urg")
	if p.accept("<") {
		p.tcpOptions(k)
	}
	return k
}

// ipInfo reads what is said of the IP header.
func (p *parser) ipInfo(k *Packet) {
	shut := "]"
	if p.tok.is("(") {
		shut = ")"
	}
	for p.advance(); !p.accept(shut); {
		line := p.tok.line
		switch name := p.word("a field of the IP header"); name {
		case "ttl":
			k.IP.TTL = uint8(p.number("a time to live", 8))
		case "tos", "flowlabel":
			p.fail(outside(line, "%s", name))
		default:
			ecn, ok := ecnNames[name]
			if !ok {
				p.fail(fault(line, "syntax: %s is no field of the IP header", name))
			}
			k.IP.ECN = ecn
		}
		p.accept(",")
	}
}

var ecnNames = map[string]ECN{"noecn": NoECN, "ect0": ECT0, "ect1": ECT1, "ce": CE, "ect01": ECT01}

// header reads a number of the header, if it is there.
func (p *parser) header(name string) *uint16 {
	if !p.accept(name) {
		return nil
	}
	n := uint16(p.number(name, 16))
	return &n
}

// flagLetters are the flags in the order in which they are written.
const flagLetters = "FSRPUEWA."

var flagBits = [len(flagLetters)]tcp.Flags{tcp.FIN, tcp.SYN, tcp.RST, tcp.PSH, tcp.URG, tcp.ECE, tcp.CWR, tcp.AE, tcp.ACK}

// flags reads SF.; - stands for none.
func (p *parser) flags() (f tcp.Flags) {
	if p.accept("-") {
		return 0
	}
	letters := ""
	if p.tok.kind == word {
		letters = p.word("flags")
	}
	if p.accept(".") {
		letters += "."
	}
	if letters == "" {
		p.unexpected("flags")
	}
	for _, c := range letters {
		i := strings.IndexRune(flagLetters, c)
		if i < 0 {
			p.fail(fault(p.tok.line, "syntax: %s are no flags: %c is none of %s", letters, c, flagLetters))
		}
		f |= flagBits[i]
	}
	return f
}

// seqRange reads 1:1001(1000).
func (p *parser) seqRange() (r Range) {
	r.From = uint32(p.number("a sequence number", 32))
	p.expect(":")
	r.To = uint32(p.number("a sequence number", 32))
	line := p.tok.line
	p.expect("(")
	n := p.number("a length", 32)
	p.expect(")")
	if r.To-r.From != uint32(n) {
		p.fail(fault(line, "syntax: %d:%d is %d bytes, not %d", r.From, r.To, r.To-r.From, n))
	}
	if n > maxText {
		p.fail(fault(line, "syntax: %d bytes are more than a packet takes", n))
	}
	return r
}

// maxText is the most text of one packet, in bytes, options and superframes included.
const maxText = 65535 - 40

// icmp reads what follows the word.
func (p *parser) icmp() *ICMP {
	line := p.tok.line
	m := &ICMP{Type: p.word("a type of ICMP")}
	if p.tok.kind == word && p.tok.text != "mtu" && p.tok.text != "id" {
		m.Code = p.word("a code of ICMP")
	}
	if _, _, ok := icmpNumbers(m); !ok {
		p.fail(outside(line, "icmp %s", strings.TrimSpace(m.Type+" "+m.Code)))
	}
	if p.accept("mtu") {
		m.MTU = uint16(p.number("an MTU", 16))
	}
	if p.tok.is("id") {
		p.fail(outside(p.tok.line, "icmp echoes"))
	}
	if p.accept("[") {
		if p.tok.kind != integer {
			p.fail(outside(p.tok.line, "icmp about %s", p.tok))
		}
		r := p.seqRange()
		m.Quote = &r
		p.expect("]")
	}
	return m
}

// tcpOptions reads a list of options behind its <.
func (p *parser) tcpOptions(k *Packet) {
	if p.accept("...") {
		k.AnyOptions = true
		p.expect(">")
		return
	}
	for {
		k.Options = append(k.Options, p.tcpOption())
		if p.accept(">") {
			return
		}
		p.expect(",")
	}
}

func (p *parser) tcpOption() (o TCPOption) {
	line := p.tok.line
	switch name := p.word("an option"); name {
	case "eol":
		o.Kind = End
	case "nop":
		o.Kind = Nop
	case "sackOK":
		o.Kind = SACKPermitted
	case "mss":
		o.Kind, o.Value = MSS, uint32(p.number("an MSS", 16))
	case "wscale":
		o.Kind, o.Value = WindowScale, uint32(p.number("a window scale", 8))
	case "sack":
		o.Kind, o.Blocks = SACK, p.blocks()
	case "TS":
		o.Kind = Timestamps
		p.expect("val")
		o.Value = uint32(p.number("a timestamp", 32))
		p.expect("ecr")
		o.Echo = uint32(p.number("a timestamp", 32))
	case "FO":
		o.Kind, o.Cookie = FastOpen, p.cookie()
	case "FOEXP":
		o.Kind, o.Cookie = FastOpenExp, p.cookie()
	default:
		p.fail(outside(line, "%s option", name))
	}
	return o
}

// blocks reads SACK blocks.
func (p *parser) blocks() (list []Range) {
	for p.tok.kind == integer {
		var r Range
		r.From = uint32(p.number("a sequence number", 32))
		p.expect(":")
		r.To = uint32(p.number("a sequence number", 32))
		list = append(list, r)
	}
	if len(list) == 0 || len(list) > 4 {
		p.fail(fault(p.tok.line, "syntax: %d SACK blocks: an option holds one to four", len(list)))
	}
	return list
}

// cookie reads bytes in hexadecimal, or nothing.
func (p *parser) cookie() []byte {
	if p.tok.kind != integer && p.tok.kind != word {
		return nil
	}
	b, err := hex.DecodeString(p.tok.text)
	if err != nil || len(b) > 38 {
		p.fail(fault(p.tok.line, "syntax: %s is no cookie: an even number of hexadecimal digits is wanted", p.tok))
	}
	p.advance()
	return b
}
