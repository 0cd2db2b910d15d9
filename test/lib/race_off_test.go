//go:build !race

package lib

// raceEnabled: the stacks are built like the test.
const raceEnabled = false
