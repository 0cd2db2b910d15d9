package fsm

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

var drawings = map[string]func() string{
	"testdata/grid.txt": Grid,
	"testdata/fsm.mmd":  Mermaid,
	"testdata/fsm.dot":  Dot,
}

func TestGolden(t *testing.T) {
	for path, draw := range drawings {
		got := draw()
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is not what the table draws; run go test ./pkg/fsm -run Golden -update and read the difference", path)
		}
	}
}

// TestDrawingsShowFigure5 looks for each arrow of the figure in the drawings, so that what they leave out is only what
// they say.
func TestDrawingsShowFigure5(t *testing.T) {
	mermaid, dot := Mermaid(), Dot()
	for _, edge := range figure5 {
		from := edge.from
		for _, e := range edge.on {
			to, _ := Step(from, e)
			for text, mark := range map[string]string{mermaid: " --> ", dot: " -> "} {
				found := false
				for line := range strings.Lines(text) {
					found = found || strings.Contains(line, drawnName(from)+mark) && strings.Contains(line, e.String())
				}
				if !found && !endsEarly(e) {
					t.Errorf("%v x %v is not drawn with%s", from, e, mark)
				}
			}
			from = to.Next
		}
	}
}

func TestDotParses(t *testing.T) {
	if _, err := exec.LookPath("dot"); err != nil {
		t.Skip("graphviz is not installed")
	}
	cmd := exec.Command("dot", "-Tsvg", "-o", os.DevNull)
	cmd.Stdin = strings.NewReader(Dot())
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
}
