//go:build !race

package tcptest

const defaultWorlds = 400
