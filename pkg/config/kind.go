package config

import (
	"net/netip"
	"reflect"
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
	reflect.TypeFor[uint8]():          {"a whole number from 0 to 255", ast.IntegerType},
	reflect.TypeFor[uint16]():         {"a whole number from 0 to 65535", ast.IntegerType},
	reflect.TypeFor[time.Duration]():  {"a length of time, such as 30s or 200ms", ast.StringType},
	reflect.TypeFor[Size]():           {"a size, such as 65536, 64KiB or 1MiB", anyScalar},
	reflect.TypeFor[netip.Prefix]():   {"an address with its network, such as 10.7.0.1/24", ast.StringType},
	reflect.TypeFor[netip.AddrPort](): {"an address with a port, such as 127.0.0.1:8080", ast.StringType},
	reflect.TypeFor[Prefix]():         {"an address, such as 10.7.0.2, or a prefix, such as 10.7.0.0/28", ast.StringType},
}

const anyScalar = ast.UnknownNodeType

// written reports whether n is of the type that the kind is written as. Nothing is not a value.
func (k kind) written(n ast.Node) bool {
	_, scalar := n.(ast.ScalarNode)
	return scalar && n.Type() != ast.NullType && (k.node == anyScalar || k.node == n.Type())
}
