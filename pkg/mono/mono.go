// Package mono is the program's one clock: CLOCK_MONOTONIC as a plain number, so that state holding
// times can be compared, encoded, and understood by a process started later.
package mono

import "time"

// Time is nanoseconds of CLOCK_MONOTONIC. The zero Time means "never set".
type Time int64

// Never is later than every time.
const Never Time = 1<<63 - 1

// Add returns t later by d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns the time from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Min returns the earlier of t and u.
func Min(t, u Time) Time {
	if u < t {
		return u
	}
	return t
}

// Duration is a length of time in nanoseconds.
type Duration = time.Duration

// Lengths of time, for packages that may not read a clock and so do not import time.
const (
	Microsecond = time.Microsecond
	Millisecond = time.Millisecond
	Second      = time.Second
)
