package ledger

import (
	"strings"
	"testing"
	"testing/fstest"
)

// A small repository whose ledger is in order.
func goodTree() fstest.MapFS {
	tree := fstest.MapFS{}
	for name, text := range map[string]string{
		"test/ledger/rfc1.txt": "RFC 1, Host Software\nIntroduction.\n\n# 1 Of Hosts\n\nMUST-1 MUST\nAnswer\nall.\ncode: pkg/a/a.go answer; pkg/a/a.go Host.ask\n\n" +
			"MUST-2 MUST NOT\nBlush.\ndeclined: Machines\n  may.\n\nMAY-1 MAY\nSing.\ncode: pkg/a/a.go limit\n\n9.1-1 MUST\nAnswer.\nsame: RFC 1 MUST-1\n",
		"pkg/a/a.go":               "package a\n\ntype Host struct{}\n\nfunc (h *Host) ask() {}\n\nfunc answer() {}\n\nconst limit = 1\n",
		"pkg/a/a_test.go":          "package a\n\nimport \"testing\"\n\n// It answers.\n//\n// Proves: RFC 1 MUST-1\nfunc TestAnswer(t *testing.T) {\n\tt.Run(\"sings\", func(t *testing.T) {\n\t\t// Proves: RFC 1 MAY-1\n\t})\n}\n",
		"pkg/a/testdata/sings.pkt": "# Proves: RFC 1 MAY-1\n0 > S\n",
	} {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

func checkTree(tree fstest.MapFS) error {
	all, by, err := read(tree, []int{1})
	if err != nil {
		return err
	}
	return check(tree, all, by)
}

// What is in order passes, and its page shows everything.
func TestGoodLedger(t *testing.T) {
	tree := goodTree()
	if err := checkTree(tree); err != nil {
		t.Fatal(err)
	}
	all, by, _ := read(tree, []int{1})
	page := all[0].write(all, by)
	for _, want := range []string{
		"# RFC 1, Host Software\n\nIntroduction.\n", "## 1 Of Hosts",
		"| proven by tests | 2 | 0 | 1 |\n| declined, with the reason | 1 | 0 | 0 |\n", "declined: [MUST-2](#must-2).",
		"MUST-1 | MUST | Answer all. | [a.go](../pkg/a/a.go) `answer`<br>[a.go](../pkg/a/a.go) `Host.ask` | [a.TestAnswer](../pkg/a/a_test.go) |\n",
		"MUST-2 | MUST NOT | Blush. |  | **Declined.** Machines may. |\n",
		"9.1-1 | MUST | Answer. | [a.go](../pkg/a/a.go) `answer`<br>[a.go](../pkg/a/a.go) `Host.ask` | As [RFC 1 MUST-1](rfc1.md#must-1).<br>[a.TestAnswer]",
		"[a.TestAnswer/sings](../pkg/a/a_test.go)<br>[sings.pkt](../pkg/a/testdata/sings.pkt) |\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page:\n%s", want, page)
		}
	}
}

// Every fault is found, and named.
func TestLedgerCanFail(t *testing.T) {
	const ledger, code, test = "test/ledger/rfc1.txt", "pkg/a/a.go", "pkg/a/a_test.go"
	for _, c := range []struct{ name, file, old, new, want string }{
		{"a MUST without a proof", test, "// Proves: RFC 1 MUST-1\n", "", "RFC 1 MUST-1 (MUST): no test proves it"},
		{"a marker for nothing", test, "MUST-1", "MUST-1, MUST-9", "a.TestAnswer names RFC 1 MUST-9, which is no requirement"},
		{"a marker of a standard without a ledger", test, "RFC 1 MUST-1", "RFC 2 MUST-1", "RFC 2 MUST-1, which is no requirement"},
		{"a proof of what is declined", test, "MUST-1", "MUST-1, MUST-2", "RFC 1 MUST-2 is declined"},
		{"a marker that is misspelt", test, "RFC 1 MUST-1", "MUST-1 of RFC 1", "a marker is"},
		{"a marker in no test", test, "TestAnswer", "answering", "a marker outside of any test"},
		{"a function that is gone", code, "func answer", "func reply", "RFC 1 MUST-1: pkg/a/a.go declares no answer"},
		{"a method that is gone", code, "Host) ask", "Host) tell", "declares no Host.ask"},
		{"a file that is gone", ledger, "pkg/a/a.go limit", "pkg/a/b.go limit", "pkg/a/b.go"},
		{"no place", ledger, "code: pkg/a/a.go limit\n", "", "RFC 1 MAY-1: no place in the code"},
		{"no meaning", ledger, "Sing.\n", "", "RFC 1 MAY-1: no meaning"},
		{"a number twice", ledger, "MAY-1 MAY", "MUST-1 MUST", "RFC 1 MUST-1 is there twice"},
		{"a level that is none", ledger, "MAY-1 MAY", "MAY-1 PERHAPS", "is no number with a level"},
		{"the same as nothing", ledger, "same: RFC 1 MUST-1", "same: RFC 1 MUST-9", "RFC 1 9.1-1 is said to be the same as"},
		{"a proof of what is another's", test, "MUST-1", "MUST-1, 9.1-1", "RFC 1 9.1-1 is RFC 1 MUST-1"},
		{"two reasons", ledger, "declined:", "inapplicable: No.\ndeclined:", "RFC 1 MUST-2: one of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := goodTree()
			text := string(tree[c.file].Data)
			if !strings.Contains(text, c.old) {
				t.Fatalf("%q is not in %s", c.old, c.file)
			}
			tree[c.file].Data = []byte(strings.Replace(text, c.old, c.new, 1))
			if err := checkTree(tree); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, not %q", err, c.want)
			}
		})
	}
}
