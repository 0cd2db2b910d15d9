package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/test/space"
)

func TestCurlHello(t *testing.T) {
	need(t, "curl")
	t.Parallel()
	s := newSpace(t)
	startDaemon(t, s)
	out := s.Command("curl", "-sS", "-i", "http://"+daemonIP+"/hello")
	head, body, _ := strings.Cut(out, "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("status: %q", head)
	}
	if !strings.Contains(strings.ToLower(head), "content-type: text/plain") {
		t.Errorf("no text/plain: %q", head)
	}
	if body != "hello\n" {
		t.Errorf("body %q", body)
	}
	if code := s.Command("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://"+daemonIP+"/no/such"); code != "404" {
		t.Errorf("/no/such answers %s", code)
	}
}

// TestCurlFrontPage: the front page tells the caller its own connection.
func TestCurlFrontPage(t *testing.T) {
	need(t, "curl")
	t.Parallel()
	s := newSpace(t)
	startDaemon(t, s)
	page := s.Command("curl", "-sS", "--local-port", "45000", "http://"+daemonIP+"/")
	for _, want := range []string{hostIP + ":45000", service(httpPort), "ESTABLISHED"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

// TestCurlManyFiles: small bodies of all sizes on one connection, one after the other.
func TestCurlManyFiles(t *testing.T) {
	need(t, "curl")
	t.Parallel()
	s := newSpace(t)
	dir := t.TempDir()
	var args []string
	var want []byte
	for i, size := range []int{0, 1, 100, 1459, 1460, 1461, 65535, 65536, 1 << 20} {
		p := payload(uint64(i), size)
		want = append(want, p...)
		file := fmt.Sprintf("f%d", i)
		if err := os.WriteFile(filepath.Join(dir, file), p, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, staticURL(file))
	}
	startDaemon(t, s, "-c", staticConfig(t, dir))
	if got := s.Command("curl", append([]string{"-sS"}, args...)...); got != string(want) {
		t.Errorf("%d bytes, not the %d expected", len(got), len(want))
	}
}

// TestCurlFIFO: what nobody writes to is not there, and keeps the daemon from nothing.
func TestCurlFIFO(t *testing.T) {
	need(t, "curl")
	t.Parallel()
	s := newSpace(t)
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, s, "-c", staticConfig(t, dir))
	if got := s.Command("curl", "-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", staticURL("fifo")); got != "404" {
		t.Errorf("status %s", got)
	}
	d.stop()
}

// TestCurlBig takes a large body down over HTTP.
func TestCurlBig(t *testing.T) {
	need(t, "curl")
	big(t)
	s := newSpace(t)
	dir := t.TempDir()
	file := must[*os.File](t)(os.Create(filepath.Join(dir, "big")))
	if _, err := io.CopyN(file, random(7), bigBody()); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	startDaemon(t, s, "-c", staticConfig(t, dir))
	cmd := exec.CommandContext(t.Context(), "curl", "-sS", "--max-time", "120", staticURL("big"))
	complaint := &space.Buffer{}
	cmd.Stderr = complaint
	body := must[io.ReadCloser](t)(cmd.StdoutPipe())
	if err := s.Start(cmd); err != nil {
		t.Fatal(err)
	}
	got := must[string](t)(hashOf(body, bigBody()+1))
	if err := cmd.Wait(); err != nil {
		t.Fatalf("curl: %v: %s", err, complaint)
	}
	if want := must[string](t)(hashOf(random(7), bigBody())); got != want {
		t.Errorf("the body's hash is %s, want %s", got, want)
	}
}

// TestEchoBig takes a large body up and back down at once.
func TestEchoBig(t *testing.T) {
	need(t)
	big(t)
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.dial(echoPort)
	setDeadline(t, c, 2*time.Minute)
	sent := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{c}, io.LimitReader(random(8), bigBody()), make([]byte, 256<<10))
		c.CloseWrite()
		sent <- err
	}()
	got, err := hashOf(struct{ io.Reader }{c}, bigBody())
	if err != nil {
		t.Fatalf("reading the echo: %v", err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if want := must[string](t)(hashOf(random(8), bigBody())); got != want {
		t.Errorf("the echo's hash is %s, want %s", got, want)
	}
	expectEOF(t, c)
	d.waitState(name(c), "CLOSED")
	d.checkPath(name(c), passiveOpen, peerCloses)
}

// bigBody is 1 GiB, less where the race detector slows both ends.
func bigBody() int64 {
	if space.Race {
		return 64 << 20
	}
	return 1 << 30
}

// staticConfig is a configuration that serves the files of dir.
func staticConfig(t *testing.T, dir string) string {
	t.Helper()
	return config(t, fmt.Sprintf("services: [{port: 80, service: http, static: %q}]\n", dir))
}

// config writes a configuration file.
func config(t *testing.T, yaml string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tcpd.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func staticURL(file string) string { return "http://" + daemonIP + "/" + file }

// TestHTTPKeepAlive: two requests on one connection, which the client then closes.
func TestHTTPKeepAlive(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.dial(httpPort)
	setDeadline(t, c, patience)
	for range 2 {
		getHello(t, c)
	}
	c.CloseWrite()
	expectEOF(t, c)
	d.waitState(name(c), "CLOSED")
	d.checkPath(name(c), passiveOpen, peerCloses)
}

// getHello asks for /hello and reads exactly the answer.
func getHello(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, "GET /hello HTTP/1.1\r\nHost: "+daemonIP+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var answer []byte
	b := make([]byte, 1)
	for !strings.HasSuffix(string(answer), "\r\n\r\nhello\n") {
		if _, err := c.Read(b); err != nil {
			t.Fatalf("after %q: %v", answer, err)
		}
		answer = append(answer, b[0])
	}
}
