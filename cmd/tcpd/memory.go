package main

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

// connectionBytes is what an open connection without text takes, with what finds it.
const connectionBytes = 1 << 10

// machineMemory is how much memory the daemon has in bytes: the machine's, or what its control group may use of that.
func machineMemory() uint64 {
	var i unix.Sysinfo_t
	if err := unix.Sysinfo(&i); err != nil {
		return 1 << 30 // never seen to fail
	}
	total := i.Totalram * uint64(i.Unit)
	for _, limit := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(limit)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64); err == nil { // else it is "max"
			total = min(total, n)
		}
	}
	return total
}

// limitMemory has the garbage collector work harder before the machine's memory is gone, unless GOMEMLIMIT says when.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(machineMemory() / 10 * 9))
	}
}
