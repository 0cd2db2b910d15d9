package script

import (
	"fmt"
	"math"
	"strings"
)

// names is what code knows: the variables that it has assigned, constants, and what can be asked of a connection.
type names func(name string) (any, bool)

// missing is a name that code asks for and that nobody knows, or a division by zero: the error of eval.
type missing string

func (m missing) Error() string { return string(m) }

// eval computes a formula: a float64 or a string.
func (f *formula) eval(known names) (any, error) {
	switch f.op {
	case "":
		return f.value, nil
	case "string":
		return f.text, nil
	case "name":
		if v, ok := known(f.text); ok {
			return v, nil
		}
		return nil, missing(f.text)
	case "not":
		v, err := f.args[0].eval(known)
		return truth(!isTrue(v)), err
	case "and", "or":
		v, err := f.args[0].eval(known)
		if err != nil || isTrue(v) == (f.op == "or") {
			return v, err
		}
		return f.args[1].eval(known)
	}
	args := make([]any, len(f.args))
	for i, a := range f.args {
		v, err := a.eval(known)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	if f.op == "compare" {
		for i, op := range f.ops {
			if !compare(op, args[i], args[i+1]) {
				return truth(false), nil
			}
		}
		return truth(true), nil
	}
	if f.op == "tuple" {
		return show(args[0]) + " " + show(args[1]), nil
	}
	return operate(f.op, args[0], args[1])
}

func truth(b bool) any {
	if b {
		return 1.0
	}
	return 0.0
}

func isTrue(v any) bool { return v != nil && v != 0.0 && v != "" }

// compare is a comparison of two numbers, or of two strings.
func compare(op string, a, b any) bool {
	x, y := 0.0, 0.0
	if s, ok := a.(string); ok {
		t, same := b.(string)
		if !same {
			return op == "!="
		}
		x = float64(strings.Compare(s, t))
	} else if n, ok := b.(float64); ok {
		x, y = a.(float64), n
	} else {
		return op == "!="
	}
	return map[string]bool{"<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y, "==": x == y, "!=": x != y}[op]
}

// operate is an operation on two numbers; % also puts one into a string.
func operate(op string, a, b any) (any, error) {
	if s, ok := a.(string); ok {
		return s + " " + show(b), nil // what an assertion says: near enough
	}
	x, ok := a.(float64)
	y, also := b.(float64)
	if !ok || !also {
		return nil, missing("a number")
	}
	if y == 0 && (op == "/" || op == "//" || op == "%") {
		return nil, missing("a divisor other than 0")
	}
	i, j := int64(x), int64(y)
	if (op == "<<" || op == ">>") && (j < 0 || j > 62) {
		return nil, missing("a shift by 0 to 62")
	}
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "/":
		return x / y, nil
	case "//":
		return math.Floor(x / y), nil
	case "%":
		return x - y*math.Floor(x/y), nil
	case "|":
		return float64(i | j), nil
	case "^":
		return float64(i ^ j), nil
	case "&":
		return float64(i & j), nil
	case "<<":
		return float64(i << j), nil
	}
	return float64(i >> j), nil
}

// show is a value as Python prints it.
func show(v any) string {
	if n, ok := v.(float64); ok && n == math.Trunc(n) && math.Abs(n) < 1e15 {
		return fmt.Sprint(int64(n))
	}
	return fmt.Sprint(v)
}
