package tcptest

import (
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// spoiler has a byte of the text changed on its way, and the checksum mended, where a frame is so.
func spoiler(so func(f *Frame) bool) func(m *Random) {
	return func(m *Random) {
		for i := range m.Recipe.Paths {
			p := &m.Recipe.Paths[i]
			m.number[p.From].paths[p.To].Filter = func(f *Frame) Verdict {
				if f.TCP && f.GSO == 0 && len(f.Seg.Text) > 0 && so(f) {
					mangle(f, func(g *tcp.Segment, _ *uint8) {
						g.Text = append([]byte(nil), g.Text...)
						g.Text[0]++
					})
				}
				return Pass
			}
		}
	}
}

// TestShrink plants a fault into a world of many hosts, and demands that only what it takes is left.
func TestShrink(t *testing.T) {
	for _, c := range []struct {
		name   string
		so     func(f *Frame) bool
		faults int
	}{
		{"text of 100 bytes", func(f *Frame) bool { return len(f.Seg.Text) >= 100 }, 0},
		{"text after the clock has jumped", func(f *Frame) bool { return f.Src.ahead >= f.Src.opt.Clock+20*second }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Alter: spoiler(c.so)}
			large := failing(o)
			small := large.Shrink(o, 2000)
			if len(small.Hosts) != 2 || len(small.Conns) != 1 || len(small.Faults) != c.faults || len(small.Calls) != 0 {
				t.Errorf("what is left is\n%v", small)
			}
			again, err := ParseRecipe(small.String())
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Build(o).Finish(); err == nil || !strings.Contains(err.Error(), "reads a wrong byte") {
				t.Errorf("its text ends in %v:\n%v", err, small)
			}
			t.Logf("of %d hosts and %d connections is left\n%v", len(large.Hosts), len(large.Conns), small)
		})
	}
}

// failing is the first world of some size that fails.
func failing(o Options) *Recipe {
	for seed := uint64(1); ; seed++ {
		r := Draw(seed)
		if n := len(r.Conns); len(r.Hosts) >= 6 && n >= 20 && n < 50 && r.Build(o).Finish() != nil {
			return r
		}
	}
}

// TestShrinkOfNothing: a world that does not fail stays as it is.
func TestShrinkOfNothing(t *testing.T) {
	if r := Draw(1); r.Shrink(Options{}, 10) != r {
		t.Error("it was shrunk")
	}
}

// TestRecipeText: what is no recipe is refused, with the line.
func TestRecipeText(t *testing.T) {
	for text, want := range map[string]string{
		"world seed=1\nghost number=1": "line 2: there is no \"ghost\" in a world",
		"host size=1":                  "line 1: \"size\" is not known here",
		"host queues=many":             "line 1: queues: ",
		"path delay=3":                 "line 1: delay: ",
	} {
		if _, err := ParseRecipe(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if r, err := ParseRecipe("# nothing\n\n world seed=7 # the seed"); err != nil || r.World.Seed != 7 {
		t.Errorf("%v, %v", r, err)
	}
}
