package explain

// Incident says what it means that something has happened to a connection which has not moved it to another state
// (tcp.Incident, by its name).
func Incident(name string) string { return incidents[name] }

var incidents = map[string]string{
	"syn_timeout": "Our SYN, or SYN,ACK, was not answered in time: it, or the answer, was lost. It goes out again, and the next wait is twice as long, " +
		"in case the network has too much to carry as it is.",
	"timeout": "Nothing was acknowledged for the retransmission time-out, which follows the measured round trip. All that is in flight is taken for lost " +
		"and sent again, from one segment on, as if the path were new; the next time-out is twice as long.",
	"window_probe": "The peer's window is closed, or too small for what waits, and the news of more room could be lost: nobody acknowledges an ACK, and both " +
		"ends would wait for ever. So we ask from time to time with a small segment (RFC 9293 MUST-36).",
	"reorder_timeout": "Later segments have arrived and these have not, though they were given time to come late: they are taken for lost. RACK judges by " +
		"when a segment was sent, not by how many duplicates have come.",
	"tail_probe": "The last segments were not acknowledged soon, and nothing follows them whose acknowledgment would show a loss. One segment more makes the " +
		"peer say what it has; that is quicker than a time-out, and spares starting from one segment again.",
	"delayed_ack": "We owed an acknowledgment and waited a little for text of ours that it could go with. None came, so it goes alone: the peer " +
		"would take a longer silence for a loss.",
	"keep_alive": "Nothing has been heard from the peer for long. TCP itself never asks: an idle connection costs the network nothing. Our user wanted it " +
		"asked, so a segment that must be acknowledged finds out whether the peer is still there.",
	"orphan_timeout": "Our user has let go of the connection, and for orphan_timeout the peer has taken nothing of what is left to send: the connection is " +
		"given up, for nobody here waits for it, and a peer that keeps its window closed could else hold it for ever.",
	"recovery": "Acknowledgments show that a segment was lost while later ones arrived: fast recovery sends it again without waiting for a time-out. Loss is " +
		"how a full path speaks, so less may be in flight from now on.",
	"recovered": "All that was in flight when the loss was found has been acknowledged: the recovery is over, and what may be in flight grows again from " +
		"where it was reduced to.",
	"spurious": "The peer shows that nothing had been lost, it was only late: what was sent again came twice. The reduction is undone.",
	"marked": "A router whose queue grows has marked a segment instead of dropping it (ECN), and the peer has passed that on: we slow down as for a " +
		"loss, but nothing need be sent again.",
	"idle": "After a pause longer than the retransmission time-out the path may be another one, or busy: what was learned of it counts no longer, and we begin " +
		"with the initial window again.",
	"too_big": "A router could not pass on a packet of ours and has told us the size that it can: segments are smaller from now on (path MTU discovery).",
	"black_hole": "Large segments seem to vanish and no router says why; perhaps the message that a packet was too big is filtered. We try smaller ones, " +
		"and find out ourselves what the path takes.",
	"window_closed": "The peer has no more room: its user does not read as fast as we send. We must stop, whatever the network could carry: this is flow " +
		"control, which protects the peer, not the path.",
	"window_opened":  "The peer's user has read, and the peer has room again: sending goes on.",
	"operator_reset": "Whoever runs tcpd has ended the connection (tcpd reset, or DELETE on the control socket); neither our user nor the peer has.",
}

// Call says what a call of our user's asks for (stack.Call, by its name).
func Call(name string) string { return calls[name] }

var calls = map[string]string{
	"open":        "Our user wants a connection: the active OPEN. The handshake begins with our SYN.",
	"write":       "Our user has text for the peer. It is queued, and goes out as the peer's window, the congestion window and Nagle's algorithm allow; it stays with us until the peer has acknowledged it.",
	"read":        "Our user takes text that has come. That makes room, and our window opens again.",
	"close_write": "Our user has nothing more to send, but reads on: a half-close. Our FIN follows the last text.",
	"close_read":  "Our user will read no more. What still comes is acknowledged and thrown away; the peer is not told.",
	"close":       "Our user lets go of the connection: nothing more will be written or read. Text that is queued is still delivered, and the FIN after it; text left unread, or come later, is answered with a RST.",
	"abort":       "Our user ends the connection at once: a RST instead of a FIN, and text that is queued or unread is lost.",
}

// Resend says why a segment is sent again (tcp.Resend, by its name); it has nothing to say of one that is sent for the first
// time.
func Resend(reason string) string { return resends[reason] }

var resends = map[string]string{
	"syn":          "Again: our SYN was not answered, or the peer has asked for our answer again.",
	"recovery":     "Again: acknowledgments show that it was lost, since what was sent later has arrived.",
	"timeout":      "Again: no acknowledgment has come within the retransmission time-out.",
	"tail_probe":   "Again, to find out whether the last segments have arrived: nothing follows them whose acknowledgment would show it.",
	"window_probe": "Again: the peer's window has closed over what was sent, and we ask whether it has room now.",
}
