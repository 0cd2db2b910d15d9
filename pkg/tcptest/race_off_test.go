//go:build !race

package tcptest

const defaultWorlds = 2000
