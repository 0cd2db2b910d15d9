package mono

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestNowIsClockMonotonic(t *testing.T) {
	before, now, after := Time(clock()), Now(), Time(clock())
	const slack = Time(time.Millisecond) // the origin is read in two steps
	if now < before-slack || now > after+slack {
		t.Errorf("Now %d is not between CLOCK_MONOTONIC's %d and %d", now, before, after)
	}
}

func TestNowFollowsABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := Now()
		if from <= 0 {
			t.Errorf("the bubble began at %d: before the zero Time, which means never", from)
		}
		time.Sleep(time.Hour)
		if d := Now().Sub(from); d != time.Hour {
			t.Errorf("an hour of the bubble was %v", d)
		}
	})
}
