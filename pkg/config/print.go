package config

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Loaded is a configuration, and where each of its values comes from.
type Loaded struct {
	Config  Config
	Origins Origins
}

// MarshalJSON is {"config": ..., "origins": ...}: the first with the keys of the file, in its order; the second by key, of a list
// by entry, too.
func (l Loaded) MarshalJSON() ([]byte, error) {
	origins := map[string]Origin{}
	for _, key := range Keys() {
		origins[key] = l.Origins.Of(key)
		if v := l.Config.at(key); v.Kind() == reflect.Slice {
			for i := range v.Len() {
				entry := fmt.Sprintf("%s[%d]", key, i)
				origins[entry] = l.Origins.Of(entry)
			}
		}
	}
	return json.Marshal(object{{"config", plain(reflect.ValueOf(l.Config))}, {"origins", origins}})
}

// UnmarshalJSON reads what MarshalJSON has written.
func (l *Loaded) UnmarshalJSON(text []byte) error {
	var v struct {
		Config  json.RawMessage `json:"config"`
		Origins Origins         `json:"origins"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	l.Config, l.Origins = Defaults(), v.Origins
	return l.Config.parse("config", v.Config, Origins{}).err() // JSON is YAML
}

// Value is what a key has, or an entry of a list, as it stands in a file, and where it comes from.
type Value struct {
	Key, Text string
	Origin    Origin
}

// Values are all of them, in the order of the file.
func (l Loaded) Values() (list []Value) {
	for _, key := range Keys() {
		v := l.Config.at(key)
		if v.Kind() != reflect.Slice || v.Len() == 0 || !isSection(v.Type().Elem()) {
			list = append(list, Value{key, flow(plain(v)), l.Origins.Of(key)})
			continue
		}
		for i := range v.Len() {
			entry := fmt.Sprintf("%s[%d]", key, i)
			list = append(list, Value{entry, flow(plainEntry(v.Index(i))), l.Origins.Of(entry)})
		}
	}
	return list
}

// YAML is a file that says all of the configuration, each value with its origin in a comment.
func (l Loaded) YAML() []byte {
	var p printer
	p.section(l, reflect.ValueOf(l.Config), "", "")
	return p.text()
}

// object is a mapping that keeps its order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, m := range o {
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%c%q:%s", "{,"[min(i, 1)], m.name, value)
	}
	if len(o) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// plain is v as JSON has it: text, numbers, objects with the keys of the file. Of an entry of a list it leaves out what is not set.
func plain(v reflect.Value) any {
	if _, value := kinds[v.Type()]; value {
		return plainValue(v)
	}
	switch v.Kind() {
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, plainEntry(v.Index(i)))
		}
		return list
	case reflect.Map:
		return plainChanges(v.Interface().(Changes))
	}
	o := object{}
	for i, key := range keysOf(v.Type()) {
		o = append(o, member{key, plain(v.Field(i))})
	}
	return o
}

func plainEntry(v reflect.Value) any {
	if _, value := kinds[v.Type()]; value {
		return plainValue(v)
	}
	o := object{}
	for i, key := range keysOf(v.Type()) {
		if !v.Field(i).IsZero() {
			o = append(o, member{key, plain(v.Field(i))})
		}
	}
	return o
}

func plainChanges(c Changes) object {
	o := object{}
	for _, key := range keysOf(reflect.TypeFor[TCP]()) {
		if v, ok := c[key]; ok {
			o = append(o, member{key, plainValue(reflect.ValueOf(v))})
		}
	}
	return o
}

// plainValue is a value of one of kinds: text, a number or a bool.
func plainValue(v reflect.Value) any {
	if d, ok := v.Interface().(time.Duration); ok {
		return brief(d)
	}
	m, ok := v.Interface().(encoding.TextMarshaler)
	if !ok {
		return v.Interface()
	}
	if v.IsZero() && v.Kind() == reflect.Struct {
		return ""
	}
	text, _ := m.MarshalText() // fails for what is not valid, which has not been loaded
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return n
	}
	return string(text)
}

// brief is d without the zeros that its String ends with.
func brief(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if rest, ok := strings.CutSuffix(s, zero); ok && strings.HasSuffix(rest, map[string]string{"0s": "m", "0m": "h"}[zero]) {
			s = rest
		}
	}
	return s
}

// printer collects lines, each with its comment.
type printer struct{ lines [][2]string }

func (p *printer) section(l Loaded, v reflect.Value, above, indent string) {
	for i, name := range keysOf(v.Type()) {
		f, key := v.Field(i), above+name
		switch {
		case isSection(f.Type()):
			p.lines = append(p.lines, [2]string{indent + name + ":"})
			p.section(l, f, key+".", indent+"  ")
		case f.Kind() == reflect.Slice && f.Len() > 0 && isSection(f.Type().Elem()):
			p.lines = append(p.lines, [2]string{indent + name + ":", l.Origins.Of(key).String()})
			for i := range f.Len() {
				at := l.Origins.Of(fmt.Sprintf("%s[%d]", key, i))
				p.lines = append(p.lines, [2]string{indent + "  - " + flow(plainEntry(f.Index(i))), at.String()})
			}
		default:
			p.lines = append(p.lines, [2]string{indent + name + ": " + flow(plain(f)), l.Origins.Of(key).String()})
		}
	}
}

// mostIndent is how far comments are moved to stand below each other; beside longer lines they stand as they can.
const mostIndent = 44

func (p *printer) text() []byte {
	width := 0
	for _, l := range p.lines {
		if len(l[0]) <= mostIndent {
			width = max(width, len(l[0]))
		}
	}
	var b bytes.Buffer
	for _, l := range p.lines {
		if l[1] == "" {
			fmt.Fprintln(&b, l[0])
		} else {
			fmt.Fprintf(&b, "%-*s # %s\n", width, l[0], l[1])
		}
	}
	return b.Bytes()
}

// flow is a value of plain in YAML, on one line.
func flow(v any) string {
	var parts []string
	switch v := v.(type) {
	case object:
		for _, m := range v {
			parts = append(parts, m.name+": "+flow(m.value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		for _, e := range v {
			parts = append(parts, flow(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return flowText(v)
	}
	return fmt.Sprint(v)
}

// plainText is what every reader of YAML takes for text without quotes: names and paths, addresses, lengths of time and sizes;
// reserved is what looks so and is something else, at least to some.
var (
	plainText = regexp.MustCompile(`^([A-Za-z_/][A-Za-z0-9_./-]*|\d+(\.\d+){3}(/\d+)?(:\d+)?|(\d+(\.\d+)?(ns|µs|ms|[smh]|[KMG]iB))+)$`)
	reserved  = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null)$`)
)

// flowText is text as YAML reads it again in any place.
func flowText(s string) string {
	if plainText.MatchString(s) && !reserved.MatchString(s) {
		return s
	}
	quoted, _ := json.Marshal(s) // a string of JSON is one of YAML
	return string(quoted)
}
