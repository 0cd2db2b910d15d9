package stack

import (
	"reflect"
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// A record keeps how the connection began, and what came last.
func TestFlight(t *testing.T) {
	if n := reflect.TypeFor[flight]().Size(); n != flightSize {
		t.Errorf("a flight has %d bytes, not %d", n, flightSize)
	}
	var f flight
	at := func() (list []mono.Time) {
		for _, n := range f.list() {
			list = append(list, n.At)
		}
		return list
	}
	for i := range 30 {
		var want []mono.Time
		for k := range i {
			if k < firstNotes || k >= i-(maxNotes-firstNotes) {
				want = append(want, mono.Time(k))
			}
		}
		if got := at(); !slices.Equal(got, want) {
			t.Errorf("after %d notes there are %v, not %v", i, got, want)
		}
		f.add(Note{At: mono.Time(i)})
	}
}
