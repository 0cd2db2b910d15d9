package socket_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/socket"
)

// serve runs an HTTP server of the standard library on the wire, and returns a client that reaches it.
func (w *wire) serve(h http.Handler, secure bool) (client *http.Client, url string) {
	w.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = w.listen(webPort)
	s.EnableHTTP2 = secure
	url = "http://" + webPort.String()
	if secure {
		s.StartTLS()
		url = "https://" + webPort.String()
	} else {
		s.Start()
	}
	client = s.Client()
	t := client.Transport.(*http.Transport)
	t.DialContext = (&socket.Dialer{Stack: w.client}).DialContext
	if secure {
		t.TLSClientConfig.ServerName = "example.com" // of httptest's certificate
	}
	w.Cleanup(func() {
		t.CloseIdleConnections()
		s.Close()
	})
	return client, url
}

func TestHTTP(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure-%v", secure), func(t *testing.T) {
			eachShape(t, func(t *testing.T, w *wire) {
				client, url := w.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if want := map[bool]int{false: 1, true: 2}[secure]; r.ProtoMajor != want {
						t.Errorf("%s, not HTTP/%d", r.Proto, want)
					}
					http.NewResponseController(w).EnableFullDuplex() // HTTP/2 is so anyway
					io.Copy(w, r.Body)
				}), secure)
				within(t, "the requests", func() {
					var fs []func()
					for i := range 8 {
						fs = append(fs, func() { requests(t, client, url, uint64(i)) })
					}
					all(fs...)
				})
			})
		})
	}
}

// requests posts bodies of all sizes and compares what comes back.
func requests(t *testing.T, client *http.Client, url string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 10 {
		n := rng.Int64N(1 << rng.IntN(20))
		want, _, _ := hashOf(noise(seed, n))
		res, err := client.Post(url, "application/octet-stream", noise(seed, n))
		if err != nil {
			t.Error(err)
			return
		}
		got, k, err := hashOf(res.Body)
		res.Body.Close()
		if got != want || err != nil {
			t.Errorf("%d bytes came back as %d: %v", n, k, err)
		}
	}
}

// A server that answers before it has read the request and closes: the answer arrives all the same.
func TestAnswerBeforeTheRequestIsRead(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		l := w.listen(webPort)
		go func() {
			c, err := l.AcceptConn()
			if err != nil {
				t.Error(err)
				return
			}
			c.Read(make([]byte, 1))
			c.Write([]byte("HTTP/1.1 413 Too much\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
			c.Close()
		}()
		c := w.dial(webPort)
		defer c.Close()
		c.Write([]byte("POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"))
		p, _ := io.ReadAll(c) // the RST follows
		if !strings.HasPrefix(string(p), "HTTP/1.1 413") {
			t.Errorf("read %q", p)
		}
	})
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	certificate := server.TLS.Certificates
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	server.Close()
	eachShape(t, func(t *testing.T, w *wire) {
		l := tls.NewListener(w.listen(webPort), &tls.Config{Certificates: certificate})
		go func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			echo(c)
		}()
		c := tls.Client(w.dial(webPort), &tls.Config{RootCAs: roots, ServerName: "example.com"})
		within(t, "the echo", func() {
			const size = 3 << 20
			go func() {
				io.Copy(c, noise(1, size))
				c.CloseWrite()
			}()
			want, _, _ := hashOf(noise(1, size))
			if got, n, err := hashOf(c); got != want || err != nil {
				t.Errorf("%d bytes, equal %v: %v", n, got == want, err)
			}
		})
		c.Close()
	})
}

// Many streams of one HTTP/2 connection, each a conversation of many messages that go both ways at once.
func TestStreamsOfMessagesBothWays(t *testing.T) {
	const streams, messages = 16, 300
	eachShape(t, func(t *testing.T, w *wire) {
		client, url := w.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			for {
				m, err := readMessage(r.Body)
				if err != nil {
					return
				}
				writeMessage(w, m)
				w.(http.Flusher).Flush()
			}
		}), true)
		within(t, "the streams", func() {
			var fs []func()
			for i := range streams {
				fs = append(fs, func() { converse(t, client, url, uint64(i), messages) })
			}
			all(fs...)
		})
	})
}

// converse sends messages on a stream while it reads their echoes.
func converse(t *testing.T, client *http.Client, url string, seed uint64, messages int) {
	body, send := io.Pipe()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, body)
	if err != nil {
		t.Error(err)
		return
	}
	res, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	message := func(rng *rand.Rand) []byte {
		return bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(1<<rng.IntN(15)))
	}
	go func() {
		rng := rand.New(rand.NewPCG(seed, 2))
		for range messages {
			writeMessage(send, message(rng))
		}
		send.Close()
	}()
	rng := rand.New(rand.NewPCG(seed, 2))
	for i := range messages {
		if m, err := readMessage(res.Body); err != nil || !bytes.Equal(m, message(rng)) {
			t.Errorf("stream %d, message %d: %d bytes, %v", seed, i, len(m), err)
			return
		}
	}
	if _, err := res.Body.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the stream ended with %v", err)
	}
}

func writeMessage(w io.Writer, m []byte) {
	w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...))
}

func readMessage(r io.Reader) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	m := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err := io.ReadFull(r, m)
	return m, err
}

var _ net.Conn = (*socket.Conn)(nil)
