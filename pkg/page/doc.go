// Package page is what a browser gets at an address of the daemon's: the connections, the machine with the connections that move
// through it, ladders, counters, and lessons that make TCP do what they teach.
//
// Whoever reaches the address reaches the page, so a caller sees the connections from his own address, and totals; all of them, and
// the lessons, need the token that the control socket hands out. A stranger's demands are bounded: so many listings and few streams at
// a time, and totals that are counted once a second at most.
//
// The package knows control for what is shown and how, and stack, socket and links in memory for the lessons, whose hosts are its
// own. It opens nothing: it is a handler of the web server that has it.
package page
