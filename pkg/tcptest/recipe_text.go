package tcptest

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// The text of a recipe is one line a thing: what it is, then its fields that are not zero, as name=value. Names are the
// fields' in lower case, those of a struct within it after a dot. A # begins a comment.

// String is the recipe as text.
func (r *Recipe) String() string {
	var b strings.Builder
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		for _, thing := range things(v.Field(i)) {
			b.WriteString(lineName(v.Type().Field(i)))
			for name, f := range leaves("", thing) {
				if !f.IsZero() {
					fmt.Fprintf(&b, " %s=%v", name, f.Interface())
				}
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// lineName is how lines of a field of Recipe begin: host for Hosts.
func lineName(f reflect.StructField) string {
	return strings.TrimSuffix(strings.ToLower(f.Name), "s")
}

// things are the structs of a field of Recipe: one, or a list.
func things(v reflect.Value) []reflect.Value {
	if v.Kind() == reflect.Struct {
		return []reflect.Value{v}
	}
	list := make([]reflect.Value, v.Len())
	for i := range list {
		list[i] = v.Index(i)
	}
	return list
}

// leaves yields the fields of a struct, and of the structs in it, with their names.
func leaves(prefix string, v reflect.Value) func(func(string, reflect.Value) bool) {
	return func(yield func(string, reflect.Value) bool) {
		for i := range v.NumField() {
			name := prefix + strings.ToLower(v.Type().Field(i).Name)
			if v.Field(i).Kind() != reflect.Struct {
				if !yield(name, v.Field(i)) {
					return
				}
				continue
			}
			for n, f := range leaves(name+".", v.Field(i)) {
				if !yield(n, f) {
					return
				}
			}
		}
	}
}

// ParseRecipe is the inverse of String.
func ParseRecipe(text string) (*Recipe, error) {
	r := &Recipe{}
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := r.parseLine(words); err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	return r, nil
}

func (r *Recipe) parseLine(words []string) error {
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		if lineName(v.Type().Field(i)) != words[0] {
			continue
		}
		f := v.Field(i)
		if f.Kind() == reflect.Struct {
			return parseThing(f, words[1:])
		}
		thing := reflect.New(f.Type().Elem()).Elem()
		if err := parseThing(thing, words[1:]); err != nil {
			return err
		}
		f.Set(reflect.Append(f, thing))
		return nil
	}
	return fmt.Errorf("there is no %q in a world", words[0])
}

func parseThing(thing reflect.Value, words []string) error {
	fields := map[string]reflect.Value{}
	for name, f := range leaves("", thing) {
		fields[name] = f
	}
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		f, ok := fields[name]
		if !ok {
			return fmt.Errorf("%q is not known here", name)
		}
		if err := parseValue(f, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func parseValue(f reflect.Value, text string) error {
	switch x := f.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(text)
		*x = d
		return err
	case *string:
		*x = text
		return nil
	case *bool:
		b, err := strconv.ParseBool(text)
		*x = b
		return err
	case *uint64:
		n, err := strconv.ParseUint(text, 10, 64)
		*x = n
		return err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	f.SetInt(n)
	return err
}
