package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Load reads a file over the defaults. It is strict: a key that does not exist, a key that occurs twice and a value
// of another type are errors. All that it finds are returned at once, each as FILE:LINE:COLUMN: KEY: what is wrong;
// keys without fault are set all the same.
func Load(path string) (Config, Origins, error) {
	c, origins := Defaults(), Origins{}
	return c, origins, c.file(path, origins).err()
}

// Parse is Load for text that has been read already; name stands for the file in errors.
func Parse(name string, text []byte) (Config, Origins, error) {
	c, origins := Defaults(), Origins{}
	return c, origins, c.parse(name, text, origins).err()
}

// file puts a file over c.
func (c *Config) file(path string, origins Origins) Faults {
	text, err := os.ReadFile(path)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	if err != nil {
		return Faults{{Origin: Origin{Source: FromFile, Name: path}, Text: err.Error()}}
	}
	return c.parse(path, text, origins)
}

func (c *Config) parse(name string, text []byte, origins Origins) Faults {
	r := reader{file: name, origins: origins}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		r.fault(nil, "", err)
		return r.faults
	}
	for i, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case i > 0:
			r.faultf(doc.Body, "", "a second document: one is all that is read")
		default:
			r.mapping(doc.Body, "", reflect.ValueOf(c).Elem())
		}
	}
	return r.faults
}

// reader carries a tree of YAML into a Config and collects what is wrong, and what stands where.
type reader struct {
	file    string
	fixed   *Origin // where all of it stands, if not in a file
	origins Origins
	faults  Faults
}

// place is where t stands; without t, the file.
func (r *reader) place(t *token.Token) Origin {
	switch {
	case r.fixed != nil:
		return *r.fixed
	case t == nil:
		return Origin{Source: FromFile, Name: r.file}
	}
	return Origin{Source: FromFile, Name: r.file, Line: t.Position.Line, Column: t.Position.Column}
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
	r.faults = append(r.faults, &Fault{r.place(at), key, text})
}

func (r *reader) faultf(n ast.Node, key, format string, args ...any) {
	r.fault(n, key, fmt.Errorf(format, args...))
}

// mapping reads a mapping into a struct, whose fields name their keys.
func (r *reader) mapping(n ast.Node, key string, v reflect.Value) {
	r.pairs(n, key, v.Type(), func(name, key string, pair *ast.MappingValueNode) {
		r.value(pair.Value, key, fieldOf(v, name))
	})
}

// changes reads a mapping of keys of the tcp section, to be put over it later.
func (r *reader) changes(n ast.Node, key string, v reflect.Value) {
	c, section := Changes{}, reflect.New(reflect.TypeFor[TCP]()).Elem()
	r.pairs(n, key, section.Type(), func(name, key string, pair *ast.MappingValueNode) {
		if name == notOfPorts {
			r.faultf(pair.Key, key, "the MSL is the whole stack's: tcp.msl sets it for all ports")
			return
		}
		field := fieldOf(section, name)
		if r.value(pair.Value, key, field) {
			c[name] = field.Interface()
		}
	})
	if len(c) > 0 {
		v.Set(reflect.ValueOf(c))
	}
}

// pairs calls f for what a mapping has of a struct's keys, each with its full name. An empty mapping has nothing.
func (r *reader) pairs(n ast.Node, key string, t reflect.Type, f func(name, key string, pair *ast.MappingValueNode)) {
	if n.Type() == ast.NullType {
		return
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		r.faultf(n, key, "keys with values are wanted here, not %.40q", n.String())
		return
	}
	keys := keysOf(t)
	for it := m.MapRange(); it.Next(); {
		name := it.Key().String()
		if s, ok := it.Key().(*ast.StringNode); ok {
			name = s.Value // without quotes
		}
		full := strings.TrimPrefix(key+"."+name, ".")
		if !slices.Contains(keys, name) {
			r.faultf(it.Key(), full, "unknown key%s", meant(name, keys))
			continue
		}
		r.origins[full] = r.place(it.Key().GetToken())
		f(name, full, it.KeyValue())
	}
}

// value reads a value of any kind, and reports whether there was no fault.
func (r *reader) value(n ast.Node, key string, v reflect.Value) bool {
	before := len(r.faults)
	kind, known := kinds[v.Type()]
	switch {
	case known:
		r.origins[key] = r.place(n.GetToken())
		if !kind.written(n) || yaml.NodeToValue(n, v.Addr().Interface()) != nil {
			r.faultf(n, key, "%s is not %s", written(n), wanted(v.Type(), key))
		}
	case v.Type() == reflect.TypeFor[Changes]():
		r.changes(n, key, v)
	case v.Kind() == reflect.Struct:
		r.mapping(n, key, v)
	default:
		r.list(n, key, v)
	}
	return len(r.faults) == before
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
	switch {
	case n.Type() == ast.NullType:
		r.faultf(n, key, "a list is wanted, and there is nothing: an empty one is []")
		return
	case !ok:
		r.faultf(n, key, "%s is not a list, such as [%s]", n, listed(n, v.Type().Elem()))
		return
	}
	v.SetZero()
	for i, n := range a.Values {
		key := fmt.Sprintf("%s[%d]", key, i)
		r.origins[key] = r.place(first(n))
		e := reflect.New(v.Type().Elem()).Elem()
		r.value(n, key, e)
		v.Set(reflect.Append(v, e))
	}
}

// listed is n as the entry of a list or, where it cannot be one, what one looks like.
func listed(n ast.Node, entry reflect.Type) string {
	if entry == reflect.TypeFor[Service]() {
		return "{port: 7, service: echo}"
	}
	return n.String()
}

// first is where n begins; a mapping's own token may be a colon within it.
func first(n ast.Node) *token.Token {
	if m, ok := n.(ast.MapNode); ok {
		if it := m.MapRange(); it.Next() {
			return it.Key().GetToken()
		}
	}
	return n.GetToken()
}

// fieldOf is the field of a struct that has the key, which must be one of keysOf.
func fieldOf(v reflect.Value, key string) reflect.Value {
	return v.Field(slices.Index(keysOf(v.Type()), key))
}

func keysOf(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("yaml"))
	}
	return keys
}
