// Package bsd is the socket calls over one stack: what a script in packetdrill's language calls, or packetdrill itself
// through its shared-object interface. It is for tests.
//
// Sockets has a table of descriptors, and a method for each call, with the results and the errors (syscall.Errno) that
// Linux gives. The stack is one that was not started: each call turns it by hand, so that segments leave before the call
// returns, as they do in the kernel; the owner turns it when packets have arrived, and at its deadlines. It lives in the
// time of the stack's Config.Now, virtual or not.
//
// No call ever waits. One that would have to, on a descriptor that is not O_NONBLOCK, returns ErrBlocked, and the caller
// makes it again when the stack has moved.
//
// Nothing here may be used by several goroutines at a time.
//
// # What it may touch
//
// All that pkg/tcptest may: it belongs to that room. Of the system it uses the names of constants alone.
//
// # What is not as in Linux
//
// IP_TTL and IP_MTU_DISCOVER are kept and change no packet, and of IP_TOS the codepoint alone does. There are no
// error queue (MSG_ERRQUEUE), no time-stamping and no zero-copy. The size of a buffer is in bytes of text, and not in
// bytes of memory: SO_SNDBUF and SO_RCVBUF tell twice what was set, as Linux does, and what was set is what fits.
package bsd
