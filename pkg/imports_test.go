package pkg_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// These tests keep the shape of the house: which package may know which, which may touch the world, and where the
// state of a connection is decided. They read the source, test files excepted. To build a new room, give it a line in
// arrows and say in its package comment what it is for.

const module = "github.com/tcpd-project/tcpd/"

// arrows lists, for each package, the packages of ours that it may import. A package without a line belongs to the
// room of the nearest one above it that has one: it may import the same, and that room.
var arrows = map[string][]string{
	"pkg/seq":        {},
	"pkg/mono":       {},
	"pkg/fsm":        {},
	"pkg/ip":         {},
	"pkg/tcp":        {"pkg/fsm", "pkg/seq", "pkg/mono", "pkg/tcp/cc", "pkg/ip"}, // ip: the segment codec has its address and checksum
	"pkg/tcp/cc":     {"pkg/mono", "pkg/seq"},
	"pkg/link":       {"pkg/ip", "pkg/mono"},
	"pkg/tun":        {"pkg/link", "pkg/mono", "pkg/ip"},
	"pkg/stack":      {"pkg/tcp", "pkg/tcp/cc", "pkg/ip", "pkg/link", "pkg/seq", "pkg/mono", "pkg/fsm"},
	"pkg/socket":     {"pkg/stack", "pkg/tcp", "pkg/ip", "pkg/mono", "pkg/seq"},
	"pkg/service":    {"pkg/socket", "pkg/stack", "pkg/tcp", "pkg/fsm", "pkg/ip"},
	"pkg/observe":    {"pkg/stack", "pkg/tcp", "pkg/fsm", "pkg/ip", "pkg/mono"},
	"pkg/control":    {"pkg/observe", "pkg/stack", "pkg/tcp", "pkg/fsm", "pkg/ip", "pkg/mono"},
	"pkg/explain":    {"pkg/fsm", "pkg/tcp", "pkg/mono"},
	"pkg/infer":      {"pkg/fsm", "pkg/seq", "pkg/tcp"},
	"pkg/page":       {"pkg/control", "pkg/explain", "pkg/observe", "pkg/socket", "pkg/stack", "pkg/tcp", "pkg/fsm", "pkg/ip", "pkg/link", "pkg/link/pipe", "pkg/link/fault"},
	"pkg/config":     {"pkg/ip", "pkg/tcp/cc"}, // for names of addresses and of controllers
	"pkg/tcptest":    everythingBut("cmd", "pkg/tun", "pkg/config", "pkg/control", "pkg/page"),
	"cmd":            everythingBut(),
	"test":           everythingBut("cmd"),
	"pkg/link/pipe":  {"pkg/link", "pkg/ip", "pkg/mono"},
	"pkg/link/fault": {"pkg/link", "pkg/ip", "pkg/mono"},
	"pkg/link/pcap":  {"pkg/link", "pkg/ip", "pkg/mono"},
}

// everythingBut is written as a list whose entries are forbidden.
func everythingBut(rooms ...string) []string {
	list := []string{"*"}
	for _, r := range rooms {
		list = append(list, "!"+r)
	}
	return list
}

// pure are the packages without a clock, chance, a goroutine, a lock or a log: they are given what they need.
var pure = []string{"pkg/seq", "pkg/ip", "pkg/fsm", "pkg/tcp", "pkg/tcp/cc", "pkg/explain"}

// impure is what a pure package may not import, with all beneath it.
var impure = []string{
	"time", "math/rand", "crypto/rand", "os", "net", "sync", "unsafe", "log", "syscall", "context", "go.uber.org/zap",
}

// keepers are the only packages that may import what they keep.
var keepers = map[string][]string{
	"unsafe":                         {"pkg/tun", "test/packetdrill"}, // C calls the latter
	"C":                              {"test/packetdrill"},
	"go.uber.org/zap":                {"cmd", "pkg/observe"},
	"github.com/prometheus":          {"pkg/observe"},
	"github.com/songgao/water":       {"pkg/tun"},
	"github.com/vishvananda/netlink": {"pkg/tun"},
}

// within reports whether a path is root or beneath it.
func within(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }

func withinAny(p string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return within(p, root) })
}

// room is the nearest package at or above p that has a line in arrows.
func room(p string) (string, bool) {
	for ; p != "."; p = path.Dir(p) {
		if _, ok := arrows[p]; ok {
			return p, true
		}
	}
	return "", false
}

// checkImport tells what is wrong with a package's import, or "".
func checkImport(from, imp string) string {
	if slices.Contains(pure, from) && withinAny(imp, impure) && imp != "net/netip" {
		return "is pure: pass it what it needs from there"
	}
	for kept, by := range keepers {
		if within(imp, kept) && !withinAny(from, by) {
			return "may not: only " + strings.Join(by, " and ") + " may"
		}
	}
	to, ours := strings.CutPrefix(imp, module)
	if !ours {
		return ""
	}
	r, ok := room(from)
	switch {
	case !ok:
		return "has no line in arrows"
	case r != from && within(to, r) || allows(arrows[r], to):
		return ""
	}
	return "has no such arrow"
}

func allows(list []string, to string) bool {
	if len(list) > 0 && list[0] == "*" {
		return !slices.ContainsFunc(list[1:], func(not string) bool { return within(to, not[1:]) })
	}
	r, _ := room(to)
	return slices.Contains(list, to) || slices.Contains(list, r)
}

// source is one file of ours.
type source struct {
	pkg  string // its directory below the module
	name string
	file *ast.File
	fset *token.FileSet
}

// walk parses every Go file of the module that is not a test.
func walk(t *testing.T) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name != ".." && strings.HasPrefix(name, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(filepath.ToSlash(p), "../")
		list = append(list, source{path.Dir(rel), rel, file, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("no source found")
	}
	return list
}

func TestImports(t *testing.T) {
	for _, s := range walk(t) {
		for _, imp := range s.file.Imports {
			to, _ := strconv.Unquote(imp.Path.Value)
			if wrong := checkImport(s.pkg, to); wrong != "" {
				t.Errorf("%s: imports %s, but %s %s", s.name, to, s.pkg, wrong)
			}
		}
		if _, ok := room(s.pkg); !ok {
			t.Errorf("%s: %s has no line in arrows", s.name, s.pkg)
		}
	}
}

// TestArrowsRunOneWay finds circles in the list itself, which the compiler would find only once they are used.
func TestArrowsRunOneWay(t *testing.T) {
	var visit func(p string, above []string)
	visit = func(p string, above []string) {
		if slices.Contains(above, p) {
			t.Fatalf("a circle: %v", append(above, p))
		}
		for _, to := range arrows[p] {
			if to[0] == '*' {
				return
			}
			if _, ok := arrows[to]; !ok {
				t.Errorf("%s -> %s: no such room", p, to)
			}
			visit(to, append(slices.Clone(above), p))
		}
	}
	for p := range arrows {
		visit(p, nil)
	}
}

// TestImportsCanFail feeds the check arrows that do not exist.
func TestImportsCanFail(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"pkg/tcp", module + "pkg/fsm", true},
		{"pkg/tcp", module + "pkg/tcp/cc", true},
		{"pkg/tcp", module + "pkg/stack", false},
		{"pkg/tcp/cc", module + "pkg/tcp", false},
		{"pkg/fsm", module + "pkg/seq", false},
		{"pkg/fsm", "strings", true},
		{"pkg/tcp", "time", false},
		{"pkg/tcp", "net/netip", true},
		{"pkg/tcp", "net", false},
		{"pkg/tcp/cc", "math/rand/v2", false},
		{"pkg/ip", "sync/atomic", false},
		{"pkg/mono", "time", true},
		{"pkg/stack", "unsafe", false},
		{"pkg/tun", "unsafe", true},
		{"test/packetdrill", "unsafe", true},
		{"test/packetdrill", "C", true},
		{"test/lib", "unsafe", false},
		{"pkg/tun", "C", false},
		{"pkg/tcptest/bsd", module + "pkg/stack", true},
		{"pkg/tcptest/bsd", module + "pkg/tun", false},
		{"pkg/stack", "go.uber.org/zap", false},
		{"pkg/observe", "go.uber.org/zap/zapcore", true},
		{"cmd/tcpd", "go.uber.org/zap", true},
		{"pkg/stack", "github.com/prometheus/client_golang/prometheus", false},
		{"cmd/tcpd", module + "pkg/tun", true},
		{"pkg/tcptest", module + "pkg/stack", true},
		{"pkg/tcptest", module + "pkg/config", false},
		{"pkg/link/fault", module + "pkg/link", true},
		{"pkg/link", module + "pkg/link/fault", false},
		{"pkg/service/echo", module + "pkg/service", true},
		{"pkg/service/echo", module + "pkg/observe", false},
		{"pkg/control", module + "pkg/observe", true},
		{"pkg/control", module + "pkg/config", false},
		{"pkg/control", "go.uber.org/zap", false},
		{"pkg/stack", module + "pkg/control", false},
		{"pkg/explain", module + "pkg/fsm", true},
		{"pkg/explain", module + "pkg/stack", false},
		{"pkg/explain", "time", false},
		{"pkg/new", module + "pkg/ip", false},
	} {
		if wrong := checkImport(c.from, c.to); (wrong == "") != c.ok {
			t.Errorf("%s -> %s: %q", c.from, c.to, wrong)
		}
	}
}

// stateFaults finds what only pkg/fsm may do: a switch on a state; and in pkg/tcp, changing one outside fire.
func stateFaults(s source, states []string) []string {
	var faults []string
	fault := func(n ast.Node, what string) {
		faults = append(faults, fmt.Sprintf("%s:%d: %s", s.name, s.fset.Position(n.Pos()).Line, what))
	}
	fsmName := importName(s.file, module+"pkg/fsm")
	isState := func(n ast.Node) bool {
		found := false
		ast.Inspect(n, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if ok {
				x, _ := sel.X.(*ast.Ident)
				found = found || x != nil && x.Name == fsmName && slices.Contains(states, sel.Sel.Name)
			}
			return !found
		})
		return found
	}
	for _, decl := range s.file.Decls {
		fn, _ := decl.(*ast.FuncDecl)
		inFire := fn != nil && fn.Name.Name == "fire"
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SwitchStmt:
				if n.Tag != nil && (isStateSelector(n.Tag) || isState(n.Tag)) {
					fault(n, "a switch on a state")
				}
			case *ast.CaseClause:
				if slices.ContainsFunc(n.List, func(e ast.Expr) bool { return isState(e) }) {
					fault(n, "a case for a state")
				}
			case *ast.AssignStmt:
				if within(s.pkg, "pkg/tcp") && !inFire && slices.ContainsFunc(n.Lhs, isField) {
					fault(n, "state is assigned outside fire, and not by the literal that makes the connection")
				}
			case *ast.IncDecStmt:
				if within(s.pkg, "pkg/tcp") && isField(n.X) {
					fault(n, "state is counted")
				}
			case *ast.UnaryExpr:
				if within(s.pkg, "pkg/tcp") && n.Op == token.AND && isField(n.X) {
					fault(n, "state's address is taken")
				}
			}
			return true
		})
	}
	return faults
}

// isField reports whether an expression is the field state of something.
func isField(e ast.Expr) bool {
	sel, ok := ast.Unparen(e).(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "state"
}

// isStateSelector reports whether an expression reads a state, by the names that such a thing has.
func isStateSelector(e ast.Expr) bool {
	e = ast.Unparen(e)
	if call, ok := e.(*ast.CallExpr); ok {
		e = call.Fun
	}
	sel, ok := e.(*ast.SelectorExpr)
	return ok && (sel.Sel.Name == "state" || sel.Sel.Name == "State")
}

// importName is the name by which a file knows a package, or "" where it does not.
func importName(f *ast.File, imported string) string {
	for _, imp := range f.Imports {
		if p, _ := strconv.Unquote(imp.Path.Value); p == imported {
			if imp.Name != nil {
				return imp.Name.Name
			}
			return path.Base(imported)
		}
	}
	return ""
}

// stateNames reads the constants of type State from pkg/fsm.
func stateNames(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "fsm/fsm.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		if typ, _ := gen.Specs[0].(*ast.ValueSpec).Type.(*ast.Ident); typ == nil || typ.Name != "State" {
			continue
		}
		for _, spec := range gen.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if name.IsExported() {
					names = append(names, name.Name)
				}
			}
		}
	}
	if len(names) != 12 {
		t.Fatalf("%d states: %v", len(names), names)
	}
	return names
}

func TestStateIsDecidedInOnePlace(t *testing.T) {
	states := stateNames(t)
	for _, s := range walk(t) {
		if s.pkg == "pkg/fsm" {
			continue
		}
		for _, fault := range stateFaults(s, states) {
			t.Error(fault)
		}
	}
}

// TestStateCheckCanFail feeds the check what it must find, and what it must not.
func TestStateCheckCanFail(t *testing.T) {
	const head = "package tcp\nimport \"" + module + "pkg/fsm\"\n"
	for body, want := range map[string]int{
		"func (c *Conn) fire() { c.state = fsm.Closed }":                            0,
		"func New() Conn { return Conn{state: fsm.Listen} }":                        0,
		"func (c *Conn) f() { if c.state == fsm.SynSent { } }":                      0,
		"func (c *Conn) f(e fsm.Event) { switch e { case fsm.RcvFIN: } }":           0,
		"func (c *Conn) f() { c.state = fsm.Closed }":                               1,
		"func (c *Conn) f() { x, c.tcb.state = 1, fsm.Closed }":                     1,
		"func (c *Conn) f() { c.state++ }":                                          1,
		"func (c *Conn) f() { p := &c.state }":                                      1,
		"func (c *Conn) f() { switch c.state { } }":                                 1,
		"func (c *Conn) f() { switch c.State() { default: } }":                      1,
		"func (c *Conn) f() { switch x { case fsm.Listen: } }":                      1,
		"func (c *Conn) f() { switch { case c.state == fsm.Listen: } }":             1,
		"func (c *Conn) fire() { switch c.state { case fsm.Listen, fsm.Closed: } }": 2,
	} {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "x.go", head+body, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := stateFaults(source{"pkg/tcp", "x.go", file, fset}, stateNames(t)); len(got) != want {
			t.Errorf("%s: %v, want %d", body, got, want)
		}
	}
}
