package script

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Script is what a script says, or what a program has made up to be run as one.
type Script struct {
	File    string
	Options []Option
	Events  []Event
}

// Option is a line --name=value at the beginning.
type Option struct {
	Line        int
	Name, Value string
}

// Event is a line of the script: a packet, a call, a command or code; one of them is set.
type Event struct {
	Line int
	When When

	Packet  *Packet
	Call    *Call
	Command *Command
	Code    *Code
}

// Base is what the time of an event counts from.
type Base uint8

// The bases.
const (
	Untimed Base = iota // a command without a time: at the time of the event before
	Start               // 1.5: the script's beginning
	Before              // +.5: the event before
	Any                 // *: the time does not matter
)

// When is the time of an event: from At to To, which are the same unless it is a range.
type When struct {
	Base   Base
	At, To mono.Duration
}

// Packet is a packet to the stack (In) or expected from it. Numbers are relative to those of the two SYNs, windows are as
// in the header.
type Packet struct {
	In    bool
	IP    Field4
	Ports [2]uint16 // source and destination; 0, 0: those of the connection at hand
	ICMP  *ICMP     // else it is a segment:

	Flags      tcp.Flags
	Range      Range
	Ack        uint32 // with tcp.ACK
	Window     *uint16
	Urgent     *uint16
	Options    []TCPOption
	AnyOptions bool // <...>
}

// Field4 is what a script says of the IPv4 header; the zero value is nothing.
type Field4 struct {
	ECN ECN
	TTL uint8
}

// ECN is what a script says of the ECN field.
type ECN uint8

// The codepoints by name.
const (
	AnyECN ECN = iota
	NoECN      // noecn
	ECT0       // ect0
	ECT1       // ect1
	CE         // ce
	ECT01      // ect01: either of the two
)

// Range is the sequence numbers of text, 1:1001(1000).
type Range struct{ From, To uint32 }

// Len is the text's length in bytes.
func (r Range) Len() int { return int(r.To - r.From) }

// ICMP is an error from a router or from the peer's host.
type ICMP struct {
	Type, Code string // as Linux's headers call them, in small letters
	MTU        uint16
	Quote      *Range // of the segment that it is about; nil: of the last one sent
}

// TCPOption is an option in a segment's header.
type TCPOption struct {
	Kind   OptionKind
	Value  uint32 // of MSS and WindowScale, TSval
	Echo   uint32 // TSecr
	Blocks []Range
	Cookie []byte
}

// OptionKind says which option it is.
type OptionKind uint8

// The options of the subset.
const (
	End OptionKind = iota
	Nop
	MSS
	WindowScale
	SACKPermitted
	SACK
	Timestamps
	FastOpen
	FastOpenExp // with the experimental kind (RFC 6994)
	Unknown     // of the kind Value, from the stack: a script has no name for it
)

// Call is a system call with the result that is expected.
type Call struct {
	Name   string
	Args   []Expr
	Blocks bool          // it returns later:
	Until  mono.Duration // when, from the same base as the event's time
	Result Expr
	Errno  string // EAGAIN; "" with Failed: whichever
	Note   string
}

// Command is a command for the shell.
type Command struct{ Text string }

// Code is a piece of Python.
type Code struct{ Text string }

// ExprKind says what an expression is.
type ExprKind uint8

// The kinds.
const (
	Dots   ExprKind = iota // ...
	Number                 // 1, -1, 0x2
	Name                   // AF_INET
	Text                   // "text"
	Or                     // A|B
	List                   // [1, 2]
	Struct                 // {a=1, b(2)=3, 4}
	Apply                  // htons(80)
)

// Expr is an expression: an argument, or a result.
type Expr struct {
	Kind   ExprKind
	Number int64
	Text   string  // of Name, Text and Apply
	Parts  []Expr  // operands, elements, arguments
	Fields []Field // of Struct
}

// Field is a member of a Struct. Name may be missing, and Count, as in msg_iov(1).
type Field struct {
	Name  string
	Count *Expr
	Value Expr
}
