package fsm

import "testing"

// life is a connection from an active open to the end of TIME-WAIT.
var life = []Event{OpenActive, RcvSYNACK, Close, FINAcked, RcvFIN, TwoMSL}

// live goes through it and returns where that leads.
func live() State {
	s := Closed
	for _, e := range life {
		t, ok := Step(s, e)
		if !ok {
			return s
		}
		s = t.Next
	}
	return s
}

func TestStepAllocatesNothing(t *testing.T) {
	if a := testing.AllocsPerRun(100, func() {
		if s := live(); s != Closed {
			t.Fatalf("ended in %v", s)
		}
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func BenchmarkStep(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if live() != Closed {
			b.Fatal()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(life)), "ns/step")
}
