package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeScript puts a script into a file.
func writeScript(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// refused is a script of a SYN to a port where nobody listens.
const refused = "0 < S 0:0(0) win 1000\n+0 > R. 0:0(0) ack WHAT\n"

func TestScript(t *testing.T) {
	file := writeScript(t, "refused.pkt", refused)
	const transcript = "0.000 < S 0:0(0) win 1000\n0.000 > R. 0:0(0) ack 1 win 0\n"
	if out, err := output(t, "script", "--define", "WHAT=1", file); err != nil || out != file+": ok\n" {
		t.Errorf("%v, %s", err, out)
	}
	if out, err := output(t, "script", "-D", "WHAT=1", "-v", file); err != nil || out != transcript+file+": ok\n" {
		t.Errorf("%v, %s", err, out)
	}
	want := transcript + "refused.pkt:2: expected > R. 0:0(0) ack 2 at 0.000, got > R. 0:0(0) ack 1 at 0.000\n"
	out, err := output(t, "script", "-D", "WHAT=2", file)
	if out != want || err == nil || err.Error() != "1 of 1 scripts failed" || errors.As(err, new(usageError)) {
		t.Errorf("%v, %s", err, out)
	}
}

// TestScriptGoesOn: a script that fails, or is not there, does not keep the others from running.
func TestScriptGoesOn(t *testing.T) {
	bad := writeScript(t, "bad.pkt", "0 < S 0:0(0) win 1 <md5 00>\n")
	good := writeScript(t, "good.pkt", strings.Replace(refused, "WHAT", "1", 1))
	out, err := output(t, "script", bad, "no/such/file", good)
	if err == nil || err.Error() != "2 of 3 scripts failed" {
		t.Error(err)
	}
	for _, want := range []string{"bad.pkt:1: outside the subset: md5 option\n", "no/such/file", good + ": ok\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
}

func TestScriptUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"--what", "f"}, {"-D", "WHAT", "f"}} {
		if _, err := output(t, append([]string{"script"}, args...)...); !errors.As(err, new(usageError)) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// TestReadmeScript: the README shows what a script of ours prints.
func TestReadmeScript(t *testing.T) {
	const file = "pkg/tcptest/script/testdata/close/active.pkt"
	text, err := os.ReadFile("../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../..")
	out, err := output(t, "script", "--verbose", file)
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{string(text), "$ tcpd script --verbose " + file + "\n" + out} {
		if want = indent(want); !strings.Contains(string(body), want) {
			t.Errorf("the README does not have\n%s", want)
		}
	}
}

// indent makes text a block of the README.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			b.WriteString("    ")
		}
		b.WriteString(line)
	}
	return b.String()
}
