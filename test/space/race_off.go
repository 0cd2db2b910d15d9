//go:build !race

package space

// Race tells that the test, and the daemon that it has built, run under the race detector.
const Race = false
