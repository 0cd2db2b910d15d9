package tcptest

import (
	"encoding/binary"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// offence breaks a rule of the watcher's: the peer, who acts by hand, sends what it must not. What comes before is as it
// should be.
type offence struct {
	opt    tcp.Options // of the peer's SYN; all, if none
	host   HostOptions
	closed bool // no connection is open before
	commit func(p *byHand)
}

// plain is a SYN with nothing that is agreed upon.
var plain = tcp.Options{Has: tcp.HasMSS, MSS: 1460}

// narrow is a host with a receive buffer of 2 KiB, and no more.
func narrow() HostOptions {
	return setting(func(s *tcp.Settings) { s.ReceiveBuffer, s.ReceiveBufferMax, s.WindowScale = 2048, 0, false })
}

func setting(change func(s *tcp.Settings)) HostOptions {
	s := tcp.Defaults()
	change(&s)
	return HostOptions{TCP: &s}
}

// ack sends an ACK of the peer's with something changed.
func ack(change func(p *byHand, g *tcp.Segment)) func(p *byHand) {
	return func(p *byHand) {
		g := tcp.Segment{Seq: p.seq(p.high), Flags: tcp.ACK}
		p.fill(&g)
		change(p, &g)
		p.World.send(p.peer, p.packet(&g), 0)
	}
}

// heard has the peer send n bytes, which the host acknowledges.
func (p *byHand) heard(n int) {
	p.text(p.high, n)
	p.Run(100 * ms)
	p.take()
}

// raw sends an ACK with options given as bytes, and other reserved bits.
func (p *byHand) raw(options []byte, reserved byte) {
	g := tcp.Segment{Seq: p.seq(p.high), Flags: tcp.ACK}
	p.fill(&g)
	g.Options = tcp.Options{}
	packet := buildRaw(p.flow, &g, options, 0, nil)
	seg := packet[ip.HeaderLen:]
	seg[12] |= reserved
	seg[16], seg[17] = 0, 0
	binary.BigEndian.PutUint16(seg[16:], ^ip.Fold(ip.Sum(seg, ip.PseudoSum(p.flow.Local, p.flow.Remote, ip.ProtoTCP, len(seg)))))
	p.World.send(p.peer, packet, 0)
}

// gap has the host send three segments, the second of which is lost.
func (p *byHand) gap() {
	path, k := p.host.paths[p.peer.number()], 0
	see := path.Filter
	path.Filter = func(f *Frame) Verdict {
		if k++; k == 2 {
			return Lose
		}
		return see(f)
	}
	p.write(3 * 1448)
}

// offences are by the rule that they break.
var offences = map[string]offence{
	"before its SYN":    {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Seq -= 10 })},
	"leaves out %d..%d": {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Seq += 10 })},
	"its FIN was at %d": {commit: func(p *byHand) {
		p.heard(10)
		ack(func(_ *byHand, g *tcp.Segment) { g.Flags |= tcp.FIN })(p)
		p.text(10, 10)
	}},
	"%d beyond the window, which ends at %d": {host: narrow(), opt: plain, commit: func(p *byHand) {
		p.user.Paused = true
		p.text(0, 1400)
		p.text(1400, 700)
	}},
	"a FIN beyond the window, which ends at %d": {host: narrow(), opt: plain, commit: func(p *byHand) {
		p.user.Paused = true
		p.text(0, 1400)
		g := p.piece(1400, 648)
		g.Flags |= tcp.FIN
		p.send(g)
	}},
	"beyond the window, which ends at %d": {host: narrow(), opt: plain, commit: func(p *byHand) {
		p.user.Paused = true
		p.text(0, 1400)
		p.text(1400, 648)
		p.text(2048, 1) // a probe
		p.reply()
	}},
	"a superframe of one segment": {commit: func(p *byHand) {
		g := p.piece(0, 100)
		p.fill(&g)
		p.World.send(p.peer, p.packet(&g), 100)
	}},
	"the peer's MSS is %d, options are %d": {host: HostOptions{MTU: 576}, commit: func(p *byHand) { p.text(0, 1000) }},
	"byte %d is not what was written": {commit: func(p *byHand) {
		g := p.piece(0, 100)
		g.Text[50]++
		p.send(g)
	}},
	"up to %d has come":                      {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Ack++ })},
	"the right edge goes back from %d to %d": {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Window /= 2 })},
	"an option of a SYN":                     {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Options.Has, g.Options.MSS = tcp.HasMSS, 1460 })},
	"timestamps were agreed: %v":             {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Options.Has = 0 })},
	"TSecr without ACK":                      {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Flags, g.Options.TSEcr = tcp.PSH, 1 })},
	"flags":                                  {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Flags |= tcp.SYN | tcp.FIN })},
	"an option that the peer's SYN has not": {host: setting(func(s *tcp.Settings) { s.SACK = false }), closed: true, commit: func(p *byHand) {
		p.user = p.host.Dial(p.peer, 5000, 0)
		p.Run(0)
		p.flow.RemotePort = p.one().SrcPort
		p.take()
		p.syn(tcp.SYN | tcp.ACK)
	}},
	"SACK was not agreed": {opt: plain, commit: func(p *byHand) {
		p.gap()
		p.selects(1460, [2]int{2920, 3000})
	}},
	"of a connection that vanished with its host": {commit: func(p *byHand) {
		p.peer.vanish()
		p.reply()
	}},

	"what has come has a hole at %d": {commit: func(p *byHand) {
		p.gap()
		p.selects(2 * 1448)
	}},
	"it has acknowledged up to %d": {commit: func(p *byHand) {
		p.write(1000)
		p.selects(1000)
		ack(func(p *byHand, g *tcp.Segment) { g.Ack, g.Window = p.irs.Add(501), g.Window+5 })(p)
	}},
	"up to %d was acknowledged": {commit: func(p *byHand) {
		p.heard(1000)
		p.text(500, 500)
	}},
	"below the window, which begins at %d": {commit: func(p *byHand) {
		p.heard(1000)
		ack(func(p *byHand, g *tcp.Segment) { g.Seq = p.seq(500) })(p)
	}},
	"an urgent pointer of %d": {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Urgent = 5 })},
	"urgent text up to %d, which was acknowledged": {commit: func(p *byHand) {
		p.heard(1000)
		ack(func(p *byHand, g *tcp.Segment) { g.Seq, g.Flags, g.Urgent = p.seq(999), tcp.ACK|tcp.URG, 1 })(p)
	}},
	"urgent text was up to %d": {commit: func(p *byHand) {
		for _, n := range []uint16{50, 40} {
			ack(func(_ *byHand, g *tcp.Segment) { g.Flags, g.Urgent = tcp.ACK|tcp.URG, n })(p)
		}
	}},
	"urgent text up to %d, and %d are to be written": {commit: func(p *byHand) {
		p.users[p.flow] = &User{Host: p.peer, world: p.World, plan: &plan{}, want: 10}
		ack(func(_ *byHand, g *tcp.Segment) { g.Flags, g.Urgent = tcp.ACK|tcp.URG, 11 })(p)
	}},
	"a record ends at %d": {commit: func(p *byHand) {
		p.users[p.flow] = &User{Host: p.peer, world: p.World, records: []uint64{50}}
		p.path.Filter = func(*Frame) Verdict { return Lose }
		p.text(0, 50)
		p.text(50, 50)
		p.send(p.piece(49, 2))
	}},
	"timestamp %d after %d":                        {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Options.TSVal-- })},
	"timestamp %d, %v after %d":                    {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Options.TSVal += 1000 })},
	"echoes %d, timestamps that came are %d to %d": {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Options.TSEcr++ })},
	"echoes %d after %d": {commit: func(p *byHand) {
		p.Run(100 * ms)
		p.write(100)
		old := p.tsval
		p.reply()
		ack(func(_ *byHand, g *tcp.Segment) { g.Options.TSEcr = old - 1 })(p)
	}},
	"an empty SACK block": {commit: func(p *byHand) {
		p.gap()
		p.selects(1448, [2]int{2 * 1448, 2 * 1448})
	}},
	"a D-SACK of what has not come twice": {commit: func(p *byHand) {
		p.gap()
		p.selects(1448, [2]int{0, 1448})
	}},
	"a SACK block of what is acknowledged": {commit: func(p *byHand) {
		p.gap()
		p.selects(1448, [2]int{1448, 3 * 1448})
	}},
	"a SACK block of what has not come": {commit: func(p *byHand) {
		p.gap()
		p.selects(1448, [2]int{1448 + 10, 3 * 1448})
	}},
	"two SACK blocks overlap": {commit: func(p *byHand) {
		p.gap()
		p.selects(1448, [2]int{2*1448 + 10, 3 * 1448}, [2]int{2 * 1448, 2*1448 + 20})
	}},
	"%d RSTs, and %d segments have come": {commit: func(p *byHand) {
		for range 10 {
			ack(func(_ *byHand, g *tcp.Segment) { g.Flags, g.Options = tcp.RST|tcp.ACK, tcp.Options{} })(p)
		}
	}},
	"it answers nothing that has come": {commit: func(p *byHand) {
		p.peer.vanish()
		p.write(100)
		ack(func(_ *byHand, g *tcp.Segment) { g.Seq, g.Flags, g.Options = g.Seq+7, tcp.RST, tcp.Options{} })(p)
	}},
	"it is not in %d to %d": {commit: ack(func(_ *byHand, g *tcp.Segment) { g.Seq, g.Flags, g.Options = g.Seq+1, tcp.RST|tcp.ACK, tcp.Options{} })},
	"all was acknowledged up to %d": {commit: func(p *byHand) {
		p.peer.queues = append(p.peer.queues, nil) // of two queues nobody knows what was taken
		p.heard(1000)
		ack(func(p *byHand, g *tcp.Segment) {
			g.Seq, g.Flags, g.Options = p.seq(500), tcp.RST|tcp.ACK, tcp.Options{}
		})(p)
	}},
	"bad options %x":   {opt: plain, commit: func(p *byHand) { p.raw([]byte{253, 4, 0, 0}, 0) }},
	"reserved bits %x": {opt: plain, commit: func(p *byHand) { p.raw(nil, 4) }},
	"%d bytes again since all was acknowledged, and there was reason for %d": {commit: func(p *byHand) {
		p.path.Filter = func(*Frame) Verdict { return Lose }
		for range 10 {
			p.text(0, 1000)
		}
	}},
}

// TestWatcherCanFail breaks each rule of the watcher's, and no rule is left out.
func TestWatcherCanFail(t *testing.T) {
	rules := watcherRules(t)
	for _, rule := range rules {
		o, ok := offences[rule]
		if !ok {
			t.Errorf("nothing breaks %q", rule)
			continue
		}
		t.Run(rule, func(t *testing.T) {
			if got := o.broken(t); got != rule {
				t.Errorf("it found %q", got)
			}
		})
	}
	for rule := range maps.Keys(offences) {
		if !slices.Contains(rules, rule) {
			t.Errorf("there is no rule %q", rule)
		}
	}
}

// broken is the rule that the watcher has found broken.
func (o *offence) broken(t *testing.T) string {
	if o.opt.Has == 0 {
		o.opt = allOptions
	}
	p := newHand(t, o.host, o.opt)
	p.Strict = true
	if !o.closed {
		p.open(true, 0)
	}
	if p.err != nil {
		t.Fatalf("before: %v", p.err)
	}
	o.commit(p)
	kind := p.kind
	p.err = nil // it was wanted
	return kind
}

// watcherRules are the formats with which the watcher fails.
func watcherRules(t *testing.T) (rules []string) {
	for _, name := range []string{"watch.go", "receiver.go", "resent.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			sel, _ := call.Fun.(*ast.SelectorExpr)
			text, _ := call.Args[1].(*ast.BasicLit)
			if sel == nil || sel.Sel.Name != "fail" || text == nil {
				return true
			}
			rule, _ := strconv.Unquote(text.Value)
			if !strings.HasPrefix(rule, "%s") && !slices.Contains(rules, rule) {
				rules = append(rules, rule)
			}
			return true
		})
	}
	return rules
}
