package fsm

type cell struct {
	next State
	do   Action
	ref  string
}

// table is the machine. A state's row lists every event that can reach it. What the rows decide where the text
// leaves a choice, or where this machine departs from it:
//
//   - SYN-RECEIVED of a passive open ends in CLOSED where the text returns to LISTEN: each SYN gets a connection of
//     its own, and the listener has never left LISTEN. Its user has not been told of it yet, and is told nothing.
//   - Close in SYN-RECEIVED goes to FIN-WAIT-1 at once, as Figure 5 draws it. Where text is queued, section 3.10.4
//     has the caller withhold Close until after SYNAcked.
//   - A FIN on a SYN waits: the caller reports RcvFIN only after SYNAcked (section 3.10.7.2, "queued for
//     processing later"), so CLOSE-WAIT never has its SYN outstanding.
//   - RcvOldSYN is answered with the SYN,ACK again, not with the empty ACK that section 3.10.7.4 has for any
//     unacceptable segment: a peer still in SYN-SENT would drop it.
//   - BadAck in SYN-RECEIVED is answered with RST, as section 3.5.2 (group 2) and the state's own paragraph have it;
//     the ACK of RFC 5961 section 5 is for synchronized states.
//   - A RST in SYN-SENT signals "connection refused" as it does in SYN-RECEIVED, not "connection reset".
//   - Who sends a RST goes to CLOSED, as section 3.10.5 says; TIME-WAIT (section 3.5.2, Note 3 of Figure 5) is only
//     advice.
//   - LAST-ACK and CLOSING send RST when aborted and signal a RST received, though the text says "ok": they are
//     entered when the FIN is queued, not when it is sent, and a silent end would strand the peer or hide lost text
//     from the user (MUST-12).
//   - TIME-WAIT ignores RST (RFC 1337, fix 1), not "enter CLOSED": MUST-13 wants it to last.
//   - The FIN-WAIT-2 timer is local policy (tcp_fin_timeout elsewhere); no RFC has it.
//   - ICMP hard errors end a connection only while it opens (RFC 5461, RFC 5927 section 5.2).
var table = [numStates][numEvents]cell{
	Closed: {
		OpenPassive:    {Listen, 0, "3.10.1"},
		OpenActive:     {SynSent, SendSYN, "3.10.1"},
		Close:          {Closed, 0, "3.10.4"}, // error "connection does not exist"
		CloseUnread:    {Closed, 0, "3.10.4"},
		Abort:          {Closed, 0, "3.10.5"},
		ReceiveDropped: {Closed, 0, "3.10.3"},
	},
	Listen: {
		OpenActive: {SynSent, SendSYN, "3.10.1"},
		Close:      {Closed, Release, "3.10.4"},
		Abort:      {Closed, Release, "3.10.5"},
		RcvRST:     {Listen, 0, "3.10.7.2 first"},
		BadAck:     {Listen, SendRST, "3.10.7.2 second"},
		RcvSYN:     {SynRcvd, SendSYNACK, "3.10.7.2 third"},
	},
	SynSent: {
		Close:          {Closed, Release, "3.10.4"},
		Abort:          {Closed, Release, "3.10.5"},
		ReceiveDropped: {SynSent, 0, "3.6.1"},
		BadAck:         {SynSent, SendRST, "3.10.7.3 first"},
		RcvRST:         {Closed, SignalRefused | Release, "3.10.7.3 second"},
		RcvSYNACK:      {Established, SendACK | SignalOpen, "3.10.7.3 fourth"},
		RcvSYN:         {SynRcvdOpen, SendSYNACK, "3.10.7.3 fourth"},
		HardError:      {Closed, SignalUnreachable | Release, "3.9.2.2"},
		GaveUp:         {Closed, SignalTimeout | Release, "3.10.8"},
	},
	SynRcvd: {
		Close:          {FinWait1, QueueFIN, "3.10.4"},
		Abort:          {Closed, SendRST | Release, "3.10.5"},
		ReceiveDropped: {SynRcvd, 0, "3.6.1"},
		RcvOldSYN:      {SynRcvd, SendSYNACK, "3.10.7.4 first"},
		BadSeq:         {SynRcvd, SendACK, "3.10.7.4 first"},
		RcvRST:         {Closed, Release, "3.10.7.4 second"},
		BadRST:         {SynRcvd, ChallengeACK, "3.10.7.4 second"},
		BadSYN:         {Closed, Release, "3.10.7.4 fourth"},
		SYNAcked:       {Established, SignalOpen, "3.10.7.4 fifth"},
		BadAck:         {SynRcvd, SendRST, "3.10.7.4 fifth"},
		HardError:      {Closed, Release, "3.9.2.2"},
		GaveUp:         {Closed, Release, "3.10.8"},
	},
	SynRcvdOpen: {
		Close:          {FinWait1, QueueFIN, "3.10.4"},
		Abort:          {Closed, SendRST | Release, "3.10.5"},
		ReceiveDropped: {SynRcvdOpen, 0, "3.6.1"},
		RcvOldSYN:      {SynRcvdOpen, SendSYNACK, "3.10.7.4 first"},
		BadSeq:         {SynRcvdOpen, SendACK, "3.10.7.4 first"},
		RcvRST:         {Closed, SignalRefused | Release, "3.10.7.4 second"},
		BadRST:         {SynRcvdOpen, ChallengeACK, "3.10.7.4 second"},
		BadSYN:         {SynRcvdOpen, ChallengeACK, "3.10.7.4 fourth"},
		SYNAcked:       {Established, SignalOpen, "3.10.7.4 fifth"},
		BadAck:         {SynRcvdOpen, SendRST, "3.10.7.4 fifth"},
		HardError:      {Closed, SignalUnreachable | Release, "3.9.2.2"},
		GaveUp:         {Closed, SignalTimeout | Release, "3.10.8"},
	},
	Established: {
		Close:          {FinWait1, QueueFIN, "3.10.4"},
		CloseUnread:    {Closed, SendRST | Release, "3.6.1"},
		Abort:          {Closed, SendRST | Release, "3.10.5"},
		ReceiveDropped: {Established, 0, "3.6.1"},
		BadSeq:         {Established, SendACK, "3.10.7.4 first"},
		RcvRST:         {Closed, SignalReset | Release, "3.10.7.4 second"},
		BadRST:         {Established, ChallengeACK, "3.10.7.4 second"},
		BadSYN:         {Established, ChallengeACK, "3.10.7.4 fourth"},
		BadAck:         {Established, ChallengeACK, "RFC 5961 5"},
		RcvFIN:         {CloseWait, SendACK | SignalEOF, "3.10.7.4 eighth"},
		HardError:      {Established, 0, "3.9.2.2"},
		GaveUp:         {Closed, SignalTimeout | Release, "3.10.8"},
	},
	FinWait1: {
		Close:          {FinWait1, 0, "3.10.4"}, // error "connection closing"
		CloseUnread:    {Closed, SendRST | Release, "3.6.1"},
		Abort:          {Closed, SendRST | Release, "3.10.5"},
		ReceiveDropped: {FinWait1, 0, "3.6.1"},
		RcvOldSYN:      {FinWait1, SendSYNACK, "3.10.7.4 first"}, // closed while SYN-RECEIVED
		BadSeq:         {FinWait1, SendACK, "3.10.7.4 first"},
		RcvRST:         {Closed, SignalReset | Release, "3.10.7.4 second"},
		BadRST:         {FinWait1, ChallengeACK, "3.10.7.4 second"},
		BadSYN:         {FinWait1, ChallengeACK, "3.10.7.4 fourth"},
		SYNAcked:       {FinWait1, 0, "3.10.7.4 fifth"}, // closed while SYN-RECEIVED
		FINAcked:       {FinWait2, StartFinWait, "3.10.7.4 fifth"},
		BadAck:         {FinWait1, ChallengeACK, "RFC 5961 5"},
		BadAckEarly:    {FinWait1, SendRST, "3.5.2"}, // closed while SYN-RECEIVED
		RcvLateData:    {Closed, SendRST | SignalReset | Release, "3.6.1"},
		RcvFIN:         {Closing, SendACK | SignalEOF, "3.10.7.4 eighth"},
		HardError:      {FinWait1, 0, "3.9.2.2"},
		GaveUp:         {Closed, SignalTimeout | Release, "3.10.8"},
	},
	FinWait2: {
		Close:          {FinWait2, 0, "3.10.4"},
		CloseUnread:    {Closed, SendRST | Release, "3.6.1"},
		Abort:          {Closed, SendRST | Release, "3.10.5"},
		ReceiveDropped: {FinWait2, StartFinWait, "3.6.1"},
		BadSeq:         {FinWait2, SendACK, "3.10.7.4 first"},
		RcvRST:         {Closed, SignalReset | Release, "3.10.7.4 second"},
		BadRST:         {FinWait2, ChallengeACK, "3.10.7.4 second"},
		BadSYN:         {FinWait2, ChallengeACK, "3.10.7.4 fourth"},
		BadAck:         {FinWait2, ChallengeACK, "RFC 5961 5"},
		RcvLateData:    {Closed, SendRST | SignalReset | Release, "3.6.1"},
		RcvFIN:         {TimeWait, SendACK | SignalEOF | StartTimeWait, "3.10.7.4 eighth"},
		HardError:      {FinWait2, 0, "3.9.2.2"},
		GaveUp:         {Closed, SignalTimeout | Release, "3.10.8"},
		FinWaitTimeout: {Closed, Release, "3.6.1"},
	},
	CloseWait: {
		Close:          {LastAck, QueueFIN, "3.10.4"},
		CloseUnread:    {Closed, SendRST | Release, "3.6.1"},
		Abort:          {Closed, SendRST | Release, "3.10.5"},
		ReceiveDropped: {CloseWait, 0, "3.6.1"},
		BadSeq:         {CloseWait, SendACK, "3.10.7.4 first"},
		RcvOldFIN:      {CloseWait, SendACK, "3.10.7.4 eighth"},
		RcvRST:         {Closed, SignalReset | Release, "3.10.7.4 second"},
		BadRST:         {CloseWait, ChallengeACK, "3.10.7.4 second"},
		BadSYN:         {CloseWait, ChallengeACK, "3.10.7.4 fourth"},
		BadAck:         {CloseWait, ChallengeACK, "RFC 5961 5"},
		HardError:      {CloseWait, 0, "3.9.2.2"},
		GaveUp:         {Closed, SignalTimeout | Release, "3.10.8"},
	},
	Closing: {
		Close:          {Closing, 0, "3.10.4"},
		CloseUnread:    {Closed, SendRST | Release, "3.6.1"},
		Abort:          {Closed, SendRST | Release, "3.10.5"},
		ReceiveDropped: {Closing, 0, "3.6.1"},
		BadSeq:         {Closing, SendACK, "3.10.7.4 first"},
		RcvOldFIN:      {Closing, SendACK, "3.10.7.4 eighth"},
		RcvRST:         {Closed, SignalReset | Release, "3.10.7.4 second"},
		BadRST:         {Closing, ChallengeACK, "3.10.7.4 second"},
		BadSYN:         {Closing, ChallengeACK, "3.10.7.4 fourth"},
		FINAcked:       {TimeWait, StartTimeWait, "3.10.7.4 fifth"},
		BadAck:         {Closing, ChallengeACK, "RFC 5961 5"},
		HardError:      {Closing, 0, "3.9.2.2"},
		GaveUp:         {Closed, SignalTimeout | Release, "3.10.8"},
	},
	LastAck: {
		Close:          {LastAck, 0, "3.10.4"},
		CloseUnread:    {Closed, SendRST | Release, "3.6.1"},
		Abort:          {Closed, SendRST | Release, "3.10.5"},
		ReceiveDropped: {LastAck, 0, "3.6.1"},
		BadSeq:         {LastAck, SendACK, "3.10.7.4 first"},
		RcvOldFIN:      {LastAck, SendACK, "3.10.7.4 eighth"},
		RcvRST:         {Closed, SignalReset | Release, "3.10.7.4 second"},
		BadRST:         {LastAck, ChallengeACK, "3.10.7.4 second"},
		BadSYN:         {LastAck, ChallengeACK, "3.10.7.4 fourth"},
		FINAcked:       {Closed, Release, "3.10.7.4 fifth"},
		BadAck:         {LastAck, ChallengeACK, "RFC 5961 5"},
		HardError:      {LastAck, 0, "3.9.2.2"},
		GaveUp:         {Closed, SignalTimeout | Release, "3.10.8"},
	},
	TimeWait: {
		Close:          {TimeWait, 0, "3.10.4"},
		CloseUnread:    {TimeWait, 0, "3.6.1"}, // all text was acknowledged: a RST would only end the wait
		Abort:          {Closed, Release, "3.10.5"},
		ReceiveDropped: {TimeWait, 0, "3.6.1"},
		BadSeq:         {TimeWait, SendACK, "3.10.7.4 first"},
		RcvOldFIN:      {TimeWait, SendACK | StartTimeWait, "3.10.7.4 eighth"},
		RcvRST:         {TimeWait, 0, "RFC 1337 3"},
		BadRST:         {TimeWait, 0, "RFC 1337 3"},
		NewSYN:         {Closed, Release | Redeliver, "3.6.1"},
		BadSYN:         {TimeWait, ChallengeACK, "3.10.7.4 fourth"},
		BadAck:         {TimeWait, ChallengeACK, "RFC 5961 5"},
		HardError:      {TimeWait, 0, "3.9.2.2"},
		TwoMSL:         {Closed, Release, "3.10.8"},
	},
}

// traits is what the user may do, and what the peer may still send, in each state.
var traits = [numStates]struct{ send, receive, synchronized bool }{
	SynSent:     {send: true}, // queued until ESTABLISHED (section 3.10.2)
	SynRcvd:     {send: true},
	SynRcvdOpen: {send: true},
	Established: {send: true, receive: true, synchronized: true},
	FinWait1:    {receive: true, synchronized: true},
	FinWait2:    {receive: true, synchronized: true},
	CloseWait:   {send: true, synchronized: true},
	Closing:     {synchronized: true},
	LastAck:     {synchronized: true},
	TimeWait:    {synchronized: true},
}

// CanSend reports whether the user may SEND: text is sent, or queued until the connection is open (section 3.10.2).
func (s State) CanSend() bool { return traits[s].send }

// CanReceive reports whether text from the peer is processed (section 3.10.7.4 seventh).
func (s State) CanReceive() bool { return traits[s].receive }

// Synchronized reports whether the state is in group 3 of section 3.5.2. Both SYNs have been acknowledged there, but
// for a FIN-WAIT-1 entered from SYN-RECEIVED.
func (s State) Synchronized() bool { return traits[s].synchronized }
