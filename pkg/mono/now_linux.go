package mono

import (
	"time"

	"golang.org/x/sys/unix"
)

var (
	start  = time.Now()
	origin = Time(clock())
)

// Now reads the clock. Inside a testing/synctest bubble it follows the bubble's clock.
//
// The runtime reads CLOCK_MONOTONIC through the vDSO; only the origin costs a system call, once.
func Now() Time {
	d := time.Since(start)
	if d < 0 { // a bubble, which began in the year 2000: count from 1970, for no Time is below 0
		return Time(time.Now().UnixNano())
	}
	return origin.Add(d)
}

func clock() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("mono: no CLOCK_MONOTONIC: " + err.Error())
	}
	return ts.Nano()
}
