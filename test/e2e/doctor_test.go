package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// finding is a line of tcpd doctor.
type finding struct{ Check, Status, Found, Remedy string }

// diagnose runs tcpd doctor, perhaps by another program, and returns what is not well, and the exit code.
func diagnose(t *testing.T, s *netspace, command ...string) (ill []finding, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := s.Output(ctx, command[0], command[1:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	var all []finding
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	checks := map[string]bool{}
	for _, f := range all {
		checks[f.Check] = true
		if f.Status != "ok" {
			ill = append(ill, f)
		}
	}
	if len(checks) < 10 {
		t.Errorf("only %v are looked at", slices.Sorted(maps.Keys(checks)))
	}
	return ill, code
}

func doctor(args ...string) []string {
	return append([]string{tcpd, "doctor", "-o", "json"}, args...)
}

// TestDoctor provokes each finding in a namespace of its own; nothing else may be found there, and nothing may be left.
func TestDoctor(t *testing.T) {
	need(t, "ip", "iptables")
	t.Parallel()
	other := "ip tuntap add dev other mode tun && ip link set other up && "
	for _, c := range []struct {
		name, prepare string
		args          []string
		want          finding // parts of it
	}{
		{"well", "", nil, finding{}},
		{"address taken", other + "ip address add 10.7.0.1/16 dev other", nil,
			finding{"addresses", "fail", "10.7.0.1 is already on other", "tcpd run --host 10.66.0.1/24 --addr 10.66.0.2"}},
		{"network routed", other + "ip route add 10.7.0.0/24 dev other", nil,
			finding{"addresses", "fail", "10.7.0.0/24 is already routed to other", "tcpd run --host 10.66.0.1/24"}},
		{"network within a route", other + "ip route add 10.0.0.0/8 dev other", []string{"--host", "10.7.0.1/24"},
			finding{"addresses", "warn", "taken out of 10.0.0.0/8", "tcpd run --host"}},
		{"own address", other + "ip address add 192.0.2.1/32 dev other", []string{"--addr", "192.0.2.1"},
			finding{"own addresses", "fail", "192.0.2.1 is this host's own on other", "sudo ip address del 192.0.2.1/32 dev other"}},
		{"no TUN", "", []string{"--device", "lo"}, finding{"device", "fail", "not a TUN", "tcpd run --device tcpd1"}},
		{"single queue", "ip tuntap add dev tcpd0 mode tun", nil, finding{"device", "warn", "single queue", "sudo ip link delete tcpd0 && sudo ip tuntap add dev tcpd0 mode tun multi_queue vnet_hdr"}},
		{"rp_filter", "echo 1 > /proc/sys/net/ipv4/conf/default/rp_filter", nil,
			finding{"rp_filter", "warn", "strict", "net.ipv4.conf.default.rp_filter=2"}},
		{"policy", "iptables -P INPUT DROP", nil,
			finding{"firewall", "warn", "ip filter INPUT (input)", `sudo nft insert rule ip filter INPUT iifname "tcpd0" accept`}},
		{"rule behind a jump", "iptables -N away && iptables -A away -p tcp -j REJECT && iptables -A OUTPUT -j away", nil,
			finding{"firewall", "warn", "a rule of away", `oifname "tcpd0"`}},
		{"rules that drop nothing", "iptables -A INPUT -p tcp -j ACCEPT", nil, finding{}},
		{"memory", "", []string{"-c", config(t, "limits: {memory: 1048576GiB}\n")}, finding{"memory", "warn", "1048576GiB", "limits: {memory: "}},
		{"no node", "mount -t tmpfs none /dev/net", nil, finding{"/dev/net/tun", "fail", "not there", "modprobe tun"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSpace(t)
			if c.prepare != "" {
				s.Command("sh", "-c", c.prepare)
			}
			const state = "ip -o link | cut -d' ' -f2; ip address; ip route"
			before := s.Command("sh", "-c", state)
			ill, code := diagnose(t, s, doctor(c.args...)...)
			if after := s.Command("sh", "-c", state); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
			if want := map[bool]int{true: 1}[c.want.Status == "fail"]; code != want {
				t.Errorf("exit code %d", code)
			}
			if c.want == (finding{}) && len(ill) == 0 {
				return
			}
			if len(ill) != 1 || ill[0].Check != c.want.Check || ill[0].Status != c.want.Status || !strings.Contains(ill[0].Found, c.want.Found) ||
				!strings.Contains(ill[0].Remedy, c.want.Remedy) {
				t.Errorf("found %+v, want %+v", ill, c.want)
			}
		})
	}
}

// TestDoctorDaemon: a daemon that runs is well, on its device and with its addresses; without a control socket its device is one
// that somebody has.
func TestDoctorDaemon(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	if ill, code := diagnose(t, s, doctor()...); len(ill) > 0 || code != 0 {
		t.Errorf("exit code %d, %+v", code, ill)
	}
	d.stop()
	startDaemon(t, s, "--control", "")
	ill, code := diagnose(t, s, doctor()...)
	if len(ill) != 1 || ill[0].Check != "device" || ill[0].Status != "fail" || code != 1 {
		t.Errorf("exit code %d, %+v", code, ill)
	}
}

// TestDoctorUnreachable: a daemon that runs, and whom nobody reaches: its device is down, the host's address is gone, or it is
// ending. The remedies help.
func TestDoctorUnreachable(t *testing.T) {
	need(t, "ip")
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s, "--host", "10.7.0.9/24", "--addr", "192.0.2.1", "--drain-timeout", "1m") // which doctor is not told
	for _, c := range []struct {
		harm string
		want finding
	}{
		{"ip link set tcpd0 down", finding{"device", "fail", "it is down: nobody reaches the daemon", "sudo ip link set tcpd0 up"}},
		{"ip address flush dev tcpd0", finding{"addresses", "fail", "the host's, 10.7.0.9/24, is not on tcpd0 any more: there is no way to the daemon by its network",
			"sudo ip address add 10.7.0.9/24 dev tcpd0"}},
	} {
		s.Command("sh", "-c", c.harm)
		ill, code := diagnose(t, s, doctor()...)
		if len(ill) != 1 || ill[0] != c.want || code != 1 {
			t.Fatalf("after %s: exit code %d, %+v", c.harm, code, ill)
		}
		s.Command("sh", "-c", strings.ReplaceAll(ill[0].Remedy, "sudo ", ""))
		if ill, code := diagnose(t, s, doctor()...); len(ill) > 0 || code != 0 {
			t.Errorf("after %s and its remedy: exit code %d, %+v", c.harm, code, ill)
		}
		d.dial(echoPort).Close()
	}
	c := d.dial(echoPort) // keeps it from its end
	stop(t, d, syscall.SIGTERM)
	d.waitLine("draining")
	if ill, code := diagnose(t, s, doctor()...); len(ill) != 1 || ill[0].Check != "daemon" || !strings.Contains(ill[0].Found, "is ending") || code != 1 {
		t.Errorf("while it ends: exit code %d, %+v", code, ill)
	}
	c.Close()
}

// TestDoctorUnprivileged: who has no capability is told what to do, and when that has been done all is well.
func TestDoctorUnprivileged(t *testing.T) {
	need(t, "ip", "setpriv")
	t.Parallel()
	s := newSpace(t)
	bindTUN(t, s, 0o600)
	asUser := append([]string{"env", "XDG_RUNTIME_DIR=/run", "setpriv", fmt.Sprintf("--reuid=%d", nobody), "--regid=65534", "--clear-groups",
		"--inh-caps=-all", "--bounding-set=-all"}, doctor("--addr", daemonIP+",192.0.2.1")...)
	ill, code := diagnose(t, s, asUser...)
	got := map[string]finding{}
	for _, f := range ill {
		got[f.Check] = f
	}
	if len(ill) != 3 || code != 1 || got["privileges"].Status != "fail" || got["/dev/net/tun"].Status != "fail" || got["firewall"].Status != "warn" ||
		!strings.HasPrefix(got["firewall"].Found, "cannot tell") {
		t.Fatalf("exit code %d, %+v", code, ill)
	}
	_, prepare, _ := strings.Cut(got["privileges"].Remedy, "; or ")
	for _, remedy := range []string{prepare, got["/dev/net/tun"].Remedy} {
		s.Command("sh", "-c", strings.ReplaceAll(remedy, "sudo ", ""))
	}
	ill, code = diagnose(t, s, asUser...)
	if len(ill) != 1 || ill[0].Check != "firewall" || code != 0 {
		t.Errorf("exit code %d, %+v", code, ill)
	}
}
