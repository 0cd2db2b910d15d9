// Package observe makes visible what the daemon does: a log, state changes as lines of it, counters as JSON.
package observe
