package tcp

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"unsafe"
)

// leaves calls f for every field of v that is no struct and no array.
func leaves(v reflect.Value, path string, f func(path string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			leaves(v.Field(i), path+"."+v.Type().Field(i).Name, f)
		}
	case reflect.Array:
		for i := range v.Len() {
			leaves(v.Index(i), path+"[]", f)
		}
	default:
		f(path, v)
	}
}

// TestSnapshotHasEveryField sets one field of a connection after the other and looks for it on the other side.
func TestSnapshotHasEveryField(t *testing.T) {
	elsewhere := map[string]bool{".state": true, ".snd.ring": true, ".rcv.ring": true, ".rcv.holes": true, ".snd.flight": true, ".snd.marks": true}
	var c, zero Conn
	n := 0
	leaves(reflect.ValueOf(&c).Elem(), "", func(path string, v reflect.Value) {
		if elsewhere[path] {
			return
		}
		n++
		c = zero
		v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem() // unexported fields are not set otherwise
		if v.Kind() == reflect.Bool {
			v.SetBool(true)
		} else if v.CanUint() {
			v.SetUint(1<<(8*v.Type().Size()-1) | 5)
		} else {
			v.SetInt(-5)
		}
		out := codec{}
		c.fields(&out)
		var d Conn
		in := codec{b: out.b, reading: true}
		d.fields(&in)
		if in.err != nil || len(in.b) != 0 {
			t.Errorf("%s: %v, %d bytes left", path, in.err, len(in.b))
		}
		if d != c || d == zero {
			t.Errorf("%s is not in the snapshot", path)
		}
	})
	if n < 60 {
		t.Errorf("only %d fields were found", n)
	}
}

// TestConnHasNoPointers walks the type: millions of connections are to cost the garbage collector nothing.
func TestConnHasNoPointers(t *testing.T) {
	for _, v := range []any{Conn{}, HalfOpen{}, TimeWait{}} {
		leaves(reflect.ValueOf(v), "", func(path string, f reflect.Value) {
			switch f.Kind() {
			case reflect.Bool, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Int, reflect.Int64:
			default:
				t.Errorf("%T%s is a %v", v, path, f.Kind())
			}
		})
	}
}

// TestDecodeRefusesDamage feeds Decode what Encode has not written: it may take it or not, but it does not panic and
// keeps nothing.
func TestDecodeRefusesDamage(t *testing.T) {
	x := &Env{Settings: []Settings{Defaults()}, Memory: NewMemory(1 << 22), MTU: 1500}
	var c Conn
	c.OpenActive(x, 1, Open{ISS: 1000})
	c.Write(x, make([]byte, 5000))
	c.synReceived(x, 2, &Segment{Seq: 77, Flags: SYN | ACK, Ack: 1001, Window: 5000})
	c.store(x, c.rcv.nxt.Add(100), make([]byte, 50))
	x.Memory.holesOf(&c.rcv.holes).add(Block{c.rcv.nxt.Add(100), c.rcv.nxt.Add(150)}, maxHoles)
	good := c.Encode(x, nil)
	held := x.Memory.InUse
	var d Conn
	if err := d.Decode(x, good); err != nil || string(d.Encode(x, nil)) != string(good) {
		t.Fatalf("what was encoded is refused, or is another: %v", err)
	}
	d.Free(x)
	r := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		bad := append([]byte(nil), good[:len(good)-r.IntN(2)*r.IntN(len(good))]...)
		for range r.IntN(4) {
			bad[r.IntN(min(len(bad), 300))] = byte(r.Uint32())
		}
		if d.Decode(x, bad) == nil {
			d.Free(x)
		}
		if x.Memory.InUse != held {
			t.Fatalf("%d bytes are in use, not %d", x.Memory.InUse, held)
		}
	}
}
