package ledger

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// kinds are what becomes of a requirement, as the pages count it.
var kinds = []string{"proven by tests", "declined, with the reason", "does not apply"}

func (e *entry) kind() int {
	switch {
	case e.as != nil:
		return e.as.kind()
	case e.declined != "":
		return 1
	case e.inapplicable != "":
		return 2
	}
	return 0
}

// strength is the column that a level is counted in.
func (e *entry) strength() string {
	switch l := strings.TrimSuffix(e.level, " NOT"); l {
	case "RECOMMENDED":
		return "SHOULD"
	default:
		return l
	}
}

var strengths = []string{"MUST", "SHOULD", "MAY"}

// count is how many requirements of a standard are of a kind and a strength; of all strengths, if it is empty.
func (s *standard) count(kind int, strength string) (n int) {
	for _, e := range s.entries() {
		if e.kind() == kind && (strength == "" || e.strength() == strength) {
			n++
		}
	}
	return n
}

// write is the standard's page.
func (s *standard) write(all []*standard, by proofs) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Written by go generate ./test/ledger from test/ledger/rfc%d.txt and the markers in the tests. -->\n\n", s.rfc)
	fmt.Fprintf(&b, "# %s\n\n%s\n\n", s.title, s.intro)
	fmt.Fprintf(&b, "| | %s |\n|---|---|---|---|\n", strings.Join(strengths, " | "))
	for k, name := range kinds {
		fmt.Fprintf(&b, "| %s |", name)
		for _, l := range strengths {
			fmt.Fprintf(&b, " %d |", s.count(k, l))
		}
		b.WriteString("\n")
	}
	if list := s.refused(); len(list) > 0 {
		fmt.Fprintf(&b, "\nOf what is a MUST, declined: %s.\n", strings.Join(list, ", "))
	}
	for _, sec := range s.sections {
		fmt.Fprintf(&b, "\n## %s %s\n\n| | level | what it asks | in the code | proven by |\n|---|---|---|---|---|\n", sec.number, sec.title)
		for _, e := range sec.entries {
			fmt.Fprintf(&b, "| <a id=%q></a>%s | %s | %s | %s | %s |\n", strings.ToLower(e.id), e.id, e.level, cell(e.meaning), e.places(), e.answer(s, by))
		}
	}
	if len(all) > 1 && s == all[0] {
		b.WriteString("\n## The other standards\n\n| | proven by tests | declined | does not apply |\n|---|---|---|---|\n")
		for _, o := range all[1:] {
			fmt.Fprintf(&b, "| [%s](%s) | %d | %d | %d |\n", o.title, path.Base(o.page()), o.count(0, ""), o.count(1, ""), o.count(2, ""))
		}
	}
	return b.String()
}

// refused is the MUSTs that are declined, as links.
func (s *standard) refused() (list []string) {
	for _, e := range s.entries() {
		if e.strength() == "MUST" && e.kind() == 1 {
			list = append(list, fmt.Sprintf("[%s](#%s)", e.id, strings.ToLower(e.id)))
		}
	}
	return list
}

func (e *entry) places() string {
	if e.as != nil {
		return e.as.places()
	}
	var list []string
	for _, p := range e.code {
		list = append(list, fmt.Sprintf("[%s](../%s) `%s`", path.Base(p.file), p.file, p.symbol))
	}
	return strings.Join(list, "<br>")
}

// answer is the last column: the proofs, or why there is none.
func (e *entry) answer(s *standard, all proofs) string {
	switch {
	case e.as != nil:
		rfc := strings.Fields(e.same)[1]
		return fmt.Sprintf("As [%s](rfc%s.md#%s).<br>%s", e.same, rfc, strings.ToLower(e.as.id), e.as.answer(e.of, all))
	case e.declined != "":
		return "**Declined.** " + cell(e.declined)
	case e.inapplicable != "":
		return "Does not apply. " + cell(e.inapplicable)
	}
	by := slices.Clone(all[s.name()+" "+e.id])
	slices.SortFunc(by, func(a, b proof) int { return strings.Compare(a.file+" "+a.test, b.file+" "+b.test) })
	var list []string
	for _, p := range by {
		list = append(list, fmt.Sprintf("[%s](../%s)", p.name(), p.file))
	}
	if e.note != "" {
		list = append(list, cell(e.note))
	}
	return strings.Join(list, "<br>")
}

// cell keeps text from ending its cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
