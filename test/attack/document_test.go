package attack

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

const root = "../.."

// TestThreatModel: each counter and setting that the tables of the document name exists, and each test.
func TestThreatModel(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	exist := map[string]map[string]bool{"counter": counters(), "setting": keys("", reflect.TypeFor[config.Config]()), "test": tests(t)}
	named := map[string]int{}
	var columns []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "|") {
			columns = nil
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if columns == nil {
			columns = cells
			continue
		}
		for i, cell := range cells {
			column := strings.TrimSpace(columns[i])
			for _, name := range regexp.MustCompile("`[^`]+`").FindAllString(cell, -1) {
				name = strings.Trim(name, "`")
				if is := exist[column]; is != nil {
					named[column]++
					if !is[name] {
						t.Errorf("there is no %s %s", column, name)
					}
				}
			}
		}
	}
	for _, name := range regexp.MustCompile("`Test[A-Z][A-Za-z]*`").FindAllString(string(text), -1) {
		if name = strings.Trim(name, "`"); !exist["test"][name] {
			t.Errorf("there is no test %s", name)
		}
	}
	for column := range exist {
		if named[column] < 10 {
			t.Errorf("the document names %d %ss", named[column], column)
		}
	}
}

// counters are the names of all that is counted.
func counters() map[string]bool {
	all := map[string]bool{}
	for _, in := range []reflect.Type{reflect.TypeFor[observe.Counters](), reflect.TypeFor[observe.Listener]()} {
		for i := range in.NumField() {
			all[in.Field(i).Tag.Get("json")] = true
		}
	}
	var c stack.Counters
	for i := range c.IP {
		all[ip.Drop(i).String()] = true
	}
	for i := range c.TCP {
		all[tcp.Drop(i).String()] = true
	}
	for i := range c.Stack {
		all[stack.Drop(i).String()] = true
	}
	return all
}

// keys are the keys of the configuration, those of lists without their places.
func keys(prefix string, in reflect.Type) map[string]bool {
	all := map[string]bool{}
	for i := range in.NumField() {
		f := in.Field(i)
		key := prefix + f.Tag.Get("yaml")
		all[key] = true
		of := f.Type
		if of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() == reflect.Struct && of.PkgPath() == in.PkgPath() {
			for k := range keys(key+".", of) {
				all[k] = true
			}
		}
	}
	return all
}

// tests are the names of all tests.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				all[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
