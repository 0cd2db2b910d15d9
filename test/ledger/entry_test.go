package ledger

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// entry is one requirement.
type entry struct {
	id      string // MUST-13; in the standards that number nothing, section and place: 3.2-1
	level   string // MUST, MUST NOT, SHOULD, SHOULD NOT, MAY, RECOMMENDED
	meaning string
	code    []place
	note    string // what the proof does not say

	declined, inapplicable string // why; empty: it is to be proven
	same                   string // "RFC 9293 MUST-13": that is the same requirement, and all is said there
	as                     *entry
	of                     *standard // of as
}

// place is where in the code a requirement is met.
type place struct{ file, symbol string }

// section is a part of a standard with its requirements.
type section struct {
	number, title string
	entries       []*entry
}

// standard is one RFC.
type standard struct {
	rfc      int
	title    string
	intro    string
	sections []section
}

func (s *standard) name() string { return fmt.Sprint("RFC ", s.rfc) }
func (s *standard) page() string { return fmt.Sprintf("docs/rfc%d.md", s.rfc) }
func (s *standard) file() string { return fmt.Sprintf("test/ledger/rfc%d.txt", s.rfc) }

// entries are those of all sections.
func (s *standard) entries() (all []*entry) {
	for _, sec := range s.sections {
		all = append(all, sec.entries...)
	}
	return all
}

var (
	headLine  = regexp.MustCompile(`^([A-Za-z0-9.-]+) (MUST|MUST NOT|SHOULD|SHOULD NOT|MAY|RECOMMENDED)$`)
	placeText = regexp.MustCompile(`^(\S+\.go) ([A-Za-z0-9_.]+)$`)
)

// readStandard reads a standard's file. Blocks of lines are separated by empty ones:
//
//	RFC 9293, Transmission Control Protocol       the first: the title, and what the page says at its top
//	Lines of introduction.
//
//	# 3.6.1 Half-Closed Connections               a section
//
//	MUST-13 MUST                                  a requirement: its number and level, its meaning, and keys, each of
//	The active closer stays in TIME-WAIT          which goes on in indented lines
//	for twice the MSL.
//	code: pkg/tcp/fire.go obey; pkg/tcp/timeout.go waited
//	note: …          or  declined: …  or  inapplicable: …
//
// In place of all these keys may stand "same: RFC 9293 MUST-13", where another standard asks for the same.
func readStandard(root fs.FS, rfc int) (*standard, error) {
	s := &standard{rfc: rfc}
	text, err := fs.ReadFile(root, s.file())
	if err != nil {
		return nil, err
	}
	for i, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		lines := strings.Split(strings.Trim(block, "\n"), "\n")
		head := lines[0]
		number, title, _ := strings.Cut(strings.TrimPrefix(head, "# "), " ")
		switch {
		case i == 0:
			s.title, s.intro = head, strings.Join(lines[1:], "\n")
		case strings.HasPrefix(head, "# "):
			s.sections = append(s.sections, section{number: number, title: title})
		case len(s.sections) == 0:
			return nil, fmt.Errorf("%s: %q stands in no section", s.file(), head)
		default:
			e, err := readEntry(lines)
			if err != nil {
				return nil, fmt.Errorf("%s: %q: %v", s.file(), head, err)
			}
			last := &s.sections[len(s.sections)-1]
			last.entries = append(last.entries, e)
		}
	}
	return s, s.complete()
}

func readEntry(lines []string) (*entry, error) {
	m := headLine.FindStringSubmatch(lines[0])
	if m == nil {
		return nil, fmt.Errorf("is no number with a level")
	}
	e := &entry{id: m[1], level: m[2]}
	var code string
	keys := map[string]*string{"code": &code, "note": &e.note, "declined": &e.declined, "inapplicable": &e.inapplicable, "same": &e.same}
	to := &e.meaning
	for _, line := range lines[1:] {
		key, text, found := strings.Cut(line, ":")
		if keys[key] != nil && found {
			to, line = keys[key], text
		}
		*to = strings.TrimSpace(*to + " " + strings.TrimSpace(line))
	}
	if code == "" {
		return e, nil
	}
	for p := range strings.SplitSeq(code, ";") {
		m := placeText.FindStringSubmatch(strings.TrimSpace(p))
		if m == nil {
			return nil, fmt.Errorf("%q is no file with a symbol", p)
		}
		e.code = append(e.code, place{m[1], m[2]})
	}
	return e, nil
}

// complete reports what the file lacks by itself.
func (s *standard) complete() error {
	seen := map[string]bool{}
	for _, e := range s.entries() {
		reasons := 0
		for _, r := range []string{e.declined, e.inapplicable, e.same} {
			if r != "" {
				reasons++
			}
		}
		switch {
		case seen[e.id]:
			return fmt.Errorf("%s %s is there twice", s.name(), e.id)
		case e.meaning == "":
			return fmt.Errorf("%s %s: no meaning", s.name(), e.id)
		case reasons > 1 || reasons == 1 && e.note != "" || len(e.code) > 0 && e.inapplicable+e.same != "":
			return fmt.Errorf("%s %s: one of note, declined, inapplicable and same; the last two without code", s.name(), e.id)
		case reasons == 0 && len(e.code) == 0:
			return fmt.Errorf("%s %s: no place in the code, and no reason", s.name(), e.id)
		}
		seen[e.id] = true
	}
	return nil
}

// resolve finds the entries that others name as the same.
func resolve(all []*standard) error {
	named := map[string]*entry{}
	of := map[string]*standard{}
	for _, s := range all {
		for _, e := range s.entries() {
			named[s.name()+" "+e.id], of[s.name()+" "+e.id] = e, s
		}
	}
	for _, s := range all {
		for _, e := range s.entries() {
			if e.same == "" {
				continue
			}
			if e.as, e.of = named[e.same], of[e.same]; e.as == nil || e.as.same != "" {
				return fmt.Errorf("%s %s is said to be the same as %q, which has no entry of its own", s.name(), e.id, e.same)
			}
		}
	}
	return nil
}
