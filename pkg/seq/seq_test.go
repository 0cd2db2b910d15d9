package seq

import (
	"testing"
	"testing/quick"
)

func TestOrderWraps(t *testing.T) {
	for _, c := range []struct {
		a, b Num
		less bool
	}{
		{0, 1, true}, {1, 0, false}, {0, 0, false},
		{0xffffffff, 0, true}, {0, 0xffffffff, false},
		{0x7fffffff, 0x80000000, true}, {0xfffffff0, 0x10, true},
	} {
		if got := c.a.Less(c.b); got != c.less {
			t.Errorf("%#x < %#x is %v", uint32(c.a), uint32(c.b), got)
		}
		if c.a != c.b && c.a.Less(c.b) == c.b.Less(c.a) {
			t.Errorf("%#x and %#x: order is not antisymmetric", uint32(c.a), uint32(c.b))
		}
	}
}

func TestDistance(t *testing.T) {
	err := quick.Check(func(a Num, n uint32) bool {
		n &= 1<<31 - 1
		b := a.Add(n)
		return b.Sub(a) == n && a.LessEq(b) && Max(a, b) == b && Min(a, b) == a && a.In(a, n) == (n > 0) && !b.In(a, n)
	}, nil)
	if err != nil {
		t.Error(err)
	}
}
