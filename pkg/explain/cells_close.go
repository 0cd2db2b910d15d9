package explain

import "github.com/tcpd-project/tcpd/pkg/fsm"

// The states in which one half of the stream has ended, or both.
var (
	finWait1Cells = [fsm.NumEvents]string{
		fsm.Close:          again,
		fsm.CloseUnread:    unread,
		fsm.Abort:          abort,
		fsm.ReceiveDropped: dropped,
		fsm.RcvOldSYN:      oldSYN,
		fsm.BadSeq:         badSeq,
		fsm.RcvRST:         reset,
		fsm.BadRST:         badRST,
		fsm.BadSYN:         badSYN,
		fsm.SYNAcked: "The peer acknowledges our SYN, but not our FIN yet: our user closed before the connection was open. It is open now, and " +
			"closing; what is left to wait for is the acknowledgment of the FIN.",
		fsm.FINAcked: "The peer has all that we sent, and knows that nothing more comes: our half of the stream has ended. Its half goes on until " +
			"its user closes, too, however long that takes. If nobody here would read it, fin_timeout (tcp_fin_timeout in Linux) ends the wait.",
		fsm.BadAck: badAck,
		fsm.BadAckEarly: "The segment acknowledges something other than our SYN, which our user has closed behind before it was acknowledged: it speaks " +
			"of another connection. As long as the SYN is not acknowledged the answer is a RST, as while opening (RFC 9293 3.5.2).",
		fsm.RcvLateData: noLate,
		fsm.RcvFIN: "Both ends have closed at the same time: the FINs have crossed on the way, and the peer's comes before the acknowledgment of ours. " +
			"We acknowledge it. Both streams have ended, and only the acknowledgment of our FIN is missing.",
		fsm.HardError: hardError,
		fsm.GaveUp:    gaveUp,
	}

	finWait2Cells = [fsm.NumEvents]string{
		fsm.Close:       again,
		fsm.CloseUnread: unread,
		fsm.Abort:       abort,
		fsm.ReceiveDropped: "Our user, who has closed, will not read either: nobody here waits for anything any more. So the FIN-WAIT-2 timer " +
			"starts; for a user who still reads there is none, since a half-closed connection may last (RFC 9293 3.6.1).",
		fsm.BadSeq:      badSeq,
		fsm.RcvRST:      reset,
		fsm.BadRST:      badRST,
		fsm.BadSYN:      badSYN,
		fsm.BadAck:      badAck,
		fsm.RcvLateData: noLate,
		fsm.RcvFIN: "The peer closes, too: both halves of the stream have ended, and our ACK is the fourth and last segment. Nobody acknowledges an " +
			"ACK, so we can't know whether it arrives: we stay for 2 MSL, to repeat it should the FIN come again, and until old " +
			"segments have died that a new connection between the same ports could take for its own.",
		fsm.HardError: hardError,
		fsm.GaveUp:    gaveUp,
		fsm.FinWaitTimeout: "Our user has let go, and the peer has not closed within fin_timeout (tcp_fin_timeout in Linux). No RFC has this timer: " +
			"without it a peer that never closes would cost us a connection for ever. Nothing is sent; a segment that still comes gets " +
			"a RST. It sets nothing else: the length of TIME-WAIT is 2 MSL.",
	}

	closeWaitCells = [fsm.NumEvents]string{
		fsm.Close: "Our user closes as well: our FIN ends the other half of the stream. The peer has closed before, so it is the peer that will keep " +
			"TIME-WAIT; for us it ends with the acknowledgment of our FIN.",
		fsm.CloseUnread:    unread,
		fsm.Abort:          abort,
		fsm.ReceiveDropped: "Our user will read no more. The peer has ended its half of the stream, so nothing more would come; what is unread is thrown away.",
		fsm.BadSeq:         badSeq,
		fsm.RcvOldFIN:      oldFIN,
		fsm.RcvRST:         reset,
		fsm.BadRST:         badRST,
		fsm.BadSYN:         badSYN,
		fsm.BadAck:         badAck,
		fsm.HardError:      hardError,
		fsm.GaveUp:         gaveUp,
	}

	closingCells = [fsm.NumEvents]string{
		fsm.Close:          again,
		fsm.CloseUnread:    unread,
		fsm.Abort:          abort,
		fsm.ReceiveDropped: "Our user will read no more. Both ends have sent their FIN, so nothing more would come; what is unread is thrown away.",
		fsm.BadSeq:         badSeq,
		fsm.RcvOldFIN:      oldFIN,
		fsm.RcvRST:         reset,
		fsm.BadRST:         badRST,
		fsm.BadSYN:         badSYN,
		fsm.FINAcked: "The peer acknowledges our FIN; we have acknowledged its, but can't know whether it has heard that. As both closed at the same time, " +
			"both stay in TIME-WAIT for 2 MSL, to repeat the ACK for a FIN that comes again, and until old segments have died.",
		fsm.BadAck:    badAck,
		fsm.HardError: hardError,
		fsm.GaveUp:    gaveUp,
	}

	lastAckCells = [fsm.NumEvents]string{
		fsm.Close:          again,
		fsm.CloseUnread:    unread,
		fsm.Abort:          abort,
		fsm.ReceiveDropped: "Our user will read no more. The peer has ended its half of the stream long ago; what is unread is thrown away.",
		fsm.BadSeq:         badSeq,
		fsm.RcvOldFIN:      oldFIN,
		fsm.RcvRST:         reset,
		fsm.BadRST:         badRST,
		fsm.BadSYN:         badSYN,
		fsm.FINAcked: "The last acknowledgment: the peer has our FIN, and all before it. Nothing of ours is left to repeat, so nothing is kept here; " +
			"the peer, who closed first and sent this ACK, keeps TIME-WAIT.",
		fsm.BadAck:    badAck,
		fsm.HardError: hardError,
		fsm.GaveUp:    gaveUp,
	}

	timeWaitCells = [fsm.NumEvents]string{
		fsm.Close: again,
		fsm.CloseUnread: "Our user lets go with text unread. The peer has had its acknowledgment for all of it, and is gone; a RST would only cut the wait " +
			"short that protects the next connection.",
		fsm.Abort:          "Our user ends the wait. Both streams have ended in order, so there is nobody to reset: the connection is forgotten.",
		fsm.ReceiveDropped: "Our user will read no more. Both streams have ended, and the wait has nothing to do with reading: it goes on.",
		fsm.BadSeq: "A late segment of this connection, or one that was sent again for want of an answer: TIME-WAIT is there to catch it, so that no " +
			"new connection between the same ports takes it for its own. The ACK says that all has come.",
		fsm.RcvOldFIN: "The peer repeats its FIN: our last ACK was lost. For this we have stayed. We acknowledge it again, and wait 2 MSL from now on, " +
			"since this ACK may be lost, too.",
		fsm.RcvRST: "A RST is ignored: it may be an old one, and to let it end the wait would let old segments into the next connection between the " +
			"same ports (TIME-WAIT assassination, RFC 1337).",
		fsm.BadRST: "A RST that is not even at the number that we expect is ignored, and not asked about: nothing but 2 MSL, or a new connection, ends " +
			"TIME-WAIT (RFC 1337).",
		fsm.NewSYN: "The peer calls again from the same port, with numbers that lie beyond all of the old connection, or newer timestamps: no old " +
			"segment could be mistaken for one of the new connection's, so the wait may end early (RFC 9293 3.6.1 MAY-2, RFC 6191). The " +
			"listener gets the SYN.",
		fsm.BadSYN: badSYN,
		fsm.BadAck: badAck,
		fsm.HardError: "A router says by ICMP that something can't be delivered. All has been delivered and acknowledged but, perhaps, our last ACK: " +
			"the wait goes on.",
		fsm.TwoMSL: "2 MSL have passed: our last ACK has arrived, or the peer has long given up asking for it, and no segment of this connection lives in " +
			"the network any more. The ports may be used again. (The MSL is 2 minutes in RFC 9293, 30 seconds by tcpd's msl setting.)",
	}
)
