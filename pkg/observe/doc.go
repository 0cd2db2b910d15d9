// Package observe makes visible what the daemon does: a log, state changes as lines of it, counters as JSON, metrics. What single
// connections go through is told by package stack's watches and flight recorder, and shown by package control.
package observe
