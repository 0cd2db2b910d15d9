package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Source is a kind of thing that values come from.
type Source string

// The sources. Each is over those before it.
const (
	FromDefault Source = "default"
	FromFile    Source = "file"
	FromEnv     Source = "env"
	FromFlag    Source = "flag"
	FromCommand Source = "command" // to the running daemon
)

// Origin is where a value comes from; the zero value is the defaults.
type Origin struct {
	Source Source `json:"source"`
	Name   string `json:"name,omitempty"` // of the file, the variable, the flag or the command
	Line   int    `json:"line,omitempty"` // in a file, from 1; 0: the file as a whole
	Column int    `json:"column,omitempty"`

	key string // what a variable or a flag sets
}

// String is the origin in few words, as it stands in a comment.
func (o Origin) String() string {
	switch o.Source {
	case FromFile:
		return fmt.Sprintf("%s:%d", o.Name, o.Line)
	case FromEnv, FromFlag:
		return string(o.Source) + " " + o.Name
	case FromCommand:
		return o.Name
	}
	return string(FromDefault)
}

// compare puts the sources in their order, and places of a file in that of its lines.
func (o Origin) compare(p Origin) int {
	order := []Source{FromDefault, FromFile, FromEnv, FromFlag, FromCommand}
	return cmp.Or(cmp.Compare(slices.Index(order, o.Source), slices.Index(order, p.Source)),
		cmp.Compare(o.Line, p.Line), cmp.Compare(o.Column, p.Column), cmp.Compare(o.Name, p.Name))
}

// place is what a fault begins with, up to the key.
func (o Origin) place() string {
	switch {
	case o.Source == FromFile && o.Line > 0:
		return fmt.Sprintf("%s:%d:%d: ", o.Name, o.Line, o.Column)
	case o.Name != "":
		return o.Name + ": "
	}
	return ""
}

// Origins tells where each key has been set. What is not there has its default.
type Origins map[string]Origin

// Of is the origin of the value of a key, or of an entry of a list.
func (o Origins) Of(key string) Origin {
	if at, ok := o[key]; ok {
		return at
	}
	if list, _, entry := strings.Cut(key, "["); entry {
		return o.Of(list)
	}
	return Origin{Source: FromDefault}
}

// near is the place of a key or, where nothing sets it, of the nearest that it is a part of.
func (o Origins) near(key string) Origin {
	for ; key != ""; key = key[:max(strings.LastIndexAny(key, ".["), 0)] {
		if at, ok := o[key]; ok {
			return at
		}
	}
	return Origin{Source: FromDefault}
}

// set is for a key that a source sets over the ones before, with all its parts.
func (o Origins) set(key string, at Origin) {
	o.forget(key)
	o[key] = at
}

func (o Origins) forget(key string) {
	delete(o, key)
	for k := range o {
		if strings.HasPrefix(k, key+"[") {
			delete(o, k)
		}
	}
}

// take makes the origins of a key, and of its parts, those that from has.
func (o Origins) take(from Origins, key string) {
	o.forget(key)
	for k, at := range from {
		if k == key || strings.HasPrefix(k, key+"[") {
			o[k] = at
		}
	}
}

// Fault is what is wrong with the value of a key.
type Fault struct {
	Origin Origin
	Key    string // "": the file as a whole
	Text   string
}

// Error is the text after its place: FILE:LINE:COLUMN and the key, or the variable or flag that sets it.
func (f *Fault) Error() string {
	text := f.Text
	if f.Key != "" && f.Key != f.Origin.key {
		text = f.Key + ": " + text
	}
	return f.Origin.place() + text
}

// follows reports whether f is there only since what stands at the same place could not be read, which has been told.
func (f *Fault) follows(unread *Fault) bool {
	rest, within := strings.CutPrefix(f.Key, unread.Key)
	return within && f.Origin == unread.Origin && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Faults are several of them, in one error.
type Faults []*Fault

func (f Faults) Error() string {
	var lines []string
	for _, fault := range f {
		lines = append(lines, fault.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each by itself.
func (f Faults) Unwrap() (errs []error) {
	for _, fault := range f {
		errs = append(errs, fault)
	}
	return errs
}

// err is f, or nil without any.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}
