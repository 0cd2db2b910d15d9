package ledger

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// proof is a test, or a part of one, that a marker stands in.
type proof struct{ file, test string }

// name is the proof as the pages show it: the package and the test, or the script.
func (p proof) name() string {
	if p.test == "" {
		return path.Base(p.file)
	}
	return path.Base(path.Dir(p.file)) + "." + p.test
}

// proofs are the proofs of each requirement, by "RFC 9293 MUST-13".
type proofs map[string][]proof

func (p proofs) add(requirements []string, by proof) {
	for _, r := range requirements {
		if !slices.Contains(p[r], by) {
			p[r] = append(p[r], by)
		}
	}
}

var marker = regexp.MustCompile(`^Proves: (RFC \d+) ([A-Za-z0-9.-]+(?:, [A-Za-z0-9.-]+)*)$`)

// marked is the requirements that a line of a comment names, without its slashes; none if it is no marker.
func marked(line string) (requirements []string, err error) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "Proves:") {
		return nil, nil
	}
	m := marker.FindStringSubmatch(line)
	if m == nil {
		return nil, fmt.Errorf("%q: a marker is \"Proves: RFC 9293 MUST-13, SHLD-4\"", line)
	}
	for id := range strings.SplitSeq(m[2], ", ") {
		requirements = append(requirements, m[1]+" "+id)
	}
	return requirements, nil
}

// scan reads the markers of every test and packet script beneath root.
func scan(root fs.FS) (proofs, error) {
	all := proofs{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && len(name) > 1 && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case strings.HasSuffix(name, "_test.go"):
			return scanTests(root, name, all)
		case strings.HasSuffix(name, ".pkt") && strings.Contains("/"+name, "/testdata/"):
			return scanScript(root, name, all)
		}
		return nil
	})
	return all, err
}

func scanScript(root fs.FS, name string, all proofs) error {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		requirements, err := marked(strings.TrimLeft(lines.Text(), "#/ \t"))
		if err != nil {
			return fmt.Errorf("%s: %v", name, err)
		}
		all.add(requirements, proof{file: name})
	}
	return nil
}

func scanTests(root fs.FS, name string, all proofs) error {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	if !bytes.Contains(text, []byte("Proves:")) {
		return nil
	}
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, name, text, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, group := range f.Comments {
		for _, c := range group.List {
			requirements, err := marked(strings.TrimPrefix(c.Text, "//"))
			if err != nil {
				return fmt.Errorf("%v: %v", files.Position(c.Pos()), err)
			}
			test := testAt(f, c.Pos())
			if len(requirements) > 0 && test == "" {
				return fmt.Errorf("%v: a marker outside of any test", files.Position(c.Pos()))
			}
			all.add(requirements, proof{name, test})
		}
	}
	return nil
}

// testAt names the test, or the subtest, that a comment belongs to.
func testAt(f *ast.File, at token.Pos) string {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") {
			continue
		}
		from := fn.Pos()
		if fn.Doc != nil {
			from = fn.Doc.Pos()
		}
		if from <= at && at < fn.End() {
			return fn.Name.Name + subtestAt(fn, at)
		}
	}
	return ""
}

// subtestAt is "/name" for each call of t.Run that a comment stands in, if its name is written out.
func subtestAt(fn *ast.FuncDecl, at token.Pos) (names string) {
	ast.Inspect(fn, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 || at < call.Pos() || call.End() <= at {
			return true
		}
		run, ok := call.Fun.(*ast.SelectorExpr)
		if lit, isLit := call.Args[0].(*ast.BasicLit); ok && isLit && run.Sel.Name == "Run" {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				names += "/" + s
			}
		}
		return true
	})
	return names
}

// declared is the symbols that a Go file declares: functions, types, variables and constants, and methods both as
// "method" and as "Type.method".
func declared(root fs.FS, name string) (map[string]bool, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names[d.Name.Name] = true
			if d.Recv != nil {
				names[receiver(d.Recv.List[0].Type)+"."+d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						names[n.Name] = true
					}
				}
			}
		}
	}
	return names, nil
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
