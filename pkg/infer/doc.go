// Package infer follows TCP connections in a capture. A capture has the segments and nothing else: in which states the two ends
// were, it infers, by driving the machine of package fsm with what each end has sent and must have received. It takes each
// packet of the capture for received, and the user's calls for made when their segment shows: so what it says is likely, and
// not known. Who can ask tcpd itself should (tcpd trace, tcpd capture).
package infer
