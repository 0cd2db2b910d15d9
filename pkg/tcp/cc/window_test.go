package cc

import (
	"reflect"
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"pgregory.net/rapid"
)

func TestNames(t *testing.T) {
	if got := Names(); !slices.Equal(got, []string{"reno", "cubic", "bbr", "bbr3"}) {
		t.Errorf("Names are %v", got)
	}
	for _, name := range Names() {
		if a, ok := ByName(name); !ok || a.Name() != name {
			t.Errorf("ByName(%q) is %v, %v", name, a, ok)
		}
	}
	if _, ok := ByName("vegas"); ok {
		t.Error("ByName knows vegas")
	}
}

// A Window lies in the connection's record and must hold no pointer.
func TestWindowHoldsNoPointer(t *testing.T) {
	typ := reflect.TypeFor[Window]()
	for i := range typ.NumField() {
		switch k := typ.Field(i).Type.Kind(); k {
		case reflect.Uint32, reflect.Uint64, reflect.Bool:
		case reflect.Array:
			if e := typ.Field(i).Type.Elem().Kind(); e != reflect.Uint64 {
				t.Errorf("%s holds %v", typ.Field(i).Name, e)
			}
		default:
			t.Errorf("%s is a %v", typ.Field(i).Name, k)
		}
	}
}

// The state survives its packing, whatever it holds.
func TestPacking(t *testing.T) {
	w := &Window{MSS: 1448}
	for i := range w.Priv {
		w.Priv[i] = 0x0123456789abcdef * uint64(2*i+1)
	}
	w.Priv[bbrBits] &= 7<<40 | 1<<40 - 1
	w.Priv[cubicFraction] &^= 1<<32 - 2
	w.Priv[hyBaseline] &^= 0xff << 24
	was := *w
	for name, again := range map[string]func(){
		"bbr":     func() { s := loadBBR(w); s.save(w) },
		"cubic":   func() { s := loadCubic(w); s.save(w) },
		"hystart": func() { h := loadHyStart(w); h.save(w) },
	} {
		if again(); *w != was {
			t.Errorf("%s: %x\nwas %x", name, w.Priv, was.Priv)
		}
	}
}

// anyAck draws what a connection could say, and some that it could not.
func anyAck(t *rapid.T, w *Window, delivered *uint64) Ack {
	bytes := rapid.OneOf(rapid.Uint32Range(0, 4*w.MSS), rapid.Uint32Range(0, 65535), rapid.Uint32())
	durations := rapid.OneOf(
		rapid.Just(int64(0)), rapid.Int64Range(1, int64(ms)), rapid.Int64Range(1, int64(100*mono.Second)), rapid.Just(int64(1<<62)))
	duration := func(name string) mono.Duration { return mono.Duration(durations.Draw(t, name)) }
	flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
	a := Ack{
		Bytes: bytes.Draw(t, "Bytes"), New: bytes.Draw(t, "New"), Lost: bytes.Draw(t, "Lost"),
		Flight: bytes.Draw(t, "Flight"), Prior: bytes.Draw(t, "Prior"),
		RTT: duration("RTT"), SRTT: duration("SRTT"), MinRTT: duration("MinRTT"),
		Limited: rapid.IntRange(0, 3).Draw(t, "Limited") > 0, Loss: flag("Loss"), Round: flag("Round"), Unpaced: flag("Unpaced"),
		Sampled: bytes.Draw(t, "Sampled"), Interval: duration("Interval"), AppLimited: flag("AppLimited"),
	}
	*delivered += uint64(a.New)
	a.Delivered = *delivered
	return a
}

// Whatever happens, cwnd lies between one MSS and maxWindow and ssthresh is at least two MSS: with any MSS, huge round
// trips, time that stands still or goes back, and a connection that sets the window itself.
func TestWindowBounds(t *testing.T) {
	for _, name := range Names() {
		alg, _ := ByName(name)
		t.Run(name, func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { checkBounds(t, alg) }) })
	}
}

func checkBounds(t *rapid.T, alg Algorithm) {
	w := &Window{MSS: rapid.OneOf(rapid.Uint32Range(36, 65495), rapid.SampledFrom([]uint32{36, 536, 1448, 65495})).Draw(t, "MSS")}
	now := mono.Time(rapid.Int64Range(0, 1<<50).Draw(t, "now"))
	var delivered uint64
	alg.Open(w, now)
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		now += mono.Time(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(-1e6, 1e9), rapid.Int64Range(0, 1e12)).Draw(t, "step"))
		before := *w
		switch rapid.IntRange(0, 12).Draw(t, "event") {
		case 0:
			alg.Loss(w, now, Episode{Flight: rapid.Uint32Range(0, maxWindow).Draw(t, "flight"), ECN: rapid.Bool().Draw(t, "ECN")})
			if !w.Owns && rapid.Bool().Draw(t, "at once") {
				w.Cwnd = w.Ssthresh
			}
		case 1:
			alg.Timeout(w, now, rapid.Uint32Range(0, maxWindow).Draw(t, "flight"))
			if rapid.Bool().Draw(t, "undone") {
				w.Cwnd, w.Ssthresh = before.Cwnd, before.Ssthresh
			}
		case 2:
			w.Cwnd = rapid.Uint32Range(w.MSS, maxWindow).Draw(t, "set")
		default:
			a := anyAck(t, w, &delivered)
			alg.Ack(w, now, &a)
			if !w.Owns && a.Loss && w.Cwnd != before.Cwnd {
				t.Fatalf("Ack set cwnd in recovery, from %d to %d", before.Cwnd, w.Cwnd)
			}
		}
		if w.Cwnd < w.MSS || w.Cwnd > maxWindow || w.Ssthresh < 2*w.MSS {
			t.Fatalf("MSS %d: cwnd %d, ssthresh %d, before %+v", w.MSS, w.Cwnd, w.Ssthresh, before)
		}
		if w.Owns && w.Pacing == 0 {
			t.Fatal("an algorithm that paces stopped")
		}
	}
}

// An algorithm that only hears good news uses what there is and wraps nothing.
func TestWindowGrowsToTheEnd(t *testing.T) {
	for _, alg := range []Algorithm{NewReno{}, Cubic{}} {
		for _, mss := range []uint32{36, 1448, 65495} {
			w, now := &Window{MSS: mss}, 100*second
			alg.Open(w, now)
			for range 200 {
				now = now.Add(100 * ms)
				alg.Ack(w, now, &Ack{New: w.Cwnd, SRTT: 100 * ms, RTT: 100 * ms, Limited: true, Flight: w.Cwnd})
			}
			if w.Cwnd != maxWindow {
				t.Errorf("%s, MSS %d: cwnd %d", alg.Name(), mss, w.Cwnd)
			}
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for _, name := range Names() {
		alg, _ := ByName(name)
		w, now := &Window{MSS: 1448}, 100*second
		alg.Open(w, now)
		a := Ack{Limited: true, RTT: ms, SRTT: ms, MinRTT: ms, Sampled: 14480, Interval: ms}
		n := testing.AllocsPerRun(1000, func() {
			now = now.Add(ms)
			a.New, a.Flight = w.Cwnd/2, w.Cwnd
			a.Delivered += uint64(a.New)
			a.Round = !a.Round
			alg.Ack(w, now, &a)
			if now%32 == 0 {
				alg.Loss(w, now, Episode{Flight: w.Cwnd})
				alg.Timeout(w, now, w.Cwnd)
			}
		})
		if n != 0 {
			t.Errorf("%s allocates %g times", name, n)
		}
	}
}

func BenchmarkAck(b *testing.B) {
	for _, name := range Names() {
		alg, _ := ByName(name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w, now := &Window{MSS: 1448}, 100*second
			alg.Open(w, now)
			alg.Loss(w, now, Episode{Flight: 100 * 1448})
			w.Cwnd = 70 * 1448
			a := Ack{Bytes: 2896, New: 2896, Limited: true, RTT: ms, SRTT: ms, MinRTT: ms, Sampled: 101360, Interval: ms, Flight: 70 * 1448}
			for i := 0; b.Loop(); i++ {
				now = now.Add(ms / 35)
				a.Round = i%35 == 0
				a.Delivered += 2896
				alg.Ack(w, now, &a)
			}
		})
	}
}

func BenchmarkLoss(b *testing.B) {
	for _, name := range Names() {
		alg, _ := ByName(name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w := &Window{MSS: 1448}
			alg.Open(w, second)
			a := Ack{New: 2896, Limited: true, SRTT: ms, RTT: ms}
			for b.Loop() { // with the ACK that begins the next stage: CUBIC's cube root
				w.Cwnd = 100_000_000
				alg.Loss(w, second, Episode{Flight: w.Cwnd})
				w.Cwnd = max(min(w.Cwnd, w.Ssthresh), w.MSS)
				alg.Ack(w, second, &a)
			}
		})
	}
}
