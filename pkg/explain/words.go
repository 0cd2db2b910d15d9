package explain

// PerhapsListen is the state of an end that nothing has been heard of yet.
const PerhapsListen = "LISTEN?"

// What segments of each kind say, by the state of the end that sends or receives them.
var (
	synSent = words{
		"": "SYN: we call, and announce the initial sequence number (ISN) from which we count. It is random to whoever can't see it, so that nobody can forge a segment that fits.",
	}
	synReceived = words{
		"LISTEN":       "SYN: somebody calls, and announces the initial sequence number (ISN) from which it counts.",
		"CLOSED":       "SYN: a call to a port where nobody listens. A RST refuses it.",
		PerhapsListen:  "SYN: somebody calls, and announces the initial sequence number (ISN) from which it counts. Whether anybody listens, the answer tells.",
		"SYN-SENT":     "SYN without an ACK: the peer calls while we call it. The SYNs have crossed; this becomes a simultaneous open.",
		"SYN-RECEIVED": "SYN: the call that we have answered, again, if the number is the same; else the caller begins anew.",
		"TIME-WAIT":    "SYN: a new call from the same port. With a number beyond all of the old connection it may begin a new one, before 2 MSL have passed.",
		"":             "SYN inside an open connection: the peer has restarted, or somebody forges. A challenge ACK finds out.",
	}
	synACKSent = words{
		"": "SYN,ACK: our answer. It acknowledges the peer's initial sequence number and announces ours, which the peer has to acknowledge: one segment for what would else be two.",
	}
	synACKReceived = words{
		"SYN-SENT":     "SYN,ACK: the peer's answer. It acknowledges our initial sequence number and announces its own.",
		"SYN-RECEIVED": "SYN,ACK: the peer answers our call, as we have answered its: a simultaneous open.",
		"LISTEN":       "SYN,ACK to a listener, which has called nobody: an answer to an old or forged call. A RST refuses it.",
		"CLOSED":       "SYN,ACK: an answer to a call that we do not know of, or not any more. A RST says so.",
		"":             "SYN,ACK once more: the last segment of the handshake, our ACK, was lost or is late. We acknowledge again.",
	}
	finSent = words{
		"TIME-WAIT": "FIN once more: our half of the stream has ended.",
		"":          "FIN: we have nothing more to send. It takes a sequence number, so that it is acknowledged, and sent again if lost. The peer may go on sending.",
	}
	finReceived = words{
		"ESTABLISHED":  "FIN: the peer has nothing more to send; its half of the stream has ended, and our user reads the end after the last text. Ours goes on until our user closes.",
		"SYN-RECEIVED": "FIN: the peer has called and has nothing more to send already. Its half of the stream ends as soon as the connection is open.",
		"SYN-SENT":     "FIN, but we do not know the peer's numbers yet: it is ignored, and will come again.",
		"FIN-WAIT-1":   "FIN: the peer closes, too. If it acknowledges our FIN as well, both halves have ended; if not, the FINs have crossed on the way.",
		"FIN-WAIT-2":   "FIN: the peer closes, too. Both halves of the stream have ended; we acknowledge it, and stay to repeat that if it is lost.",
		"LISTEN":       "FIN of a connection that is gone: a RST says so if it acknowledges anything.",
		"CLOSED":       "FIN of a connection that we do not know of, or not any more: a RST says so.",
		"":             "FIN once more: our acknowledgment was lost or is late. We acknowledge it again.",
	}
	rstSent = words{
		"LISTEN": "RST: what has come belongs to no connection of ours; its sender need not wait for us.",
		"CLOSED": "RST: there is no such connection here, or not any more. The peer need not wait for us; what it has not had is lost.",
		"":       "RST: what has come can't be of this connection, or the connection ends here and now. Nobody acknowledges a RST.",
	}
	rstReceived = words{
		"SYN-SENT":     "RST: if it acknowledges our SYN, it is from who has received it, and nobody listens there: the call is refused. Else it is ignored.",
		"SYN-RECEIVED": "RST: the caller knows nothing of the call that we have answered, or does not want it any more.",
		"TIME-WAIT":    "RST: ignored, for TIME-WAIT must last (RFC 1337).",
		"LISTEN":       "RST: ignored, for a listener has sent nothing that could be refused.",
		"CLOSED":       "RST for no connection of ours: ignored. A RST is never answered with a RST, or two hosts would go on for ever.",
		"":             "RST: the peer's end of the connection is gone. It is believed only at exactly the next number that we expect (RFC 5961 3).",
	}
	noACK = words{
		"": "No ACK, no SYN, no RST: everything after the first SYN must acknowledge something, so this is ignored.",
	}
	keepAliveSent = words{
		"": "A keep-alive: nothing in it is new, and so the peer must answer with an ACK, if it is still there.",
	}
	keepAliveReceived = words{
		"": "Nothing in it is new: the peer asks whether we are still there (keep-alive), or what our window is. An ACK answers.",
	}
	probeSent = words{
		"": "A window probe: a little text for a window that is closed, or has been too small for long. The ACK to it tells whether there is room now.",
	}
	probeReceived = words{
		"": "A window probe: a little text for which we had no room. Our ACK tells the peer how much there is now.",
	}
	textSent = words{
		"SYN-SENT": "Text, with the acknowledgment that concludes the handshake.",
		"":         "Text. We keep it until the peer has acknowledged it.",
	}
	textReceived = words{
		"SYN-RECEIVED": "Text from a caller for whom the connection is open already: its ACK opens it for us as well, if it acknowledges our SYN.",
		"SYN-SENT":     "Text, but we do not know the peer's numbers yet: it is ignored, and will come again.",
		"FIN-WAIT-1":   textAfterOurFIN,
		"FIN-WAIT-2":   textAfterOurFIN,
		"CLOSE-WAIT":   textAfterTheirFIN,
		"CLOSING":      textAfterTheirFIN,
		"LAST-ACK":     textAfterTheirFIN,
		"TIME-WAIT":    "Text, after both halves have ended: late, or sent again for want of an ACK. TIME-WAIT is there to catch it.",
		"LISTEN":       "Text for a connection that is gone: a RST says so if it acknowledges anything.",
		"CLOSED":       "Text for a connection that we do not know of, or not any more: a RST says so.",
		"":             "Text. What follows without a gap on what has come before is acknowledged and given to our user; what is beyond a gap waits for it to be filled.",
	}
	updateSent = words{
		"": "A window update: our user has read, and the peer may send more.",
	}
	updateReceived = words{
		"": "A window update: the peer's user has read, and we may send more.",
	}
	ackSent = words{
		"SYN-SENT":   "ACK, the third segment of the handshake: we have the peer's initial sequence number. It opens the connection for the peer, who can now be sure that we are where our SYN said.",
		"CLOSE-WAIT": "ACK: we have all that the peer sent, its FIN included. Ours comes when our user closes: hence two segments, where one could say both.",
		"TIME-WAIT":  "ACK: we have all that the peer sent, its FIN included. Nothing acknowledges this one; we stay to repeat it if it is lost.",
		"":           "ACK: it says which number we expect next, and how much room we have. It takes no sequence number, and nobody acknowledges it.",
	}
	ackReceived = words{
		"SYN-SENT":     "ACK, but no SYN: it is not the answer to our call. The peer still has an older connection in mind; a RST ends that one, if this does not acknowledge our SYN.",
		"SYN-RECEIVED": "ACK, the third segment of the handshake, if it acknowledges our initial sequence number: the caller has really had it, and is where its SYN said.",
		"FIN-WAIT-1":   "ACK: if it covers our FIN, our half of the stream has ended, and the peer's goes on.",
		"CLOSING":      "ACK: if it covers our FIN, both halves have ended, and only TIME-WAIT is left.",
		"LAST-ACK":     "ACK: if it covers our FIN, both halves have ended, and so has the connection.",
		"TIME-WAIT":    "ACK, after both halves have ended: a late one. It changes nothing.",
		"LISTEN":       "ACK to a listener, which has sent nothing: it is of a connection that is gone, or answers a SYN cookie of ours. Otherwise a RST refuses it.",
		"CLOSED":       "ACK for a connection that we do not know of, or not any more: a RST says so.",
		"":             "ACK: it says which number the peer expects next, and how much room it has. What it acknowledges need not be kept any more.",
	}
)

const (
	textAfterOurFIN = "Text after our FIN: our half of the stream has ended, the peer's has not. It is taken as before, if our user still reads; if he has " +
		"let go of the connection, a RST tells the peer that it is lost."
	textAfterTheirFIN = "Text after the peer's FIN: nothing can follow the end, so there is nothing new in it, and it is ignored (RFC 9293 3.10.7.4 seventh)."
)
