package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Load reads a file over the defaults. It is strict: a key that does not exist, a key that occurs twice and a value
// of another type are errors. All that it finds are returned at once, each as FILE:LINE:COLUMN: KEY: what is wrong;
// keys without fault are set all the same.
func Load(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Defaults(), fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, text)
}

// Parse is Load for text that has been read already; name stands for the file in errors.
func Parse(name string, text []byte) (Config, error) {
	c := Defaults()
	r := reader{file: name}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		r.fault(nil, "", err)
		return c, errors.Join(r.faults...)
	}
	for i, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case i > 0:
			r.faultf(doc.Body, "", "a second document: one is all that is read")
		default:
			r.mapping(doc.Body, "", reflect.ValueOf(&c).Elem())
		}
	}
	return c, errors.Join(r.faults...)
}

// reader carries a tree of YAML into a Config and collects what is wrong.
type reader struct {
	file   string
	faults []error
}

// fault adds an error about a node, at the place that err names itself if it does.
func (r *reader) fault(n ast.Node, key string, err error) {
	var at *token.Token
	if n != nil {
		at = n.GetToken()
	}
	text := err.Error()
	var placed yaml.Error
	if errors.As(err, &placed) {
		at, text = placed.GetToken(), placed.GetMessage()
	}
	where := r.file + ":"
	if at != nil {
		where += fmt.Sprintf("%d:%d:", at.Position.Line, at.Position.Column)
	}
	if key != "" {
		where += " " + key + ":"
	}
	r.faults = append(r.faults, fmt.Errorf("%s %s", where, text))
}

func (r *reader) faultf(n ast.Node, key, format string, args ...any) {
	r.fault(n, key, fmt.Errorf(format, args...))
}

// mapping reads a mapping into a struct, whose fields name their keys. An empty mapping sets nothing.
func (r *reader) mapping(n ast.Node, key string, v reflect.Value) {
	if n.Type() == ast.NullType {
		return
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		r.faultf(n, key, "keys with values are wanted here, not %q", n)
		return
	}
	for it := m.MapRange(); it.Next(); {
		name := it.Key().String()
		full := strings.TrimPrefix(key+"."+name, ".")
		if field, ok := fieldOf(v, name); ok {
			r.value(it.Value(), full, field)
		} else {
			r.faultf(it.Key(), full, "unknown key: there are %s", strings.Join(keysOf(v.Type()), ", "))
		}
	}
}

// value reads a value of any kind.
func (r *reader) value(n ast.Node, key string, v reflect.Value) {
	kind, known := kinds[v.Type()]
	switch {
	case known:
		if !kind.written(n) || yaml.NodeToValue(n, v.Addr().Interface()) != nil {
			r.faultf(n, key, "%s is not %s", written(n), kind.name)
		}
	case v.Kind() == reflect.Struct:
		r.mapping(n, key, v)
	default:
		r.list(n, key, v)
	}
}

func written(n ast.Node) string {
	if n.Type() == ast.NullType {
		return "nothing"
	}
	return n.String()
}

// list reads a list, which replaces the default.
func (r *reader) list(n ast.Node, key string, v reflect.Value) {
	a, ok := n.(*ast.SequenceNode)
	if !ok {
		r.faultf(n, key, "%s is not a list, such as [%s]", n, n)
		return
	}
	v.SetZero()
	for _, n := range a.Values {
		e := reflect.New(v.Type().Elem()).Elem()
		r.value(n, key, e)
		v.Set(reflect.Append(v, e))
	}
}

func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func keysOf(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("yaml"))
	}
	return keys
}
