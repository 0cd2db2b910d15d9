package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// kind is a type of value: how to ask for one, and the type of node that it is written as if only one will do.
type kind struct {
	name string
	node ast.NodeType
}

var kinds = map[reflect.Type]kind{
	reflect.TypeFor[string]():         {"text", anyScalar},
	reflect.TypeFor[bool]():           {"true or false", ast.BoolType},
	reflect.TypeFor[int]():            {"a whole number", ast.IntegerType},
	reflect.TypeFor[uint8]():          {"a whole number", ast.IntegerType},
	reflect.TypeFor[uint16]():         {"a whole number", ast.IntegerType},
	reflect.TypeFor[time.Duration]():  {"a length of time, such as 30s or 200ms", ast.StringType},
	reflect.TypeFor[Size]():           {"a size, such as 65536, 64KiB or 1MiB", anyScalar},
	reflect.TypeFor[netip.Prefix]():   {"an address with its network, such as 10.7.0.1/24", ast.StringType},
	reflect.TypeFor[netip.AddrPort](): {"an address with a port, such as 127.0.0.1:8080", ast.StringType},
	reflect.TypeFor[Prefix]():         {"an address, such as 10.7.0.2, or a prefix, such as 10.7.0.0/28", ast.StringType},
}

// wanted is how to ask for the value of a key, of type t. Where not every number can be one of t, the range is told: that of
// the key, as Validate has it.
func wanted(t reflect.Type, key string) string {
	name := kinds[t].name
	if k := t.Kind(); k != reflect.Uint8 && k != reflect.Uint16 {
		return name
	}
	r := ruleOf(key)
	if r.low == nil {
		r.low, r.high = 0, 1<<t.Bits()-1
	}
	name = fmt.Sprintf("%s from %v to %v", name, r.low, r.high)
	if r.zero {
		name += ", or 0"
	}
	return name
}

// rules are those by which Validate goes, as the schema learns them.
var rules = sync.OnceValue(func() map[string]rule {
	s := schemas{rules: map[string]rule{}, needed: map[string]bool{}}
	s.learn()
	return s.rules
})

var entry = regexp.MustCompile(`\[\d+\]`)

// ruleOf is the rule of a key: one of an entry is that of the first, and one of what a listener changes is tcp's.
func ruleOf(key string) rule {
	if _, changed, ok := strings.Cut(key, "].tcp."); ok {
		key = "tcp." + changed
	}
	return rules()[entry.ReplaceAllString(key, "[0]")]
}

const anyScalar = ast.UnknownNodeType

// written reports whether n is of the type that the kind is written as. Nothing is not a value.
func (k kind) written(n ast.Node) bool {
	_, scalar := n.(ast.ScalarNode)
	return scalar && n.Type() != ast.NullType && (k.node == anyScalar || k.node == n.Type())
}
