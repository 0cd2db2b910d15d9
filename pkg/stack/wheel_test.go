package stack

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// testWheel keeps what has fired since it was asked last.
type testWheel struct {
	wheel
	nodes   []node
	fired   []ref
	touched int
	acts    bool
}

func newTestWheel(n int) *testWheel {
	w := &testWheel{nodes: make([]node, n+1)}
	w.node = func(r ref) *node { w.touched++; return &w.nodes[r] }
	w.fire = func(r ref) bool { w.fired = append(w.fired, r); return w.acts }
	return w
}

func (w *testWheel) turn(now mono.Time) []ref {
	w.fired = w.fired[:0]
	w.advance(now)
	return w.fired
}

// Everything fires, not before its time and not more than a tick after the wheel was turned past it, whatever the
// distances and however the wheel is turned.
func TestWheelFiresInTime(t *testing.T) {
	const n = 500
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		w := newTestWheel(n)
		now := mono.Time(r.Int64N(1 << 50))
		w.start(now)
		want := map[ref]mono.Time{}
		for i := range n {
			at := now + mono.Time(r.Int64N(1<<r.IntN(50)))
			want[ref(i+1)] = at
			w.arm(ref(i+1), at)
			if r.IntN(5) == 0 { // later is ignored, earlier is not
				at2 := at + mono.Time(r.Int64N(1<<30)) - 1<<29
				w.arm(ref(i+1), at2)
				want[ref(i+1)] = min(at, at2)
			}
			if r.IntN(10) == 0 {
				w.disarm(ref(i + 1))
				delete(want, ref(i+1))
			}
		}
		for len(want) > 0 {
			d := w.deadline()
			if d == mono.Never {
				t.Fatalf("%d are forgotten", len(want))
			}
			now = max(now, d)
			if r.IntN(2) == 0 {
				now += mono.Time(r.Int64N(1 << r.IntN(45)))
			}
			for d := mono.Time(0); d <= now; d = w.deadline() {
				for _, x := range w.turn(now) {
					if want[x] > now {
						t.Fatalf("fired %v early", want[x].Sub(now))
					}
					delete(want, x)
				}
			}
			for x, at := range want {
				if at <= now-1<<tickLog {
					t.Fatalf("%d, due at %d, has not fired at %d", x, at, now)
				}
			}
		}
		if w.deadline() != mono.Never {
			t.Fatal("an empty wheel has a deadline")
		}
	}
}

// However many fall due at once, or go down a level, only so many are touched at a time, and those armed and disarmed meanwhile
// fare as they should.
func TestWheelMovesSoManyAtATime(t *testing.T) {
	t.Run("idle", func(t *testing.T) { testWheelMoves(t, false, maxMoves) })
	t.Run("acting", func(t *testing.T) { testWheelMoves(t, true, maxMoves/actMoves) })
}

func testWheelMoves(t *testing.T, acts bool, most int) {
	const n = 20 * maxMoves
	w := newTestWheel(n)
	w.acts = acts
	w.start(1e12)
	at := mono.Time(1e12).Add(7200 * mono.Second)
	fired := map[ref]int{}
	for i := range n {
		w.arm(ref(i+1), at)
	}
	calls := 0
	for now := mono.Time(1e12); w.deadline() != mono.Never; calls++ {
		now = max(now, w.deadline())
		w.touched = 0
		for _, x := range w.turn(now) {
			fired[x]++
			if now < at {
				t.Fatalf("%d fires %v early", x, at.Sub(now))
			}
		}
		if w.touched > 5*maxMoves || len(w.fired) > most {
			t.Fatalf("%d are touched at a time, %d fire", w.touched, len(w.fired))
		}
		if r := ref(calls + 1); calls < 50 && now < at { // while they go down
			w.disarm(r)
			w.arm(r, at)
		}
	}
	if len(fired) != n || calls < 2*n/maxMoves {
		t.Errorf("%d of %d have fired, in %d calls", len(fired), n, calls)
	}
	for x, times := range fired {
		if times != 1 {
			t.Errorf("%d has fired %d times", x, times)
		}
	}
}

func TestWheelTakesOutTheRightOne(t *testing.T) {
	w := newTestWheel(3)
	w.start(0)
	for i := ref(1); i <= 3; i++ {
		w.arm(i, 1e9)
	}
	w.disarm(2)
	got := slices.Clone(w.turn(2e9))
	slices.Sort(got)
	if !slices.Equal(got, []ref{1, 3}) {
		t.Errorf("fired %v", got)
	}
}

// busyWheel is a wheel of n timers of up to 400 ms each, which turn arms again as they fire.
func busyWheel(n int) (w *testWheel, turn func() (fired int)) {
	w = newTestWheel(n)
	now := mono.Time(1e12)
	w.start(now)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		w.arm(ref(i+1), now+mono.Time(r.Int64N(4e8)))
	}
	return w, func() int {
		now += 1e6
		due := w.turn(now)
		for _, x := range due {
			w.arm(x, now+mono.Time(r.Int64N(4e8)))
		}
		return len(due)
	}
}

// Arming, disarming and firing allocate nothing once as many have fired together as ever will.
func TestWheelAllocatesNothing(t *testing.T) {
	const n = 10000
	w, turn := busyWheel(n)
	w.fired = make([]ref, 0, n)
	i := 0
	if a := testing.AllocsPerRun(1000, func() {
		i = i%n + 1
		w.disarm(ref(i))
		w.arm(ref(i), mono.Time(w.now<<tickLog)+2e8)
		turn()
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

// A timer that is not armed.
func BenchmarkWheelArm(b *testing.B) {
	const n = 1 << 16
	w := newTestWheel(n)
	w.start(1e12)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%n == 0 && i > 0 {
			b.StopTimer()
			clear(w.nodes)
			clear(w.slots[:])
			b.StartTimer()
		}
		w.arm(ref(i%n+1), 1e12+200e6)
	}
}

// One that is, and is to fire later: it does not move.
func BenchmarkWheelLater(b *testing.B) {
	const n = 1 << 16
	w := newTestWheel(n)
	w.start(1e12)
	for i := range n {
		w.arm(ref(i+1), 1e12+200e6)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.arm(ref(i%n+1), 1e12+mono.Time(200e6+i))
	}
}

func BenchmarkWheelRearm(b *testing.B) {
	const n = 1 << 16
	w := newTestWheel(n)
	now := mono.Time(1e12)
	w.start(now)
	b.ReportAllocs()
	for i := range b.N {
		r := ref(i%n + 1)
		w.disarm(r)
		w.arm(r, now+200e6)
		if i%64 == 0 {
			now += 1e5
			w.advance(now)
		}
	}
}

// One timer that goes down the levels, fires, and is armed again.
func BenchmarkWheelFire(b *testing.B) {
	_, turn := busyWheel(1 << 16)
	for range 400 {
		turn()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for fired := 0; fired < b.N; {
		fired += turn()
	}
}
