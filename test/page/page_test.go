package page

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/test/space"
)

// Where the test binary is executed again, in the namespace, to drive the browser: the page's address with the token, and a directory
// for what the browser keeps. shotsVar is a directory for screenshots, if somebody wants to look at them.
const (
	pageVar  = "PAGE_TEST"
	homeVar  = "PAGE_TEST_HOME"
	shotsVar = "PAGE_SHOTS"
)

var tcpd string

func TestMain(m *testing.M) {
	if page := os.Getenv(pageVar); page != "" {
		if err := browse(page, os.Getenv(homeVar), os.Getenv(shotsVar)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(space.RunWithDaemon(m, &tcpd))
}

// patience is how long the browser may take for all of it; it is no measurement.
const patience = 2 * time.Minute

// newHome is a directory for the browser, whose helpers may outlive it a little, and write there.
func newHome(t *testing.T) string {
	t.Helper()
	home, err := os.MkdirTemp("", "tcpd-page-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		late := time.Now().Add(patience)
		for err := os.RemoveAll(home); err != nil; err = os.RemoveAll(home) {
			if time.Now().After(late) {
				t.Error(err)
				return
			}
		}
	})
	return home
}

func TestPage(t *testing.T) {
	space.Need(t, "chromium")
	s := space.ForDaemon(t)
	d := s.Launch(exec.Command(tcpd, "run", "--device", "tcpd0"))
	d.Ready()
	page := strings.TrimSpace(s.Command(tcpd, "token"))
	if !strings.HasPrefix(page, "http://10.7.0.2/#") {
		t.Fatalf("tcpd token: %q", page)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	out := &space.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), pageVar+"="+page, homeVar+"="+newHome(t))
	if err := s.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
