// Package service holds the small services that a TCP host is expected to have. Those of the 1980s run on the shard,
// as handlers: no goroutine, no timer, and no buffer of their own a connection.
package service

import "time"

// longestStall is how long a caller may take nothing of what there is for him, though he answers probes, before he is given up:
// where he holds more than a record.
const longestStall = 2 * time.Minute
