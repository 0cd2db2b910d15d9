package play

import (
	_ "embed" // golden
	"fmt"
	"slices"
	"strings"
)

// golden is what the kernel's users see, play by play: a line that begins with "== " names the play whose transcript
// follows. The tests over the kernel write it, and hold it against the kernel.
//
//go:embed plays.golden
var golden string

// Difference is a line of a transcript that is another one with some TCP, wherever the end that it is about, its first
// word, is of that TCP.
type Difference struct {
	Play     string
	Line, Is string
	Why      string
}

// Want is what the users of a play have to see on a stage.
func (p *Play) Want(st Stage) []string {
	_, text, ok := strings.Cut("\n"+golden, "\n== "+p.Name+"\n")
	if !ok {
		return []string{"nothing is written down of this play"}
	}
	text, _, _ = strings.Cut(text, "\n== ")
	want := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for end, h := range map[string]Host{"a ": st.A, "b ": st.B} {
		for _, d := range h.Differences() {
			if d.Play == strings.TrimPrefix(p.Name, crossing) && strings.HasPrefix(d.Line, end) {
				want = d.apply(want)
			}
		}
	}
	return want
}

// apply puts the other line in. One that the kernel's users do not see is no difference: that will not be found either.
func (d *Difference) apply(want []string) []string {
	if i := slices.Index(want, d.Line); i >= 0 {
		return slices.Concat(want[:i], []string{d.Is}, want[i+1:])
	}
	return append(want, "a difference that is none: "+d.Line)
}

// Stale lists the differences that no play knows of.
func Stale(of []Difference) (list []string) {
	for _, d := range of {
		if !slices.ContainsFunc(All(), func(p Play) bool { return p.Name == d.Play }) {
			list = append(list, d.Play)
		}
	}
	return list
}

// Check performs a play and tells what its users should have seen, where they have not; "" if they have.
func (p *Play) Check(st Stage) string {
	return diff(p.Perform(st), p.Want(st))
}

// Golden is a transcript as plays.golden has it.
func (p *Play) Golden(transcript []string) string {
	return fmt.Sprintf("== %s\n%s\n", p.Name, strings.Join(transcript, "\n"))
}

// diff lists the steps in which a transcript differs from what it has to be; "" if none does.
func diff(got, want []string) string {
	var b strings.Builder
	step := func(of []string, i int) string {
		if i < len(of) {
			return of[i]
		}
		return "(nothing)"
	}
	for i := range max(len(got), len(want)) {
		if g, w := step(got, i), step(want, i); g != w {
			fmt.Fprintf(&b, "step %d:\n\t%s\n\thas to be:\n\t%s\n", i+1, g, w)
		}
	}
	return b.String()
}
