package script

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestScripts runs the scripts of testdata. Each says in its first line what of which RFC it shows, and expects every packet
// that the stack sends. Where PSH is set is asked by those in push alone.
func TestScripts(t *testing.T) {
	first := regexp.MustCompile(`^// (RFC \d+|Linux)`)
	for _, file := range scripts(t) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !first.Match(text) {
				t.Error("the first line does not say which paragraph it shows")
			}
			s, err := Parse(file, string(text), nil)
			if err != nil {
				t.Fatal(err)
			}
			if transcript, err := Run(s, RunOptions{Silence: true, AnyPush: filepath.Base(filepath.Dir(file)) != "push"}); err != nil {
				t.Errorf("%s%v", transcript, err)
			}
		})
	}
}
