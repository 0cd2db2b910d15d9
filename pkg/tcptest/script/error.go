package script

import (
	"fmt"
	"path/filepath"
)

// Error is what is wrong with a script, or with the stack that it drives.
type Error struct {
	File string // its last element is shown; "" where a script has no file
	Line int
	Text string
	// Outside is the construct that is not of the subset, if that is what is wrong.
	Outside string
}

// Error tells the place and what is wrong with it.
func (e *Error) Error() string {
	text := e.Text
	if e.Outside != "" {
		text = "outside the subset: " + e.Outside
	}
	if e.File == "" {
		return fmt.Sprintf("line %d: %s", e.Line, text)
	}
	return fmt.Sprintf("%s:%d: %s", filepath.Base(e.File), e.Line, text)
}

// outside is the error that names a construct which is not of the subset.
func outside(line int, format string, args ...any) error {
	return &Error{Line: line, Outside: fmt.Sprintf(format, args...)}
}

// fault is the error that something is wrong with a line.
func fault(line int, format string, args ...any) error {
	return &Error{Line: line, Text: fmt.Sprintf(format, args...)}
}
