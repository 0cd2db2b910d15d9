package main_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/test/space"
)

// Where the genuine tool is: its binary, and the directory gtests/net of its repository with the scripts. It is not part
// of this project.
const (
	toolVar    = "PACKETDRILL"
	scriptsVar = "PACKETDRILL_SCRIPTS"
)

// hang is how long a script may take on the wall clock; those here take less than a second.
const hang = 60 * time.Second

// TestPacketdrill runs the scripts that testdata/scripts.txt lists with the genuine tool, as they are, each in a namespace of
// its own. They set sysctls there, which the shared object follows, and the queueing discipline of a device tun0, which the
// tool would have made for the kernel's TCP.
func TestPacketdrill(t *testing.T) {
	packetdrill, scripts := os.Getenv(toolVar), os.Getenv(scriptsVar)
	if packetdrill == "" || scripts == "" {
		t.Skipf("needs packetdrill: %s names it, and %s the directory of its scripts, gtests/net", toolVar, scriptsVar)
	}
	need(t)
	space.Need(t, "ip", "tc", "python3", "ethtool", "sysctl")
	file, err := os.Open("testdata/scripts.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for s := bufio.NewScanner(file); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			t.Run(strings.TrimSuffix(line, ".pkt"), func(t *testing.T) {
				runScript(t, packetdrill, filepath.Join(scripts, line))
			})
		}
	}
}

// runScript runs one script, with the addresses that the scripts' own runner uses.
func runScript(t *testing.T, packetdrill, script string) {
	s, err := space.New(t, func() error {
		for _, args := range []string{"tuntap add tun0 mode tun", "link set tun0 up"} {
			if err := exec.Command("ip", strings.Fields(args)...).Run(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, packetdrill,
		"--so_filename="+object, "--so_flags=namespace", "--send_omit_free", "--ip_version=ipv4",
		"--local_ip=192.168.0.1", "--gateway_ip=192.168.0.1", "--netmask_ip=255.255.0.0", "--remote_ip=192.0.2.1",
		filepath.Base(script))
	cmd.Dir = filepath.Dir(script)
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+object)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := s.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}
