package explain

import "github.com/tcpd-project/tcpd/pkg/fsm"

// The states before the connection is open.
var (
	synSentCells = [fsm.NumEvents]string{
		fsm.Close: "Our user gives up before the peer has answered. No connection has come about, so there is none to end with a FIN; " +
			"should an answer still come, it gets a RST, since nobody here knows of it.",
		fsm.Abort: "Our user aborts the call. No RST is sent: we do not know yet which number the peer would believe. Should an answer " +
			"still come, it gets one.",
		fsm.ReceiveDropped: "Our user will not read what the peer may send, and still wants to be connected: the call goes on.",
		fsm.BadAck: "The segment acknowledges something other than our SYN: the peer still believes in an older connection between the same " +
			"ports. The RST, with the number that it acknowledges, ends that one at its side; our SYN, sent again, then finds it " +
			"free (RFC 9293 3.5.1).",
		fsm.RcvRST: "The RST acknowledges our SYN, so it is from who has received it: nobody listens there. Our user is told that the " +
			"connection was refused.",
		fsm.RcvSYNACK: "The peer acknowledges our SYN and sends its own: the two ends have agreed on both initial numbers, and for us the " +
			"connection is open. Our ACK, the third segment of the handshake, opens it for the peer.",
		fsm.RcvSYN: "Both ends have called at the same time, and the SYNs have crossed on the way. Each answers with a SYN,ACK, and what " +
			"comes of it is one connection, not two (RFC 9293 3.5, MUST-10).",
		fsm.HardError: hardErrorOpening,
		fsm.GaveUp: "Our SYN was sent again and again, after ever longer waits, and nobody answered (R2). A port without a listener would " +
			"have answered with a RST: the packets vanish on the way, or there is no such host. Our user is told that it timed out.",
	}

	synReceivedCells = [fsm.NumEvents]string{
		fsm.Close:          closeEarly,
		fsm.Abort:          abort,
		fsm.ReceiveDropped: dropped,
		fsm.RcvOldSYN:      oldSYN,
		fsm.BadSeq:         badSeq,
		fsm.RcvRST: "The caller does not know of the call that we have answered: the SYN was an old duplicate, forged, or its user has gone. " +
			"This is what the third segment is for. What was kept for it is forgotten; the listener goes on, and its user has never heard of it.",
		fsm.BadRST: badRST,
		fsm.BadSYN: "The caller begins anew with another initial number: what we have answered is not what it wants any more. The half-open " +
			"connection goes, the listener is there as before, and takes the new SYN when it comes again (RFC 9293 3.10.7.4 fourth).",
		fsm.SYNAcked: "The third segment acknowledges our initial sequence number: the caller has really received our SYN,ACK, so it is no old " +
			"duplicate and no forged address. The connection is open, and our user gets it.",
		fsm.BadAck: notOurSYN,
		fsm.HardError: "A router, or the caller's host, says by ICMP that our SYN,ACK can't be delivered: the half-open connection is forgotten. " +
			"Its user has never heard of it, and is told nothing.",
		fsm.GaveUp: "Our SYN,ACK was sent again and again, and nobody acknowledged it: the caller has gone, or was never there. A flood of SYNs " +
			"with forged addresses leaves many of these. It is forgotten, and nobody needs to be told.",
	}

	simultaneousCells = [fsm.NumEvents]string{
		fsm.Close:          closeEarly,
		fsm.Abort:          abort,
		fsm.ReceiveDropped: dropped,
		fsm.RcvOldSYN:      oldSYN,
		fsm.BadSeq:         badSeq,
		fsm.RcvRST: "We have called each other, and now the peer's RST says that its call is no more. Unlike a listener's, this connection was " +
			"asked for by our user, who is told that it was refused.",
		fsm.BadRST: badRST,
		fsm.BadSYN: badSYN,
		fsm.SYNAcked: "The peer acknowledges our SYN, as we have acknowledged its: the connection that both ends called for is open. It took " +
			"four segments instead of three, since nobody's SYN was an answer.",
		fsm.BadAck:    notOurSYN,
		fsm.HardError: hardErrorOpening,
		fsm.GaveUp: "The peer has called us as we have called it, but does not acknowledge our SYN, however often it is sent (R2). Our user, " +
			"who asked for the connection, is told that it timed out.",
	}
)

const closeEarly = "Our user closes before the peer has acknowledged our SYN. The FIN takes its place in the stream, after the SYN and any text, " +
	"and numbers are acknowledged in order: so we can say at once that we are closing, and FIN-WAIT-1 waits for both acknowledgments."

var establishedCells = [fsm.NumEvents]string{
	fsm.Close: "Our user has nothing more to send. The FIN says so, after the last text; it has a sequence number, so that it is acknowledged, and " +
		"sent again if it is lost, as text is. Only our half of the stream ends: the peer may go on sending.",
	fsm.CloseUnread:    unread,
	fsm.Abort:          abort,
	fsm.ReceiveDropped: dropped,
	fsm.BadSeq:         badSeq,
	fsm.RcvRST:         reset,
	fsm.BadRST:         badRST,
	fsm.BadSYN:         badSYN,
	fsm.BadAck:         badAck,
	fsm.RcvFIN: "The peer has nothing more to send: its half of the stream has ended, ours has not. Until our user closes, too, the connection is " +
		"half-closed: that is what CLOSE-WAIT is for, and why closing takes four segments and not three.",
	fsm.HardError: hardError,
	fsm.GaveUp:    gaveUp,
}
