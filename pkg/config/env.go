package config

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/parser"
)

// VariablePrefix begins the name of each environment variable that sets a key.
const VariablePrefix = "TCPD_"

// Variable is the environment variable that sets a key.
func Variable(key string) string {
	return VariablePrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// Keys are those that have values, in the order of the file: of a section its keys, and a list as a whole.
func Keys() []string { return keysBelow(reflect.TypeFor[Config](), "") }

func keysBelow(t reflect.Type, above string) (list []string) {
	for i, name := range keysOf(t) {
		if f := t.Field(i).Type; isSection(f) {
			list = append(list, keysBelow(f, above+name+".")...)
		} else {
			list = append(list, above+name)
		}
	}
	return list
}

func isSection(t reflect.Type) bool {
	_, value := kinds[t]
	return !value && t.Kind() == reflect.Struct
}

// at is the field of a key, which must be one of Keys.
func (c *Config) at(key string) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for name := range strings.SplitSeq(key, ".") {
		v = fieldOf(v, name)
	}
	return v
}

// environ puts the variables of an environment over c: each TCPD_ variable must be that of a key.
func (c *Config) environ(environ []string, origins Origins) (faults Faults) {
	byName := map[string]string{}
	var names []string // in small letters, as nearest wants them
	for _, key := range Keys() {
		byName[Variable(key)] = key
		names = append(names, strings.ToLower(Variable(key)))
	}
	for _, s := range environ {
		name, text, _ := strings.Cut(s, "=")
		if !strings.HasPrefix(name, VariablePrefix) {
			continue
		}
		key, ok := byName[name]
		if !ok {
			text := "unknown variable"
			if near := cmp.Or(ending(name, names), nearest(name, names)); near != "" {
				text += "; is it to be " + strings.ToUpper(near) + "?"
			}
			faults = append(faults, &Fault{Origin: Origin{Source: FromEnv, Name: name}, Text: text})
			continue
		}
		at := Origin{Source: FromEnv, Name: name, key: key}
		origins.set(key, at)
		faults = append(faults, c.variable(at, text)...)
	}
	return faults
}

// ending is the only name that ends as name does after the prefix: the section has been forgotten.
func ending(name string, names []string) (found string) {
	end := "_" + strings.ToLower(strings.TrimPrefix(name, VariablePrefix))
	for _, n := range names {
		if strings.HasSuffix(n, end) {
			if found != "" {
				return ""
			}
			found = n
		}
	}
	return found
}

// variable sets the key of a variable to what its text says.
func (c *Config) variable(at Origin, text string) Faults {
	v := c.at(at.key)
	if v.Kind() == reflect.Slice {
		return c.variableList(at, text)
	}
	read := reflect.New(v.Type()).Elem()
	if err := setText(read, text); err != nil {
		return Faults{{at, at.key, fmt.Sprintf("%q is not %s", text, wanted(v.Type(), at.key))}}
	}
	v.Set(read)
	return nil
}

// setText reads a value of one of kinds that is not written in YAML.
func setText(v reflect.Value, text string) (err error) {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		var d time.Duration
		d, err = time.ParseDuration(text)
		v.SetInt(int64(d))
	case v.Kind() == reflect.String:
		if !utf8.ValidString(text) {
			return strconv.ErrSyntax
		}
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return strconv.ErrSyntax
		}
		v.SetBool(text == "true")
	case v.CanInt():
		var n int64
		n, err = strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
	case v.CanUint():
		var n uint64
		n, err = strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(n)
	}
	return err
}

// variableList reads a list, which is written as in YAML; the brackets may be left out.
func (c *Config) variableList(at Origin, text string) Faults {
	if !strings.HasPrefix(strings.TrimSpace(text), "[") {
		text = "[" + text + "]"
	}
	r := reader{fixed: &at, origins: Origins{}}
	file, err := parser.ParseBytes([]byte(text), 0)
	switch {
	case err != nil:
		r.fault(nil, at.key, err)
	case len(file.Docs) != 1 || file.Docs[0].Body == nil:
		r.fault(nil, at.key, strconv.ErrSyntax)
	default:
		r.value(file.Docs[0].Body, at.key, c.at(at.key))
	}
	return r.faults
}
