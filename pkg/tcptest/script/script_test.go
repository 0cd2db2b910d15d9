package script

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
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

// TestScriptsCanFail: each script fails when the last packet that it expects is another, or is not expected.
func TestScriptsCanFail(t *testing.T) {
	for _, file := range scripts(t) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for name, change := range map[string]func(s *Script, i int){
				"number": func(s *Script, i int) { s.Events[i].Packet.Range = Range{From: 77, To: 78} },
				"ack":    func(s *Script, i int) { s.Events[i].Packet.Flags ^= tcp.ACK },
				"late":   func(s *Script, i int) { s.Events[i].When = When{Base: Before, At: mono.Second, To: mono.Second} },
				"silent": func(s *Script, i int) { s.Events = slices.Delete(s.Events, i, i+1) },
			} {
				if testing.Short() && name != "ack" {
					continue
				}
				s, err := Parse(file, string(text), nil)
				if err != nil {
					t.Fatal(err)
				}
				last := len(s.Events) - 1
				for s.Events[last].Packet == nil || s.Events[last].Packet.In {
					last--
				}
				if name == "silent" && s.Events[last].When != (When{Base: Before}) {
					continue // it marks time, too
				}
				change(s, last)
				if _, err := Run(s, RunOptions{Silence: true, AnyPush: true}); err == nil {
					t.Errorf("%s: nothing failed", name)
				}
			}
		})
	}
}
