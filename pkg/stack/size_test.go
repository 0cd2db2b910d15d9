package stack

import (
	"reflect"
	"testing"
)

// TestRecords: memory follows state, and none of it costs the garbage collector (DESIGN section 3, rule 8).
func TestRecords(t *testing.T) {
	for _, c := range []struct {
		record any
		most   uintptr // bytes
	}{{record{}, 848}, {half{}, 128}, {wait{}, 72}} {
		typ := reflect.TypeOf(c.record)
		t.Logf("%v: %d bytes", typ, typ.Size())
		if typ.Size() > c.most {
			t.Errorf("%v has %d bytes, more than %d", typ, typ.Size(), c.most)
		}
		noPointers(t, typ, typ.Name())
	}
}

func noPointers(t *testing.T, typ reflect.Type, path string) {
	t.Helper()
	switch typ.Kind() {
	case reflect.Struct:
		for i := range typ.NumField() {
			noPointers(t, typ.Field(i).Type, path+"."+typ.Field(i).Name)
		}
	case reflect.Array:
		noPointers(t, typ.Elem(), path+"[]")
	case reflect.Bool, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Int, reflect.Int64:
	default:
		t.Errorf("%s is a %v", path, typ.Kind())
	}
}
