// Package explain says in plain English what happens to a TCP connection, and why: what each transition of the machine means, and
// each segment, incident, drop, call and resending; and of a whole connection what has happened, what it waits for now, who
// owes the next move, and what limits its speed.
//
// It speaks from our end: we are tcpd, our user is the program that holds the connection, the peer is the TCP at the other end,
// and the peer's user is the program there. Names are those of events, counters and RFC 9293; a name that it does not know
// has no sentence, "".
//
// It is pure: strings and numbers in, sentences out. It knows the machine (package fsm) and what can be told of a connection
// (tcp.Info), so that it can explain what another process or another machine has seen.
package explain
