package script

import (
	"fmt"
	"reflect"
	"strings"

	"golang.org/x/sys/unix"
)

// codeConstants are the names that code knows beside the variables.
var codeConstants = map[string]float64{
	"True": 1, "False": 0,
	"TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8, "TCPI_OPT_ECN_SEEN": 16, "TCPI_OPT_SYN_DATA": 32,
	"TCP_CA_Open": 0, "TCP_CA_Disorder": 1, "TCP_CA_CWR": 2, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4,
	"TCP_ESTABLISHED": unix.BPF_TCP_ESTABLISHED, "TCP_SYN_SENT": unix.BPF_TCP_SYN_SENT, "TCP_SYN_RECV": unix.BPF_TCP_SYN_RECV,
	"TCP_FIN_WAIT1": unix.BPF_TCP_FIN_WAIT1, "TCP_FIN_WAIT2": unix.BPF_TCP_FIN_WAIT2, "TCP_TIME_WAIT": unix.BPF_TCP_TIME_WAIT,
	"TCP_CLOSE": unix.BPF_TCP_CLOSE, "TCP_CLOSE_WAIT": unix.BPF_TCP_CLOSE_WAIT, "TCP_LAST_ACK": unix.BPF_TCP_LAST_ACK,
	"TCP_LISTEN": unix.BPF_TCP_LISTEN, "TCP_CLOSING": unix.BPF_TCP_CLOSING,
}

// code runs a code block. The variables that begin with tcpi_ are those of TCP_INFO of the connection at hand.
func (r *runner) code(e *Event) error {
	if err := r.turn(); err != nil { // for the stack to know the time
		return err
	}
	var info *unix.TCPInfo
	known := func(name string) (any, bool) {
		if v, ok := r.vars[name]; ok {
			return v, true
		}
		if v, ok := codeConstants[name]; ok {
			return v, true
		}
		field, ok := strings.CutPrefix(name, "tcpi_")
		if !ok {
			return nil, false
		}
		if info == nil {
			info = r.info()
		}
		return infoField(info, field)
	}
	body, err := parseCode(e.Code.Text, e.Line)
	if err != nil {
		return err
	}
	for i := range body {
		if err := r.statement(&body[i], known); err != nil {
			return err
		}
	}
	return nil
}

// statement runs one statement.
func (r *runner) statement(s *statement, known names) error {
	v, err := s.value.eval(known)
	if err == nil && s.op != "" {
		var old any
		if old, err = (&formula{op: "name", text: s.name}).eval(known); err == nil {
			v, err = operate(s.op, old, v)
		}
	}
	if err != nil {
		return outside(s.line, "%s in code", err)
	}
	if s.name != "" {
		r.vars[s.name] = v
		return nil
	}
	r.note(s.source)
	if isTrue(v) {
		return nil
	}
	told := ""
	if s.tell != nil {
		if v, err := s.tell.eval(known); err == nil {
			told = ": it is " + show(v)
		}
	}
	return fault(s.line, "%s is not true at %s%s", s.source, r.clock(r.now), told)
}

// infoField is a member of TCP_INFO.
func infoField(info *unix.TCPInfo, name string) (any, bool) {
	v := reflect.ValueOf(info).Elem().FieldByName(strings.ToUpper(name[:min(1, len(name))]) + name[min(1, len(name)):])
	if !v.IsValid() || !v.CanUint() {
		return nil, false
	}
	return float64(v.Uint()), true
}

// info is TCP_INFO of the connection at hand: of the descriptor that has it, or else of the last one.
func (r *runner) info() *unix.TCPInfo {
	last := -1
	for _, fd := range r.files {
		addr, err := r.sockets.PeerAddr(fd)
		local, _ := r.sockets.LocalAddr(fd)
		if f := r.current; err == nil && f != nil && addr == f.remote && local == f.local {
			last = fd
			break
		}
		if _, err := r.sockets.LocalAddr(fd); err == nil {
			last = max(last, fd)
		}
	}
	info, err := r.sockets.Info(last)
	if err != nil {
		r.note(fmt.Sprintf("no TCP_INFO: %v", err))
	}
	return &info
}
