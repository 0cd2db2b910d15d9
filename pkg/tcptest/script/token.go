package script

import "fmt"

// kind says what a token is.
type kind uint8

const (
	end      kind = iota // of the script
	word                 // a name, or letters and digits that are no number: accept, S, 00abaaabe8e954c2
	integer              // 1460, 0x2
	fraction             // .1, 0.25
	text                 // "..."
	command              // `...`
	code                 // %{ ... }%
	option               // --name, at the beginning
	ellipsis             // ...
	mark                 // any other character
)

// token is a piece of a script.
type token struct {
	kind kind
	text string // as written; without the quotes of text, command and code
	line int
	at   int // offset in bytes
	end  int
}

// String is how errors show it.
func (t token) String() string {
	switch t.kind {
	case end:
		return "the end"
	case text:
		return fmt.Sprintf("%q", t.text)
	case command:
		return "`" + t.text + "`"
	case code:
		return "%{" + t.text + "}%"
	case option:
		return "--" + t.text
	}
	return t.text
}

// is reports that t is the punctuation or the word s.
func (t token) is(s string) bool {
	return (t.kind == mark || t.kind == word || t.kind == ellipsis) && t.text == s
}
