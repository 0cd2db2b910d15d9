package stack

import (
	"reflect"
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
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
		f.add(Note{Kind: Transitions, At: mono.Time(i)})
	}
}

// What repeats itself takes the place of one note, and says how often.
func TestFlightCountsRepetitions(t *testing.T) {
	var f flight
	f.add(Note{At: 1, Kind: Incidents, Incident: tcp.IncidentWindowClosed})
	for i := range 300 {
		f.add(Note{At: mono.Time(2 + i), Kind: Incidents, Incident: tcp.IncidentWindowProbe})
	}
	f.add(Note{At: 400, Kind: Incidents, Incident: tcp.IncidentWindowOpened})
	f.add(Note{At: 500, Kind: Drops, Drop: tcp.DropChecksum})
	want := []Note{
		{At: 1, Kind: Incidents, Incident: tcp.IncidentWindowClosed}, {At: 2, Kind: Incidents, Incident: tcp.IncidentWindowProbe, Text: 299},
		{At: 400, Kind: Incidents, Incident: tcp.IncidentWindowOpened}, {At: 500, Kind: Drops, Drop: tcp.DropChecksum},
	}
	if got := f.list(); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}
