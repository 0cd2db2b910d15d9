// Package service holds the small services that a TCP host is expected to have. Those of the 1980s run on the shard,
// as handlers: no goroutine, no timer, and no buffer of their own a connection.
package service
