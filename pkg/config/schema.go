package config

import (
	_ "embed" // the sources below
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// What is said of a field in the source is what the schema says of its key.
var (
	//go:embed config.go
	configSource string
	//go:embed listener.go
	listenerSource string
	//go:embed service.go
	serviceSource string
)

// Schema is a JSON Schema of the file (draft 2020-12). Types, keys and descriptions are those of Config; ranges, choices and
// what must be there are what Validate tells. It knows each value by itself: what depends on others only Validate knows.
func Schema() ([]byte, error) {
	docs, err := descriptions(configSource, listenerSource, serviceSource)
	if err != nil {
		return nil, err
	}
	s := schemas{docs: docs, rules: map[string]rule{}, needed: map[string]bool{}}
	s.learn()
	root := s.section(reflect.TypeFor[Config](), "", reflect.ValueOf(Defaults()))
	root = append(object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "tcpd's configuration"},
	}, root...)
	return json.MarshalIndent(root, "", "  ")
}

// schemas makes schemas of types.
type schemas struct {
	docs   map[string]string // by TYPE.FIELD
	rules  map[string]rule   // by key; that of an entry is the first one's
	needed map[string]bool   // keys that must be there, or lists that must have an entry
}

// learn finds out by which rules Validate goes, on a configuration that leaves each value as free as it can be, and what
// it misses where there is nothing.
func (s *schemas) learn() {
	c := Defaults()
	c.TCP.SendBuffer, c.TCP.ReceiveBuffer, c.TCP.RTOMin = 4*KiB, 4*KiB, time.Millisecond // the maxima follow them
	c.Addresses, c.Listeners, c.Routes, c.Services = nil, []Listener{{}}, []Route{{}}, []Service{{}}
	v := faults{rules: s.rules}
	v.config(&c)
	for _, f := range v.list {
		s.needed[f.Key] = true
	}
}

// section is the schema of a struct; defaults are its values if nothing is said, or the zero Value.
func (s *schemas) section(t reflect.Type, above string, defaults reflect.Value) object {
	properties, required := object{}, []string{}
	for i, name := range keysOf(t) {
		key := strings.TrimPrefix(above+"."+name, ".")
		var value reflect.Value
		if defaults.IsValid() {
			value = defaults.Field(i)
		}
		p := s.property(t.Field(i).Type, key, value)
		if text := s.docs[t.Name()+"."+t.Field(i).Name]; text != "" {
			p = append(p, member{"description", text})
		}
		if value.IsValid() && !isSection(value.Type()) {
			p = append(p, member{"default", plain(value)})
		}
		properties = append(properties, member{name, p})
		if s.needed[key] && strings.Contains(key, "[") {
			required = append(required, name)
		}
	}
	o := object{{"type", []string{"object", "null"}}, {"additionalProperties", false}, {"properties", properties}}
	if strings.HasSuffix(above, "]") {
		o[0].value = "object"
	}
	if len(required) > 0 {
		o = append(o, member{"required", required})
	}
	return o
}

// property is the schema of a value of any kind.
func (s *schemas) property(t reflect.Type, key string, value reflect.Value) object {
	switch {
	case t == reflect.TypeFor[Changes]():
		tcp := s.section(reflect.TypeFor[TCP](), "tcp", reflect.Value{})
		for i, m := range tcp {
			if m.name == "properties" {
				tcp[i].value = slices.DeleteFunc(m.value.(object), func(m member) bool { return m.name == notOfPorts })
			}
		}
		return tcp
	case isSection(t):
		return s.section(t, key, value)
	case t.Kind() == reflect.Slice:
		o := object{{"type", "array"}, {"items", s.property(t.Elem(), key+"[0]", reflect.Value{})}}
		if s.needed[key] {
			o = append(o, member{"minItems", 1})
		}
		return o
	}
	return s.scalar(t, s.rules[key])
}

// Forms of text. A loader may be stricter.
const (
	durationPattern = `^\+?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$`
	sizePattern     = `^\+?\d+ *(B|KiB|MiB|GiB)?$`
	prefixPattern   = `^[0-9.]+(/\d+)?$`
	hostPattern     = `^([0-9.]+/\d+)?$`
	addrPortPattern = `^(\d+(\.\d+){3}|\[[0-9a-fA-F:.]+(%.+)?\]):\d+$`
)

func (s *schemas) scalar(t reflect.Type, r rule) object {
	switch t {
	case reflect.TypeFor[bool]():
		return object{{"type", "boolean"}}
	case reflect.TypeFor[time.Duration]():
		return append(object{{"type", "string"}, {"pattern", durationPattern}}, comment(r)...)
	case reflect.TypeFor[Size]():
		bounds := append(object{{"type", "integer"}}, bounds(r)...)
		text := append(object{{"type", "string"}, {"pattern", sizePattern}}, comment(r)...)
		return object{{"anyOf", []object{bounds, text}}}
	case reflect.TypeFor[netip.Prefix]():
		return object{{"type", "string"}, {"pattern", hostPattern}}
	case reflect.TypeFor[Prefix]():
		return object{{"type", "string"}, {"pattern", prefixPattern}}
	case reflect.TypeFor[netip.AddrPort]():
		return object{{"type", "string"}, {"pattern", addrPortPattern}}
	case reflect.TypeFor[string]():
		o := object{{"type", "string"}}
		if r.names != nil {
			o = append(o, member{"enum", r.names})
		}
		return o
	}
	return append(object{{"type", "integer"}}, bounds(r)...)
}

// bounds are those of a number. Where 0 is allowed besides, it is a case of its own.
func bounds(r rule) object {
	switch {
	case r.low == nil:
		return object{{"minimum", 0}}
	case r.zero:
		return object{{"anyOf", []object{{{"const", 0}}, {{"minimum", number64(r.low)}, {"maximum", number64(r.high)}}}}}
	}
	return object{{"minimum", number64(r.low)}, {"maximum", number64(r.high)}}
}

// number64 is a number of any of the types without its way of writing itself.
func number64(n any) any {
	if v := reflect.ValueOf(n); v.CanInt() {
		return v.Int()
	}
	return n
}

// comment tells the bounds of what is written as text.
func comment(r rule) object {
	if r.low == nil {
		return nil
	}
	text := fmt.Sprintf("from %v to %v", plainValue(reflect.ValueOf(r.low)), plainValue(reflect.ValueOf(r.high)))
	if r.zero {
		text = "0, or " + text
	}
	return object{{"$comment", text}}
}

// descriptions are what sources say of the fields of their structs: above them, or beside.
func descriptions(sources ...string) (map[string]string, error) {
	m := map[string]string{}
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, name := range f.Names {
						text := strings.TrimSpace(f.Doc.Text() + " " + f.Comment.Text())
						m[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(text), " ")
					}
				}
			}
			return false
		})
	}
	return m, nil
}
