package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refusal is a pcap of a call that nobody takes: a SYN of 10.7.0.1:40614 to 10.7.0.2:99, and the RST.
func refusal(t *testing.T) (refused, unanswered string) {
	t.Helper()
	const header = "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x65\x00\x00\x00"
	packet := func(at byte, ip, tcp string) string {
		length := string([]byte{byte(len(ip + tcp)), 0, 0, 0})
		return string([]byte{at, 0, 0, 0, 0, 0, 0, 0}) + length + length + ip + tcp
	}
	syn := packet(1, "\x45\x00\x00\x28\x00\x00\x40\x00\x40\x06\x00\x00\x0a\x07\x00\x01\x0a\x07\x00\x02",
		"\x9e\xa6\x00\x63\x00\x00\x00\x05\x00\x00\x00\x00\x50\x02\xfa\xf0\x00\x00\x00\x00")
	rst := packet(2, "\x45\x00\x00\x28\x00\x00\x40\x00\x40\x06\x00\x00\x0a\x07\x00\x02\x0a\x07\x00\x01",
		"\x00\x63\x9e\xa6\x00\x00\x00\x00\x00\x00\x00\x06\x50\x14\x00\x00\x00\x00\x00\x00")
	dir := t.TempDir()
	refused, unanswered = filepath.Join(dir, "refused.pcap"), filepath.Join(dir, "unanswered.pcap")
	if err := errors.Join(os.WriteFile(refused, []byte(header+syn+rst), 0o600), os.WriteFile(unanswered, []byte(header+syn), 0o600)); err != nil {
		t.Fatal(err)
	}
	return refused, unanswered
}

func TestExplainCapture(t *testing.T) {
	name, unanswered := refusal(t)
	out, err := output(t, "explain", name)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"Inferred from the segments alone", "client → SYN-SENT  (OpenActive", "│─── SYN 0 win 64240", "LISTEN?", "Whether anybody listens, the answer tells", "│◀─── RST,ACK 0 ack 1", "client → CLOSED  (RcvRST",
		"10.7.0.2:99-10.7.0.1:40614: 2 packets in 1s", "client: CLOSED; 0 bytes sent",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is not in\n%s", part, out)
		}
	}
	if strings.Contains(out, "SYN-RECEIVED") {
		t.Errorf("nobody listened:\n%s", out)
	}
	out, err = output(t, "explain", "-o", "json", name)
	var v struct{ Connections []told }
	if err != nil || json.Unmarshal([]byte(out), &v) != nil || len(v.Connections) != 1 || !v.Connections[0].Inferred || v.Connections[0].ServerState != "CLOSED" {
		t.Errorf("%s, %v", out, err)
	}
	out, err = output(t, "explain", unanswered)
	if want := "server: unknown; 0 bytes sent, 0 again\n    as it sees it, the peer owes the next move. Nothing of it is here"; err != nil || !strings.Contains(out, want) {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := output(t, "explain", "/etc/passwd"); err == nil || !strings.Contains(err.Error(), "neither pcapng nor pcap") {
		t.Errorf("/etc/passwd: %v", err)
	}
}
