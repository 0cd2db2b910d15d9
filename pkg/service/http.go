package service

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// PagePath is where a page has what belongs to it; no file has such a path, for its name begins with a dot.
const PagePath = "/.tcpd/"

// NewHTTP returns a web server: /hello says hello, / tells callers their own connection, and other paths are files,
// if there are any; files may be nil, and Directory makes one. Browsers get page at /, and what is below PagePath; it may be nil. Its Serve takes listeners of
// pkg/socket. complaints may be nil.
func NewHTTP(files fs.FS, page http.Handler, complaints *log.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", hello)
	if page == nil {
		mux.HandleFunc("GET /{$}", frontPage)
	} else {
		mux.Handle("GET /{$}", negotiated(page))
		mux.Handle("GET "+PagePath, page) // not all methods at once: that would not go with the files' pattern
		mux.Handle("POST "+PagePath, page)
	}
	if files != nil {
		mux.Handle("GET /", http.FileServerFS(plainFiles{files, complaints}))
	}
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          complaints,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
}

// connKey finds a request's connection in its context.
type connKey struct{}

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "hello\n")
}

// negotiated gives page to those who ask for HTML by name and like nothing of text better, as browsers do, and text to all others,
// such as curl, who takes anything (RFC 9110 section 12.5.1).
func negotiated(page http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if wantsHTML(r.Header.Values("Accept")) {
			page.ServeHTTP(w, r)
		} else {
			frontPage(w, r)
		}
	}
}

func wantsHTML(accept []string) bool {
	weights := map[string]float64{}
	for wish := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, parameters, err := mime.ParseMediaType(wish)
		if err != nil {
			continue
		}
		weights[kind] = 1
		if q, err := strconv.ParseFloat(parameters["q"], 64); err == nil {
			weights[kind] = q
		}
	}
	html := weights["text/html"]
	for _, kind := range []string{"text/plain", "text/*", "*/*"} { // the most specific counts
		if q, named := weights[kind]; named {
			return html > 0 && html >= q
		}
	}
	return html > 0
}

// frontPage tells the caller his own connection, as this end of it sees it.
func frontPage(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(connKey{}).(*socket.Conn)
	if !ok {
		http.Error(w, "this connection is not one of tcpd's", http.StatusInternalServerError)
		return
	}
	info, ok := c.Info()
	if !ok {
		return // nobody is there to read it
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	writePage(w, c, &info)
}

func writePage(w io.Writer, c net.Conn, i *tcp.Info) {
	_, _ = io.WriteString(w, "This is tcpd, a TCP of its own in user space. Your connection, seen from here:\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(t, "  "+name+"\t"+format+"\n", args...)
	}
	row("you", "%v", c.RemoteAddr())
	row("tcpd", "%v", c.LocalAddr())
	row("state", "%v", i.State)
	row("MSS", "%d bytes to you, %d from you", i.SendMSS, i.ReceiveMSS)
	if i.WindowScale {
		row("window scale", "%d yours, %d ours", i.SendScale, i.ReceiveScale)
	} else {
		row("window scale", "not agreed")
	}
	row("window", "%d bytes yours, %d ours", i.SendWindow, i.ReceiveWindow)
	row("timestamps", "%s", agreed(i.Timestamps))
	row("SACK", "%s", agreed(i.SACK))
	if i.BytesOut <= 1 { // nothing but our SYN has been acknowledged
		row("round trip", "%v, of the handshake; time-out %v", i.RTT, i.RTO)
	} else {
		row("round trip", "%v smoothed, %v at least; time-out %v", i.RTT, i.MinRTT, i.RTO)
	}
	row("congestion", "%s, window %d bytes", i.Congestion, i.Cwnd)
	row("segments", "%d in, %d out, %d sent again", i.SegmentsIn, i.SegmentsOut, i.Retransmits)
	row("first numbers", "%d yours, %d ours", i.InitialReceived, i.InitialSend)
	_ = t.Flush()
}

func agreed(yes bool) string {
	if yes {
		return "agreed"
	}
	return "not agreed"
}
