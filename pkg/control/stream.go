package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// EventFilter is which events Client.Events is to show, and which packets Client.Capture; the zero EventFilter is all.
type EventFilter struct {
	Kinds      []string // none: all; not for Capture
	Connection string   // the id of one connection
	Filter              // but States, Details and Page
}

func (f *EventFilter) values() url.Values {
	v := f.Filter.values("", 0)
	v.Del("limit")
	if len(f.Kinds) > 0 {
		v.Set("kind", strings.Join(f.Kinds, ","))
	}
	if f.Connection != "" {
		v.Set("connection", f.Connection)
	}
	return v
}

// Connection is one connection with its flight record.
func (c *Client) Connection(ctx context.Context, id string) (v Connection, err error) {
	err = c.call(ctx, "GET", "/v1/connections/"+url.PathEscape(id), nil, &v)
	return v, err
}

// States counts the connections by state.
func (c *Client) States(ctx context.Context) (count map[string]int, err error) {
	err = c.call(ctx, "GET", "/v1/states", nil, &count)
	return count, err
}

// Reset ends a connection with a RST.
func (c *Client) Reset(ctx context.Context, id string) error {
	return c.call(ctx, "DELETE", "/v1/connections/"+url.PathEscape(id), nil, nil)
}

// Ended are the connections that ended last, the latest first.
func (c *Client) Ended(ctx context.Context) (list []Ended, err error) {
	err = c.call(ctx, "GET", "/v1/ended", nil, &list)
	return list, err
}

// Events calls show with each event until the context ends, the daemon does (then it returns nil), or show returns an error.
// listening is called once the daemon listens; it may be nil.
func (c *Client) Events(ctx context.Context, f EventFilter, listening func(), show func(*Event) error) error {
	body, err := c.Open(ctx, "GET", "/v1/events?"+f.values().Encode(), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			if listening != nil && strings.HasPrefix(lines.Text(), ": ") {
				listening()
				listening = nil
			}
			continue
		}
		var e Event
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return fmt.Errorf("%s: reading events: %w", c.path, err)
		}
		if err := show(&e); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: reading events: %w", c.path, err)
	}
	return nil
}

// Capture is a stream of packets as pcapng.
func (c *Client) Capture(ctx context.Context, f EventFilter) (io.ReadCloser, error) {
	return c.Open(ctx, "GET", "/v1/capture?"+f.values().Encode(), nil)
}
