// Package h2spec has h2spec, which examines HTTP/2 servers, examine the same server over our TCP and over the kernel's: the
// verdicts must be the same. It is a module of its own, so that ours needs no h2spec.
package h2spec

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tun"
	"github.com/tcpd-project/tcpd/test/space"
)

// The addresses of the kernel and of our stack, and the port that both serve.
var (
	kernelNet = netip.MustParsePrefix("10.7.0.1/24")
	ourIP     = netip.MustParseAddr("10.7.0.2")
)

const port = 80

// Where the test binary is executed again, in the namespace, to be h2spec: whom it examines, and where the verdicts go.
const (
	targetVar = "TCPD_H2SPEC_TARGET"
	reportVar = "TCPD_H2SPEC_REPORT"
)

func TestMain(m *testing.M) {
	if target := os.Getenv(targetVar); target != "" {
		if err := examine(target, os.Getenv(reportVar)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// verdicts are by the cases' names: passed, failed or skipped.
type verdicts map[string]string

// examine runs all of h2spec against a server.
func examine(host, report string) error {
	c := &config.Config{Host: host, Port: port, Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000, Strict: true}
	v := verdicts{}
	for _, g := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		g.Test(c)
		v.collect(g)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(report, b, 0o600)
}

func (v verdicts) collect(g *spec.TestGroup) {
	for i, c := range slices.Concat(g.Tests, g.StrictTests) { // numbered as h2spec does
		verdict := "passed"
		switch {
		case c.Result == nil:
			verdict = "not run"
		case c.Result.Skipped:
			verdict = "skipped"
		case c.Result.Failed:
			verdict = "failed"
		}
		v[fmt.Sprintf("%s/%d: %s", g.ID(), i+1, c.Desc)] = verdict
	}
	for _, g := range g.Groups {
		v.collect(g)
	}
}

// score counts the verdicts of each kind.
func (v verdicts) score() string {
	n := map[string]int{}
	for _, verdict := range v {
		n[verdict]++
	}
	return fmt.Sprintf("%d cases: %d passed, %d failed, %d skipped", len(v), n["passed"], n["failed"], n["skipped"])
}

// worse keeps, of two runs, what is worse for each case: a busy machine lets one fail now and then, with any TCP.
func (v verdicts) worse(other verdicts) {
	for name, verdict := range other {
		if v[name] == "" || verdict == "failed" {
			v[name] = verdict
		}
	}
}

// differences lists the cases with different verdicts.
func differences(kernel, ours verdicts) (list []string) {
	all := maps.Clone(kernel)
	maps.Copy(all, ours)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if kernel[name] != ours[name] {
			list = append(list, fmt.Sprintf("%s: %s over the kernel's TCP, %s over ours", name, kernel[name], ours[name]))
		}
	}
	return list
}

// runs is how often both servers are examined, if they differ: what one of them fails in a run, and the other never, counts.
const runs = 3

// TestSameScoreAsOverTheKernel: some cases depend on time, as h2spec waits for an answer or for silence, so that they may
// fail over any TCP on a busy machine. What has failed once has failed.
func TestSameScoreAsOverTheKernel(t *testing.T) {
	space.Need(t)
	s, err := space.New(t, func() error { return nil })
	if errors.Is(err, unix.EPERM) {
		t.Skipf("needs network namespaces: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	serve(t, listenOurs(t, s))
	serve(t, listenKernel(t, s))
	kernel, ours := verdicts{}, verdicts{}
	for i := range runs {
		k, o := make(chan verdicts), make(chan verdicts)
		go func() { k <- h2spec(t, s, kernelNet.Addr()) }()
		go func() { o <- h2spec(t, s, ourIP) }()
		kernel.worse(<-k)
		ours.worse(<-o)
		t.Logf("run %d: over the kernel's TCP %s; over ours %s", i+1, kernel.score(), ours.score())
		if len(differences(kernel, ours)) == 0 {
			break
		}
	}
	for _, d := range differences(kernel, ours) {
		t.Error(d)
	}
	if len(kernel) < 100 {
		t.Errorf("h2spec has but %d cases", len(kernel))
	}
	for name, verdict := range ours {
		if verdict == "failed" {
			t.Logf("fails over both: %s", name)
		}
	}
}

// listenKernel listens in the namespace.
func listenKernel(t *testing.T, s *space.Space) (l net.Listener) {
	t.Helper()
	err := s.Inside(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", netip.AddrPortFrom(kernelNet.Addr(), port).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// listenOurs listens on a stack of ours, behind a TUN of the namespace.
func listenOurs(t *testing.T, s *space.Space) net.Listener {
	t.Helper()
	var dev *tun.Tun
	err := s.Inside(func() (err error) {
		dev, err = tun.Open(tun.Config{Name: "tcpd0", Host: kernelNet, Queues: 2, Offload: tun.Auto})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	st, err := stack.New(stack.Config{
		Link: dev.Link(), Addrs: []netip.Prefix{netip.PrefixFrom(ourIP, 32)}, Secrets: secrets(), Strict: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	st.Start()
	t.Cleanup(func() { st.Close() })
	l, err := socket.Listen(st, netip.AddrPortFrom(ourIP, port))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func secrets() (s [2]tcp.Secret) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range s {
		for k := range s[i] {
			s[i][k] = binary.LittleEndian.Uint64(b[16*i+8*k:])
		}
	}
	return s
}

// serve serves HTTP/2 without TLS until the test ends.
func serve(t *testing.T, l net.Listener) {
	nothing := log.New(io.Discard, "", 0) // it would log what h2spec does to it
	srv := &http.Server{Handler: http.HandlerFunc(answer), Protocols: new(http.Protocols), ErrorLog: nothing}
	srv.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func answer(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // h2spec breaks off many requests
	_, _ = io.WriteString(w, strings.Repeat("This is the server that h2spec examines.\n", 50))
}

// h2spec examines a server, in a process of its own in the namespace.
func h2spec(t *testing.T, s *space.Space, target netip.Addr) verdicts {
	report := filepath.Join(t.TempDir(), "verdicts")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), targetVar+"="+target.String(), reportVar+"="+report)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := s.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(report)
	}
	v := verdicts{}
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Errorf("h2spec against %v: %v\n%s", target, err, out.String())
	}
	return v
}
