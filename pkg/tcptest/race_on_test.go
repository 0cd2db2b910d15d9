//go:build race

package tcptest

// defaultWorlds is fewer here: the race detector makes them some 20 times slower, and each runs on one goroutine.
const defaultWorlds = 12
