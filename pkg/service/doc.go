// Package service holds the small services that a TCP host is expected to have. Those of the 1980s run on the shard,
// as handlers: no goroutine, no timer, and no buffer of their own a connection. Each can also serve a net.Conn, on a goroutine
// of the connection's own, as HTTP does: so would a program that embeds the stack and knows nothing of shards.
package service
