package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/observe"
)

// Client speaks to a daemon.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client of the daemon whose socket is at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err != nil {
			return nil, &UnreachableError{path, err}
		}
		return c, nil
	}
	return &Client{path, http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}}
}

// Path is where the daemon's socket is.
func (c *Client) Path() string { return c.path }

// Close gives the client's connections up.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// host stands in URLs, where there must be one.
const host = "http://tcpd"

// call asks for what is at a path and reads the answer into v; body and v may be nil.
func (c *Client) call(ctx context.Context, method, path string, body, v any) error {
	answer, err := c.Open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if v == nil {
		_, err = io.Copy(io.Discard, answer)
	} else {
		err = json.NewDecoder(answer).Decode(v)
	}
	if err != nil {
		return fmt.Errorf("%s: %s %s: %w", c.path, method, path, err)
	}
	return nil
}

// Open asks for what is at a path and returns the answer; the error is the daemon's if it refuses.
func (c *Client) Open(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, host+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	a, err := c.http.Do(r)
	if u, ok := errors.AsType[*UnreachableError](err); ok {
		return nil, u
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s %s: %w", c.path, method, path, errors.Unwrap(err)) // without the URL
	}
	if a.StatusCode < 300 {
		return a.Body, nil
	}
	defer a.Body.Close()
	return nil, fmt.Errorf("%s: %s", c.path, problem(a))
}

// problem is what the daemon says is wrong.
func problem(a *http.Response) string {
	text, _ := io.ReadAll(io.LimitReader(a.Body, largestBody))
	var p Problem
	if json.Unmarshal(text, &p) == nil && p.Error != "" {
		return p.Error
	}
	return a.Status + ": " + strings.TrimSpace(string(text))
}

// Listeners are those that listen.
func (c *Client) Listeners(ctx context.Context) (list []Listener, err error) {
	err = c.call(ctx, "GET", "/v1/listeners", nil, &list)
	return list, err
}

// Counters are the daemon's.
func (c *Client) Counters(ctx context.Context) (v observe.Counters, err error) {
	err = c.call(ctx, "GET", "/v1/counters", nil, &v)
	return v, err
}

// Config is the configuration in force.
func (c *Client) Config(ctx context.Context, v any) error {
	return c.call(ctx, "GET", "/v1/config", nil, v)
}

// Reload asks the daemon to read its configuration again.
func (c *Client) Reload(ctx context.Context) (v Reloaded, err error) {
	err = c.call(ctx, "POST", "/v1/reload", nil, &v)
	return v, err
}

// Token is the page's.
func (c *Client) Token(ctx context.Context) (v Token, err error) {
	err = c.call(ctx, "GET", "/v1/token", nil, &v)
	return v, err
}

// Level is the least level that is logged.
func (c *Client) Level(ctx context.Context) (string, error) {
	var v LogLevel
	err := c.call(ctx, "GET", "/v1/log", nil, &v)
	return v.Level, err
}

// SetLevel sets the least level that is logged.
func (c *Client) SetLevel(ctx context.Context, level string) error {
	return c.call(ctx, "PUT", "/v1/log", LogLevel{level}, nil)
}

// Stop asks the daemon to end, and returns when it has ended.
func (c *Client) Stop(ctx context.Context) error {
	return c.call(ctx, "POST", "/v1/stop", nil, nil)
}
