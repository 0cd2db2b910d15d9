package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tcpd-project/tcpd/pkg/socket"
)

// site runs the web server on one stack, and returns a client on the other.
func site(t *testing.T, srv *http.Server) *http.Client {
	t.Helper()
	n := newWire(t)
	l, err := socket.Listen(n.server, netip.AddrPortFrom(server, 80))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	transport := &http.Transport{DialContext: (&socket.Dialer{Stack: n.client}).DialContext}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving ended with %v", err)
		}
	})
	return &http.Client{Transport: transport, Timeout: patience}
}

func get(t *testing.T, c *http.Client, path string) (*http.Response, string) {
	t.Helper()
	r, err := c.Get("http://" + server.String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(body)
}

func TestHello(t *testing.T) {
	c := site(t, NewHTTP(nil, nil, nil))
	for range 2 { // on one connection
		r, body := get(t, c, "/hello")
		if kind := r.Header.Get("Content-Type"); r.StatusCode != 200 || kind != "text/plain; charset=utf-8" || body != "hello\n" {
			t.Errorf("%s, %q, %q", r.Status, kind, body)
		}
	}
}

// TestFrontPage: callers are told their own connection.
func TestFrontPage(t *testing.T) {
	c := site(t, NewHTTP(nil, nil, nil))
	r, body := get(t, c, "/")
	if kind := r.Header.Get("Content-Type"); r.StatusCode != 200 || kind != "text/plain; charset=utf-8" {
		t.Errorf("%s, %q", r.Status, kind)
	}
	for _, want := range []string{
		`you +10\.7\.0\.1:\d+`, `tcpd +10\.7\.0\.2:80`, `state +ESTABLISHED`, `MSS +1448 bytes to you, 1448 from you`,
		`window scale +\d+ yours, \d+ ours`, `timestamps +agreed`, `round trip +\S+, of the handshake`,
		`congestion +cubic, window \d+ bytes`,
	} {
		if !regexp.MustCompile(`(?m)^  ` + want).MatchString(body) {
			t.Errorf("the page lacks %s:\n%s", want, body)
		}
	}
	if _, body := get(t, c, "/"); !regexp.MustCompile(`round trip +\S+ smoothed`).MatchString(body) {
		t.Errorf("the second page has no smoothed round trip:\n%s", body)
	}
}

// TestFrontPageOfAnother: over a connection that is not ours there is nothing to tell.
func TestFrontPageOfAnother(t *testing.T) {
	w := httptest.NewRecorder()
	NewHTTP(nil, nil, nil).Handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("status %d", w.Code)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	for _, files := range []bool{false, true} {
		srv := NewHTTP(nil, nil, nil)
		if files {
			srv = NewHTTP(fstest.MapFS{"a": {Data: []byte("A")}}, nil, nil)
		}
		for _, test := range []struct {
			method, path string
			want         int
		}{
			{"GET", "/hello", 200}, {"HEAD", "/hello", 200}, {"POST", "/hello", 405}, {"DELETE", "/", 405},
			{"GET", "/hello/", 404}, {"GET", "/no/such", 404},
		} {
			w := httptest.NewRecorder()
			srv.Handler.ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
			if w.Code != test.want {
				t.Errorf("files %v: %s %s: status %d, want %d", files, test.method, test.path, w.Code, test.want)
			}
		}
	}
}

func TestFiles(t *testing.T) {
	big := payload(3, 5<<20)
	c := site(t, NewHTTP(fstest.MapFS{
		"a.txt":           {Data: []byte("A")},
		"dir/b.txt":       {Data: []byte("B")},
		"page/index.html": {Data: []byte("<p>page")},
		".secret":         {Data: []byte("S")},
		"dir/.git/config": {Data: []byte("S")},
		"hello":           {Data: []byte("not this one")},
		"big":             {Data: big},
	}, nil, nil))
	for path, want := range map[string]string{
		"/a.txt": "200 A", "/dir/b.txt": "200 B", "/page/": "200 <p>page", "/big": "200 " + string(big), "/hello": "200 hello\n",
		"/dir/": "404", "/dir": "404", "/.secret": "404", "/dir/.git/config": "404", "/../a.txt": "404", "/none": "404",
	} {
		r, body := get(t, c, path)
		got := fmt.Sprint(r.StatusCode, " ", body)
		if r.StatusCode == 404 {
			got = "404"
		}
		if got != want && !(path == "/../a.txt" && got == "200 A") { // the client may have cleaned it
			t.Errorf("%s: %.60q, want %.60q", path, got, want)
		}
	}
}

// TestFilesStayInside: a link out of the directory leads nowhere, nor does an absolute one; others are followed.
func TestFilesStayInside(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", payload(4, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		"out": "../../../../../../etc/passwd", "far": "/etc/passwd", "absolute": dir + "/file", "loop": "loop", "dangling": "none",
		"up": "..", "inside": "file",
	} {
		if err := os.Symlink(to, dir+"/"+link); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var complaints strings.Builder
	c := site(t, NewHTTP(Directory(root), nil, log.New(&complaints, "", 0)))
	for _, path := range []string{"/file", "/inside"} {
		if r, body := get(t, c, path); r.StatusCode != 200 || body != string(payload(4, 3<<20)) {
			t.Errorf("%s: %s, %d bytes", path, r.Status, len(body))
		}
	}
	for _, path := range []string{"/out", "/far", "/absolute", "/loop", "/dangling", "/up/", "/file/below", "/" + strings.Repeat("long", 100)} {
		if r, body := get(t, c, path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s\n%s", path, r.Status, body)
		}
	}
	if complaints.Len() > 0 {
		t.Error(complaints.String())
	}
}

// TestFilesInTrouble: what is not the name's fault is an error, and the log has it.
func TestFilesInTrouble(t *testing.T) {
	var complaints strings.Builder
	w := httptest.NewRecorder()
	srv := NewHTTP(broken{}, nil, log.New(&complaints, "", 0))
	srv.Handler.ServeHTTP(w, httptest.NewRequest("GET", "/file", nil))
	if w.Code != http.StatusInternalServerError || !strings.HasPrefix(complaints.String(), "http: open file: too many open files\n") {
		t.Errorf("status %d, and in the log %q", w.Code, complaints.String())
	}
}

// broken can open nothing.
type broken struct{}

func (broken) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
}

// TestFilesThatAreNone: what is no regular file is not there, and nobody waits for a FIFO's other end; not even when the name
// became its own only after it had been looked at.
func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := errors.Join(
		syscall.Mkfifo(dir+"/fifo", 0o600), os.Symlink("fifo", dir+"/link"),
		os.Mkdir(dir+"/page", 0o700), syscall.Mkfifo(dir+"/page/index.html", 0o600),
	); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", dir+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := site(t, NewHTTP(Directory(root), nil, nil))
	for _, path := range []string{"/fifo", "/link", "/page/", "/page", "/page/index.html", "/socket"} {
		if r, body := get(t, c, path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, %q", path, r.Status, body)
		}
	}
	f, err := Directory(root).Open("fifo")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if f, err := (plainFiles{hasty{Directory(root)}, nil}).Open("fifo"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, %v", f, err)
	}
}

// hasty finds a regular file wherever it looks.
type hasty struct{ fs.FS }

func (hasty) Stat(string) (fs.FileInfo, error) { return fs.Stat(fstest.MapFS{"file": {}}, "file") }

// TestSlowHeader: who opens a connection and does not ask is not waited for without end.
func TestSlowHeader(t *testing.T) {
	srv := NewHTTP(nil, nil, nil)
	if srv.ReadHeaderTimeout <= 0 || srv.IdleTimeout <= 0 {
		t.Fatalf("time-outs %v and %v", srv.ReadHeaderTimeout, srv.IdleTimeout)
	}
	srv.ReadHeaderTimeout = 50 * time.Millisecond
	c := site(t, srv)
	conn, err := c.Transport.(*http.Transport).DialContext(context.Background(), "tcp", net.JoinHostPort(server.String(), "80"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost:"); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(conn); err != nil {
		t.Errorf("%d bytes, then %v, want the end of the connection", len(rest), err)
	}
}

// TestNegotiation: browsers get the page, everybody else text; files are there as ever.
func TestNegotiation(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page at "+r.URL.Path) })
	c := site(t, NewHTTP(fstest.MapFS{"file": {Data: []byte("a file")}}, page, nil))
	for _, row := range []struct{ accept, path, want string }{
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "/", "page at /"},
		{"application/json, text/html;q=0.5", "/", "page at /"},
		{"*/*", "/", "This is tcpd"},
		{"", "/", "This is tcpd"},
		{"text/plain, text/html;q=0", "/", "This is tcpd"},
		{"text/html;q=0.1, text/plain", "/", "This is tcpd"},
		{"text/plain;q=0.5, text/html;q=0.9", "/", "page at /"},
		{"text/html;q=0.5, text/*", "/", "This is tcpd"},
		{"text/html;q=0.5, */*", "/", "This is tcpd"},
		{"text/html;q=0.5, text/plain;q=0.1, */*", "/", "page at /"},
		{"text/html, text/plain", "/", "page at /"},
		{"*/*, text/html;q=0", "/", "This is tcpd"},
		{"text/html;level=1;q=0.4, text/plain; q=0.5", "/", "This is tcpd"},
		{"text/html", "/hello", "hello"},
		{"*/*", "/.tcpd/a", "page at /.tcpd/a"},
		{"text/html", "/file", "a file"},
	} {
		r, err := http.NewRequest("GET", "http://"+server.String()+row.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", row.accept)
		a, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(a.Body)
		_ = a.Body.Close()
		if err != nil || !strings.HasPrefix(string(body), row.want) {
			t.Errorf("%q %s: %.60q, %v", row.accept, row.path, body, err)
		}
		if row.path == "/" && a.Header.Get("Vary") != "Accept" {
			t.Errorf("%q: no Vary", row.accept)
		}
	}
}
