package main

import (
	"os"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
)

// block returns the first fenced block of a language in the README.
func block(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n```"+language+"\n")
	body, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("the README has no block of %s", language)
	}
	return body
}

// TestReadmeDrawing: the README shows the machine that runs.
func TestReadmeDrawing(t *testing.T) {
	if block(t, "mermaid") != fsm.Mermaid() {
		t.Error("the README's drawing is not the table's: put there what tcpd fsm --format mermaid prints")
	}
}

// TestReadmeExample: the README's program is the one that the compiler has seen.
func TestReadmeExample(t *testing.T) {
	source, err := os.ReadFile("../../pkg/socket/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(source), "func Example() {\n")
	body, _, _ := strings.Cut(rest, "\n}\n")
	var want strings.Builder
	for line := range strings.Lines(body + "\n") {
		want.WriteString(strings.TrimPrefix(line, "\t"))
	}
	if got := block(t, "go"); got != want.String() {
		t.Errorf("the README has\n%s\nthe example is\n%s", got, want.String())
	}
}
