package control

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// captured is a packet with what is said of it.
type captured struct {
	at      mono.Time
	data    []byte
	comment string
}

// camera is a tracer that queues packets for a client. A packet that arrives comes before what is sent because of it, though
// only then it is known what became of it.
type camera struct {
	queue  chan captured
	lost   atomic.Uint64
	shards []exposure
}

// exposure is a packet that a shard is dealing with.
type exposure struct {
	arriving bool
	at       mono.Time
	sent     []captured // meanwhile
}

func newCamera(shards int) *camera {
	return &camera{queue: make(chan captured, tapSize), shards: make([]exposure, shards)}
}

// Trace implements stack.Tracer.
func (k *camera) Trace(e *stack.Event) {
	s := &k.shards[e.Shard]
	switch e.Kind {
	case stack.Arrivals:
		s.arriving, s.at = true, e.At
	case stack.Departures:
		p := captured{e.At, packetOf(e), comment(e)}
		if s.arriving {
			s.sent = append(s.sent, p)
		} else {
			k.put(p)
		}
	case stack.Verdicts:
		k.put(captured{s.at, packetOf(e), comment(e)})
		for _, p := range s.sent {
			k.put(p)
		}
		s.arriving, s.sent = false, s.sent[:0]
	case stack.Drops:
		if e.Segment == nil && len(e.Packet[0]) > 0 { // else its verdict follows
			k.put(captured{e.At, packetOf(e), comment(e)})
		}
	}
}

func (k *camera) put(p captured) {
	select {
	case k.queue <- p:
	default:
		k.lost.Add(1)
	}
}

// packetOf is a copy of the event's packet, with the checksum that a device would have finished.
func packetOf(e *stack.Event) []byte {
	b := bytes.Join(e.Packet[:], nil)
	if e.Segment != nil && len(b) >= ip.HeaderLen+tcp.HeaderLen {
		at := int(b[0]&15) * 4
		field := b[at+16:]
		binary.BigEndian.PutUint16(field, 0)
		sum := ip.Sum(b[at:], ip.PseudoSum(e.Flow.Local, e.Flow.Remote, ip.ProtoTCP, len(b)-at))
		binary.BigEndian.PutUint16(field, ^ip.Fold(sum))
	}
	return b
}

// comment says of a packet which connection it belongs to, between which states it came or went, and what became of it.
func comment(e *stack.Event) string {
	text := "tcpd: "
	if e.Flow != (stack.Flow{}) {
		text += "connection " + ID(e.Flow) + ", "
	}
	if e.State != 0 {
		text += e.State.String()
		if e.To != 0 && e.To != e.State {
			text += " -> " + e.To.String()
		}
		text += ", "
	}
	switch {
	case e.Kind == stack.Departures && e.Again != 0:
		return text + "sent again: " + e.Again.String()
	case e.Kind == stack.Departures:
		return text + "sent"
	case e.Reason != "":
		return text + "dropped: " + e.Reason
	}
	return text + "taken"
}

// capture streams packets as pcapng, until the client goes or the daemon ends.
func (s *Server) capture(w http.ResponseWriter, r *http.Request) {
	q, err := parseEventQuery(r.URL.Query())
	if err == nil && q.kinds != stack.AllKinds {
		err = fmt.Errorf("kind: a capture has packets of every kind")
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	k := newCamera(s.opt.Stack.Shards())
	stop, ok := s.watch(w, r, stack.Arrivals|stack.Departures|stack.Verdicts|stack.Drops, q.keepFlow, k)
	if !ok {
		return
	}
	defer stop()
	w.Header().Set("Content-Type", "application/x-pcapng")
	if err := k.write(w, r.Context().Done()); err != nil && s.opt.Complaints != nil {
		s.opt.Complaints.Print("a capture has ended: ", err)
	}
}

// snapLength is more than any IP packet has.
const snapLength = 65536

// write writes what comes, until done.
func (k *camera) write(w http.ResponseWriter, done <-chan struct{}) error {
	out, err := pcapgo.NewNgWriterInterface(w, pcapgo.NgInterface{
		Name: "tcpd", Description: "tcpd's own view of its packets", LinkType: layers.LinkTypeRaw, SnapLength: snapLength,
		TimestampResolution: 9, OS: "Linux",
	}, pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "tcpd"}})
	if err != nil {
		return err
	}
	clock := newClock()
	for {
		if err := out.Flush(); err != nil {
			return nil // the client has gone
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return nil
		}
		select {
		case p := <-k.queue:
			if err := k.packets(out, p, clock); err != nil {
				return err
			}
		case <-done:
			return out.Flush()
		}
	}
}

// packets writes a packet, and those that wait behind it.
func (k *camera) packets(out *pcapgo.NgWriter, p captured, c clock) error {
	for n := len(k.queue); ; n-- {
		opt := pcapgo.NgPacketOptions{Comments: []string{p.comment}}
		if lost := k.lost.Swap(0); lost > 0 {
			opt.Comments = append(opt.Comments, fmt.Sprintf("tcpd: %d packets before this one are not here: whoever reads was too slow", lost))
		}
		info := gopacket.CaptureInfo{Timestamp: time.Unix(0, c.at(p.at)), CaptureLength: len(p.data), Length: len(p.data)}
		if err := out.WritePacketWithOptions(info, p.data, opt); err != nil || n == 0 {
			return err
		}
		p = <-k.queue
	}
}
