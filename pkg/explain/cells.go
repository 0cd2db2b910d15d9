package explain

import "github.com/tcpd-project/tcpd/pkg/fsm"

// What means the same in many states.
const (
	badSeq = "The segment lies outside of our receive window: it is old, has come twice, or is forged. Nothing of it is taken; " +
		"the ACK says which number we expect next, so that a peer who is really there can find its place again."
	badRST = "The RST lies in our window, but not at exactly the next number that we expect. A stranger who guesses can hit the window; " +
		"only the peer is sure of the number. So the RST ends nothing: our challenge ACK asks, and a peer that has really reset " +
		"answers it with a RST at the right number (RFC 5961 3.2)."
	badSYN = "A SYN on a connection that has had one: the peer has restarted and knows nothing of it, or the SYN is forged. Our " +
		"challenge ACK finds out: a peer that has lost the connection answers it with a RST, and can then begin anew (RFC 5961 4.2)."
	badAck = "The segment acknowledges what we have never sent, or what was acknowledged too long ago to be believed: it is of another " +
		"connection or is forged by somebody who guesses. Neither its ACK nor its text is taken; a challenge ACK says where we stand (RFC 5961 5.2)."
	notOurSYN = "The segment acknowledges something other than our SYN, so it speaks of another connection than the one that is opening. " +
		"While the two ends have not agreed on their numbers yet, the answer is a RST; our SYN stands (RFC 9293 3.5.2, group 2)."
	oldSYN = "The peer repeats its SYN: our SYN,ACK was lost, or is late. It goes out again, whole; an ACK alone would tell a peer " +
		"that is still in SYN-SENT nothing about our initial sequence number."
	oldFIN = "The peer repeats its FIN: our acknowledgment was lost, or is late. We acknowledge it again."
	abort  = "The connection is given up: by our user, by whoever runs tcpd, or, once our user has let go of it, when our patience ends. The RST tells the peer at once; text that is queued or unread is lost, and since nobody " +
		"acknowledges a RST there is nothing left to wait for, no TIME-WAIT either."
	unread = "Our user lets go of the connection with text unread. An orderly FIN would let the peer believe that all it sent has been " +
		"used; the RST says that some of it is lost (RFC 2525 2.17)."
	reset = "The RST stands at exactly the number that we expect, so it is the peer's: its end of the connection is gone, aborted by its " +
		"user or lost in a restart. There is nobody left to send to; our user, if he still holds the connection, is told that it was reset."
	gaveUp = "What we sent was not acknowledged, or what we asked not answered, for longer than we are willing to wait (R2, the user " +
		"time-out, keep-alive, or the patience with a connection that its user has let go of). The peer is taken for gone; our user, if " +
		"he still holds it, is told, and nobody else could be."
	hardError = "A router, or the peer's host, says by ICMP that this can't be delivered. Once a connection is open that ends nothing: " +
		"anybody who guesses the ports could have sent it (RFC 5927 5.2). It is kept as the reason, should the peer stay silent."
	hardErrorOpening = "A router, or the peer's host, says by ICMP that our SYN can't be delivered. While a connection opens that is believed, if " +
		"the message quotes what we have in flight: our user is told that the peer is unreachable, and need not wait for a time-out."
	dropped = "Our user will read no more. The peer can't be told, TCP has no segment for it: what still comes is acknowledged and thrown away."
	again   = "Our user has closed already; our FIN can't be sent for a second time, so the call is an error and changes nothing."
	noLate  = "New text comes after our user has let go of the connection: nobody will ever read it. To acknowledge it would be a lie; " +
		"the RST tells the peer that it is lost, and our user's half ends with it."
)

// cells has a sentence where the table of package fsm has a cell.
var cells = [fsm.NumStates][fsm.NumEvents]string{
	fsm.Closed: {
		fsm.OpenPassive: "Our user waits for whoever calls. Nothing is sent: a listener is an address, a port and patience, until a SYN comes.",
		fsm.OpenActive: "Our user calls the peer: our SYN announces the initial sequence number (ISN) from which we count what we send. " +
			"Nobody who can't see our segments can guess it, so nobody can forge one that fits (RFC 6528); and it moves on with the " +
			"clock, so that an old segment of an earlier connection between the same ports is not taken for one of this.",
		fsm.Close:          "There is no connection to close: our user is told so, and nothing is sent.",
		fsm.CloseUnread:    "There is no connection to close any more, whatever was unread: nothing is sent.",
		fsm.Abort:          "There is no connection to abort: our user is told so, and nothing is sent.",
		fsm.ReceiveDropped: "There is no connection to read from: nothing changes.",
	},
	fsm.Listen: {
		fsm.OpenActive: "Our user, who waited for a call, calls himself: the passive open becomes an active one, and our SYN goes out with an " +
			"initial sequence number that nobody can guess.",
		fsm.Close: "Our user no longer waits for calls. A listener has spoken to nobody, so there is nobody to tell.",
		fsm.Abort: "Our user gives up waiting for calls. A listener has spoken to nobody, so there is nobody to reset.",
		fsm.RcvRST: "A RST can mean nothing to a listener: it has sent nothing that could be refused. It is an old one, or was meant for a " +
			"connection that is gone, and is ignored.",
		fsm.BadAck: "The segment acknowledges something, but a listener has never sent anything: it is left over from an older connection. " +
			"The RST tells its sender that this connection is gone; it takes its number from the ACK, so that it will be believed.",
		fsm.RcvSYN: "Somebody calls: the SYN gives the initial sequence number (ISN) of the peer. Our SYN,ACK acknowledges it and gives ours. " +
			"The connection is not open yet: only the acknowledgment of our ISN shows that the SYN was no old duplicate, and that " +
			"the caller is where it says it is.",
	},
	fsm.SynSent:     synSentCells,
	fsm.SynRcvd:     synReceivedCells,
	fsm.SynRcvdOpen: simultaneousCells,
	fsm.Established: establishedCells,
	fsm.FinWait1:    finWait1Cells,
	fsm.FinWait2:    finWait2Cells,
	fsm.CloseWait:   closeWaitCells,
	fsm.Closing:     closingCells,
	fsm.LastAck:     lastAckCells,
	fsm.TimeWait:    timeWaitCells,
}
