//go:build race

package e2e

// raceEnabled: the daemon is built like the test.
const raceEnabled = true
