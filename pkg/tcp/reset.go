package tcp

// replyRST answers the segment with a RST that belongs to no stream: <SEQ=SEG.ACK><CTL=RST> (section 3.5.2).
func (c *Conn) replyRST(x *Env, g *Segment) {
	if r, ok := ResetFor(g); ok {
		x.reply(r)
	}
}

func (x *Env) reply(g Segment) { x.Reply, x.ReplyDue = g, true }

// ResetFor is the RST that answers a segment which belongs to no connection (section 3.10.7.1); ports included. ok is
// false for a RST, which nothing answers.
func ResetFor(g *Segment) (r Segment, ok bool) {
	if g.Flags&RST != 0 {
		return Segment{}, false
	}
	r = Segment{SrcPort: g.DstPort, DstPort: g.SrcPort, Flags: RST | ACK, Ack: g.End()}
	if g.Flags&ACK != 0 {
		r.Flags, r.Seq, r.Ack = RST, g.Ack, 0
	}
	return r, true
}
