package script

import (
	"slices"
	"strconv"
	"strings"
)

// Code blocks are Python, of which this is a small part: assert, print, which does nothing, assignments, and expressions
// of numbers, strings and names.

// statement is one of a code block.
type statement struct {
	line   int
	source string
	name   string // of the variable that is assigned; "": an assertion
	op     string // of an augmented assignment
	value  *formula
	tell   *formula // what an assertion says; nil: nothing
}

// formula is an expression of Python's.
type formula struct {
	op    string // "", "name", "string", an operator, or "compare"
	value float64
	text  string
	ops   []string // of compare: a < b <= c
	args  []*formula

	closed bool // in parentheses: a chain of comparisons ends with them
}

// coder reads a code block.
type coder struct {
	src   string
	at    int
	line  int
	depth int // of parentheses, within which lines go on
	tok   string
}

// parseCode reads the text between %{ and }%.
func parseCode(src string, line int) (body []statement, err error) {
	k := &coder{src: src, line: line}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			body, err = nil, e
		}
	}()
	k.advance()
	for k.tok != "" {
		if k.tok == "\n" || k.tok == ";" {
			k.advance()
			continue
		}
		if s, ok := k.statement(); ok {
			body = append(body, s)
		}
		if k.tok != "" && k.tok != "\n" && k.tok != ";" {
			k.outside("%s in code", k.tok)
		}
	}
	return body, nil
}

func (k *coder) outside(format string, args ...any) { panic(outside(k.line, format, args...)) }

// deepest is how deep parentheses may be, in code and in arguments.
const deepest = 64

// codeMarks are the operators, the longer ones first.
var codeMarks = []string{
	"**", "//", "<<", ">>", "<=", ">=", "==", "!=", "+=", "-=", "*=", "|=", "&=",
	"+", "-", "*", "/", "%", "<", ">", "=", "&", "|", "^", "~", "(", ")", ",", ";",
}

// advance reads the next token; "" is the end, a string keeps its first quote.
func (k *coder) advance() {
	rest := k.space()
	n := 0
	switch {
	case rest == "":
	case rest[0] == '\n':
		n = 1
	case isAlnum(rest[0]):
		n = run(rest, func(c byte) bool { return isAlnum(c) || c == '.' })
	case rest[0] == '\'' || rest[0] == '"':
		shut := strings.IndexByte(rest[1:], rest[0])
		if shut < 0 || strings.Contains(rest[:shut+1], "\n") {
			k.outside("a string without end in code")
		}
		n = shut + 2
	default:
		i := slices.IndexFunc(codeMarks, func(m string) bool { return strings.HasPrefix(rest, m) })
		if i < 0 {
			k.outside("%q in code", rest[0])
		}
		n = len(codeMarks[i])
	}
	k.tok = k.take(n)
	switch k.tok {
	case "(":
		k.depth++
	case ")":
		k.depth--
	}
}

// space passes over what separates tokens and returns the rest.
func (k *coder) space() string {
	for {
		rest := k.src[k.at:]
		switch {
		case strings.HasPrefix(rest, "\\\n"):
			k.take(2)
		case rest != "" && (strings.IndexByte(" \t\r", rest[0]) >= 0 || rest[0] == '\n' && k.depth > 0):
			k.take(1)
		case strings.HasPrefix(rest, "#"):
			k.take(run(rest, func(c byte) bool { return c != '\n' }))
		default:
			return rest
		}
	}
}

func (k *coder) take(n int) string {
	s := k.src[k.at : k.at+n]
	k.at += n
	k.line += strings.Count(s, "\n")
	return s
}

func (k *coder) accept(tok string) bool {
	if k.tok != tok {
		return false
	}
	k.advance()
	return true
}

// statement reads one statement; it is not ok for one that does nothing.
func (k *coder) statement() (s statement, ok bool) {
	from := k.at - len(k.tok)
	s.line = k.line
	defer func() { s.source = strings.TrimSpace(k.src[from : k.at-len(k.tok)]) }()
	if k.accept("assert") {
		s.value = k.formula(0)
		if k.accept(",") {
			s.tell = k.formula(0)
		}
		return s, true
	}
	if k.accept("print") {
		for k.tok != "" && k.tok != "\n" && k.tok != ";" {
			k.advance()
		}
		return s, false
	}
	if !isName(k.tok) {
		k.outside("%s in code", k.tok)
	}
	s.name = k.tok
	k.advance()
	op, assigns := strings.CutSuffix(k.tok, "=")
	if !assigns || slices.Contains([]string{"<", ">", "=", "!"}, op) {
		k.outside("%s in code", s.name)
	}
	s.op = op
	k.advance()
	s.value = k.formula(0)
	return s, true
}

// infix are the operators by how tightly they bind, from the loosest on; not stands between and and the comparisons.
var infix = [][]string{
	{"or"}, {"and"}, {"not"}, {"<", "<=", ">", ">=", "==", "!="}, {"|"}, {"^"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "//", "%"},
}

const (
	levelNot     = 2
	levelCompare = 3
)

// formula reads an expression whose operators bind as tightly as level, or more.
func (k *coder) formula(level int) *formula {
	switch {
	case level == len(infix):
		return k.unary()
	case level == levelNot:
		nots := 0
		for ; k.accept("not"); nots++ {
		}
		f := k.formula(level + 1)
		for ; nots > 0; nots-- {
			f = &formula{op: "not", args: []*formula{f}}
		}
		return f
	}
	f := k.formula(level + 1)
	for slices.Contains(infix[level], k.tok) {
		op := k.tok
		k.advance()
		right := k.formula(level + 1)
		switch {
		case level == levelCompare && f.op == "compare" && !f.closed:
			f.ops, f.args = append(f.ops, op), append(f.args, right)
		case level == levelCompare:
			f = &formula{op: "compare", ops: []string{op}, args: []*formula{f, right}}
		default:
			f = &formula{op: op, args: []*formula{f, right}}
		}
	}
	return f
}

// unary reads an operand with the signs before it.
func (k *coder) unary() *formula {
	t := k.tok
	switch {
	case t == "-", t == "~":
		return k.signed()
	case k.accept("("):
		if k.depth > deepest {
			k.outside("parentheses as deep as these")
		}
		f := k.formula(0)
		for k.accept(",") { // a tuple, to be told
			f = &formula{op: "tuple", args: []*formula{f, k.formula(0)}}
		}
		if k.tok != ")" {
			k.outside("%s in code", k.tok)
		}
		k.advance()
		f.closed = true
		return f
	case t != "" && (t[0] == '\'' || t[0] == '"'):
		k.advance()
		return &formula{op: "string", text: t[1 : len(t)-1]}
	case isName(t):
		k.advance()
		if k.tok == "(" {
			k.outside("%s() in code", t)
		}
		return &formula{op: "name", text: t}
	}
	n, err := number(t)
	if err != nil {
		k.outside("%s in code", strings.TrimSpace(strconv.Quote(t)))
	}
	k.advance()
	return &formula{value: n}
}

// signed reads an operand with its signs: - and ~ are an operation with -1.
func (k *coder) signed() *formula {
	var ops []string
	for k.tok == "-" || k.tok == "~" {
		ops = append(ops, map[string]string{"-": "*", "~": "^"}[k.tok])
		k.advance()
	}
	f := k.unary()
	for _, op := range slices.Backward(ops) {
		f = &formula{op: op, args: []*formula{{value: -1}, f}}
	}
	return f
}

func number(s string) (float64, error) {
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return float64(n), nil
	}
	return strconv.ParseFloat(s, 64)
}

// isName reports that s is a name, and no word of Python's.
func isName(s string) bool {
	return s != "" && isLetter(s[0]) && run(s, isAlnum) == len(s) &&
		!slices.Contains([]string{"and", "or", "not", "in", "is", "if", "else", "for", "while", "def", "lambda", "import", "from", "class", "del", "return", "None"}, s)
}
