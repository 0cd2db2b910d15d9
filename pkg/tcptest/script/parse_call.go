package script

import (
	"strconv"
	"strings"
)

// call reads a system call, from its end time, if it has one, to its note.
func (p *parser) call() *Call {
	c := &Call{}
	if p.accept("...") {
		c.Blocks = true
		c.Until = p.time()
	}
	line := p.tok.line
	c.Name = p.word("a call")
	if _, known := calls[c.Name]; !known {
		p.fail(outside(line, "the call %s", c.Name))
	}
	c.Args = p.arguments()
	for _, e := range c.Args {
		p.check(line, e)
	}
	p.expect("=")
	if p.tok.is("?") {
		c.Result = Expr{Kind: Dots}
		p.advance()
	} else {
		c.Result = p.expr()
		p.check(line, c.Result)
	}
	if p.tok.kind == word {
		c.Errno = p.word("an error")
		if _, known := errnos[c.Errno]; !known {
			p.fail(fault(line, "syntax: %s is no error", c.Errno))
		}
	}
	if p.tok.is("(") {
		c.Note = p.note()
	}
	return c
}

// check finds the names in an expression that are not of the subset.
func (p *parser) check(line int, e Expr) {
	if _, known := constants[e.Text]; e.Kind == Name && !known {
		p.fail(outside(line, "%s", e.Text))
	}
	if e.Kind == Apply && e.Text != "htons" && e.Text != "inet_addr" {
		p.fail(outside(line, "%s()", e.Text))
	}
	for _, part := range e.Parts {
		p.check(line, part)
	}
	for _, f := range e.Fields {
		if f.Name != "" && !members[f.Name] {
			p.fail(outside(line, "the member %s", f.Name))
		}
		p.check(line, f.Value)
	}
}

// members are those of the structures of the subset.
var members = map[string]bool{
	"sa_family": true, "sin_port": true, "sin_addr": true,
	"msg_name": true, "msg_iov": true, "msg_flags": true, "msg_control": true, "cmsg_level": true, "cmsg_type": true, "cmsg_data": true,
	"fd": true, "events": true, "revents": true, "ptr": true, "u32": true, "u64": true, "onoff": true, "linger": true,
}

// note reads words in parentheses; they mean nothing.
func (p *parser) note() string {
	from := p.tok.end
	for p.advance(); !p.tok.is(")"); p.advance() {
		if p.tok.kind == end {
			p.unexpected(")")
		}
	}
	s := strings.Join(strings.Fields(p.lex.src[from:p.tok.at]), " ")
	p.advance()
	return s
}

// arguments reads a list in parentheses.
func (p *parser) arguments() []Expr {
	p.expect("(")
	return p.elements(")")
}

// expr reads operands with | between them.
func (p *parser) expr() Expr {
	e := p.operand()
	if !p.tok.is("|") {
		return e
	}
	or := Expr{Kind: Or, Parts: []Expr{e}}
	for p.accept("|") {
		or.Parts = append(or.Parts, p.operand())
	}
	return or
}

func (p *parser) operand() Expr {
	if p.depth++; p.depth > deepest {
		p.fail(outside(p.tok.line, "arguments as deep as these"))
	}
	defer func() { p.depth-- }()
	t := p.tok
	switch {
	case p.accept("..."):
		return Expr{Kind: Dots}
	case p.accept("["):
		return Expr{Kind: List, Parts: p.elements("]")}
	case p.accept("{"):
		return p.structure()
	case p.accept("-"):
		return Expr{Kind: Number, Number: -int64(p.number("a number", 63))}
	case t.kind == integer:
		return Expr{Kind: Number, Number: int64(p.number("a number", 64))}
	case t.kind == text:
		return p.text()
	case t.kind == word:
		p.advance()
		if p.tok.is("(") {
			return Expr{Kind: Apply, Text: t.text, Parts: p.arguments()}
		}
		return Expr{Kind: Name, Text: t.text}
	}
	p.unexpected("an expression")
	return Expr{}
}

// text reads a string in C's notation, of as many bytes as it has escapes and characters.
func (p *parser) text() Expr {
	s, err := unquote(p.tok.text)
	if err != nil {
		p.fail(fault(p.tok.line, "syntax: %s is no string", p.tok))
	}
	p.advance()
	if p.tok.kind == ellipsis {
		p.fail(outside(p.tok.line, "a string with ... behind it"))
	}
	return Expr{Kind: Text, Text: s}
}

// unquote takes C's escapes for what they stand for.
func unquote(s string) (string, error) {
	var b strings.Builder
	for s != "" {
		if n := run(s, func(c byte) bool { return c != '\\' }); n > 0 {
			b.WriteString(s[:n])
			s = s[n:]
			continue
		}
		c, _, rest, err := strconv.UnquoteChar(s, '"')
		if err != nil {
			return "", err
		}
		if c > 255 {
			return "", strconv.ErrSyntax
		}
		b.WriteByte(byte(c))
		s = rest
	}
	return b.String(), nil
}

// elements reads a list up to the mark that shuts it.
func (p *parser) elements(shut string) (list []Expr) {
	for !p.accept(shut) {
		if len(list) > 0 {
			p.expect(",")
		}
		list = append(list, p.expr())
	}
	return list
}

// structure reads the members of a structure, behind its brace. Which it is shows in their names.
func (p *parser) structure() Expr {
	e := Expr{Kind: Struct}
	for !p.accept("}") {
		if len(e.Fields) > 0 {
			p.expect(",")
		}
		e.Fields = append(e.Fields, p.field())
	}
	return e
}

func (p *parser) field() (f Field) {
	v := p.expr()
	if !p.accept("=") {
		f.Value = v
		return f
	}
	switch {
	case v.Kind == Apply && len(v.Parts) == 1:
		f.Count = &v.Parts[0]
	case v.Kind != Name:
		p.unexpected("the name of a member")
	}
	f.Name, f.Value = v.Text, p.expr()
	return f
}
