package script

import (
	"strings"
)

// lexer cuts a script into tokens. Space and comments separate them, and mean nothing else.
type lexer struct {
	src  string
	at   int
	line int
}

// next returns the next token.
func (l *lexer) next() (token, error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	t := token{line: l.line, at: l.at}
	rest := l.src[l.at:]
	if rest == "" {
		t.end = l.at
		return t, nil
	}
	var err error
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "..."):
		t.kind, t.text = ellipsis, l.take(3)
	case isDigit(c), c == '.' && len(rest) > 1 && isDigit(rest[1]):
		l.number(&t)
	case isLetter(c):
		t.kind, t.text = word, l.take(run(rest, isAlnum))
	case c == '"':
		t.kind = text
		t.text, err = l.quoted("\"", "\"", true)
	case c == '`':
		t.kind = command
		t.text, err = l.quoted("`", "`", false)
	case strings.HasPrefix(rest, "%{"):
		t.kind = code
		t.text, err = l.quoted("%{", "}%", false)
	case strings.HasPrefix(rest, "--") && len(rest) > 2 && isLetter(rest[2]):
		t.kind = option
		l.take(2)
		t.text = l.take(run(l.src[l.at:], isAlnum))
	default:
		t.kind, t.text = mark, l.take(1)
	}
	t.end = l.at
	return t, err
}

// number reads digits with a fraction; letters among them make it a word, a cookie in hexadecimal, say.
func (l *lexer) number(t *token) {
	rest := l.src[l.at:]
	n := run(rest, isAlnum)
	digits := run(rest, isDigit)
	switch {
	case n > digits && (strings.HasPrefix(rest, "0x") || strings.HasPrefix(rest, "0X")) && n > 2 && run(rest[2:], isHex) == n-2:
		t.kind = integer
	case n > digits:
		t.kind = word
	case len(rest) > n+1 && rest[n] == '.' && isDigit(rest[n+1]):
		t.kind = fraction
		n += 1 + run(rest[n+1:], isDigit)
	default:
		t.kind = integer
	}
	t.text = l.take(n)
}

// quoted reads what stands between two marks.
func (l *lexer) quoted(open, shut string, escapes bool) (string, error) {
	line, from := l.line, l.at+len(open)
	for i := from; i < len(l.src); i++ {
		switch {
		case escapes && l.src[i] == '\\':
			i++
		case strings.HasPrefix(l.src[i:], shut):
			l.take(i + len(shut) - l.at)
			return l.src[from:i], nil
		}
	}
	return "", &Error{Line: line, Text: open + " without " + shut}
}

// skip passes over space and comments.
func (l *lexer) skip() error {
	for {
		rest := l.src[l.at:]
		switch {
		case rest == "":
			return nil
		case strings.ContainsRune(" \t\r\n\f\v", rune(rest[0])):
			l.take(1)
		case rest[0] == '#', strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.take(n)
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest, "*/")
			if n < 0 {
				return &Error{Line: l.line, Text: "/* without */"}
			}
			l.take(n + 2)
		default:
			return nil
		}
	}
}

// take passes over n bytes and returns them.
func (l *lexer) take(n int) string {
	s := l.src[l.at : l.at+n]
	l.line += strings.Count(s, "\n")
	l.at += n
	return s
}

// run is how many bytes of s, from its beginning, are of a class.
func run(s string, class func(byte) bool) int {
	n := 0
	for n < len(s) && class(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }
func isAlnum(c byte) bool  { return isDigit(c) || isLetter(c) }
func isHex(c byte) bool    { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
