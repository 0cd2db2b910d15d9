package script

import (
	"math"
	"strconv"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// parser reads a script by recursive descent. The first error ends it, by a panic that Parse catches.
type parser struct {
	lex     lexer
	tok     token
	depth   int // of lists, structures and arguments within each other
	defines map[string]string
}

// Parse reads a script. defines are words to be replaced, as by --define=WORD=value in the script itself; nil: none.
// What is not of the subset is an *Error whose field Outside says so.
func Parse(file, src string, defines map[string]string) (s *Script, err error) {
	p := &parser{lex: lexer{src: src, line: 1}, defines: map[string]string{}}
	for name, value := range defines {
		p.defines[name] = value
	}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			e.File, s, err = file, nil, e
		}
	}()
	p.advance()
	s = &Script{File: file, Options: p.options()}
	for p.tok.kind != end {
		s.Events = append(s.Events, p.event())
	}
	return s, nil
}

// fail ends the parsing.
func (p *parser) fail(err error) { panic(err) }

func (p *parser) unexpected(want string) {
	p.fail(fault(p.tok.line, "syntax: %s where %s is expected", p.tok, want))
}

// advance reads the next token.
func (p *parser) advance() {
	t, err := p.lex.next()
	if err != nil {
		p.fail(err)
	}
	if value, ok := p.defines[t.text]; ok && t.kind == word {
		l := lexer{src: value, line: t.line}
		d, err := l.next()
		if err != nil {
			p.fail(err)
		}
		t.kind, t.text = d.kind, d.text
	}
	p.tok = t
}

// accept passes over s, if that comes next.
func (p *parser) accept(s string) bool {
	if !p.tok.is(s) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) expect(s string) {
	if !p.accept(s) {
		p.unexpected(s)
	}
}

// word reads a name.
func (p *parser) word(what string) string {
	if p.tok.kind != word {
		p.unexpected(what)
	}
	s := p.tok.text
	p.advance()
	return s
}

// number reads an integer of so many bits.
func (p *parser) number(what string, bits int) uint64 {
	if p.tok.kind != integer {
		p.unexpected(what)
	}
	digits, base := p.tok.text, 10
	if len(digits) > 2 && digits[1]|0x20 == 'x' {
		digits, base = digits[2:], 16
	}
	n, err := strconv.ParseUint(digits, base, bits)
	if err != nil {
		p.fail(fault(p.tok.line, "syntax: %s is no %s of %d bits", p.tok, what, bits))
	}
	p.advance()
	return n
}

// options reads the lines --name=value.
func (p *parser) options() (list []Option) {
	for p.tok.kind == option {
		o := Option{Line: p.tok.line, Name: p.tok.text}
		if rest := p.lex.src[p.lex.at:]; strings.HasPrefix(rest, "=") {
			p.lex.take(1)
			o.Value = p.lex.take(run(rest[1:], func(c byte) bool { return c > ' ' }))
		}
		if o.Name == "define" {
			name, value, _ := strings.Cut(o.Value, "=")
			p.defines[name] = value
		}
		list = append(list, o)
		p.advance()
	}
	return list
}

// event reads a line: a time and what happens.
func (p *parser) event() Event {
	e := Event{Line: p.tok.line}
	if p.tok.kind == command {
		e.Command = &Command{p.tok.text}
		p.advance()
		return e
	}
	e.When = p.when()
	switch {
	case p.tok.kind == command:
		e.Command = &Command{p.tok.text}
		p.advance()
	case p.tok.kind == code:
		if _, err := parseCode(p.tok.text, p.tok.line); err != nil {
			p.fail(err)
		}
		e.Code = &Code{p.tok.text}
		p.advance()
	case p.tok.is("<"), p.tok.is(">"):
		e.Packet = p.packet()
	case p.tok.kind == word, p.tok.kind == ellipsis:
		e.Call = p.call()
	default:
		p.unexpected("a packet, a call, a command or code")
	}
	return e
}

// when reads the time of an event.
func (p *parser) when() (w When) {
	switch {
	case p.accept("*"):
		w.Base = Any
		return w
	case p.accept("+"):
		w.Base = Before
	default:
		w.Base = Start
	}
	w.At = p.time()
	w.To = w.At
	if p.accept("~") {
		if w.Base == Before {
			p.expect("+")
		}
		w.To = p.time()
		if w.To < w.At {
			p.fail(fault(p.tok.line, "syntax: a time from %v to %v", w.At, w.To))
		}
	}
	return w
}

// time reads seconds with a fraction.
func (p *parser) time() mono.Duration {
	if p.tok.kind != integer && p.tok.kind != fraction {
		p.unexpected("a time")
	}
	seconds, err := strconv.ParseFloat(p.tok.text, 64)
	if err != nil || seconds > 1e6 {
		p.fail(fault(p.tok.line, "syntax: %s is no time in seconds", p.tok))
	}
	p.advance()
	return mono.Duration(math.Round(seconds*1e6)) * mono.Microsecond
}
