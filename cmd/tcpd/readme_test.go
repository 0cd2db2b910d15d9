package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/fsm"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks returns the fenced blocks of a language in the README.
func blocks(t *testing.T, language string) (list []string) {
	t.Helper()
	for _, rest := range strings.Split(readme(t), "\n```"+language+"\n")[1:] {
		body, _, closed := strings.Cut(rest, "```")
		if !closed {
			t.Fatalf("a block of %s has no end", language)
		}
		list = append(list, body)
	}
	return list
}

// function returns what a file has between two lines, without the indent of a function's body.
func function(t *testing.T, file, first, last string) string {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(source), "\n"+first+"\n")
	body, _, found := strings.Cut(rest, "\n"+last+"\n")
	if !found {
		t.Fatalf("%s has nothing between %q and %q", file, first, last)
	}
	var b strings.Builder
	for line := range strings.Lines(body + "\n") {
		b.WriteString(strings.TrimPrefix(line, "\t"))
	}
	return b.String()
}

// TestReadmeDrawing: the README shows the machine that runs.
func TestReadmeDrawing(t *testing.T) {
	if !slices.Equal(blocks(t, "mermaid"), []string{fsm.Mermaid()}) {
		t.Error("the README's drawing is not the table's: put there what tcpd fsm --format mermaid prints")
	}
}

// TestReadmeExamples: the README's programs are those that the compiler has seen.
func TestReadmeExamples(t *testing.T) {
	want := []string{
		function(t, "../../pkg/socket/example_test.go", "func Example() {", "}"),
		function(t, "admit_test.go", "func listenGuarded(s *stack.Stack, allowed judge) (*socket.Listener, error) {", "\treturn l, err"),
	}
	if got := blocks(t, "go"); !slices.Equal(got, want) {
		t.Errorf("the README has\n%s\nthe examples are\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestReadmeKeys: what the README says can be set is in the configuration.
func TestReadmeKeys(t *testing.T) {
	text, err := os.ReadFile("../../configs/tcpd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(readme(t), "\n| | how | to set |")
	table, _, _ = strings.Cut(table, "\n\n")
	keys := 0
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) < 5 {
			continue
		}
		for _, key := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(cells[3], -1) {
			keys++
			if !regexp.MustCompile(`(?m)^[# ]*` + key[1] + `:`).Match(text) {
				t.Errorf("%s is no key", key[1])
			}
		}
	}
	if keys == 0 {
		t.Error("no table of what the TCP has")
	}
}

// TestReadmeServices: what the README lists is a configuration.
func TestReadmeServices(t *testing.T) {
	texts := blocks(t, "yaml")
	if len(texts) == 0 {
		t.Error("there is none")
	}
	for _, text := range texts {
		c, _, err := config.Parse("README.md", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Services {
			c.Services[i].Static = "" // whether there is such a directory is not the README's to say
		}
		for _, f := range c.Validate() {
			t.Error(f)
		}
		if reflect.DeepEqual(c.Services, config.Defaults().Services) {
			t.Error("no list of services")
		}
	}
}
