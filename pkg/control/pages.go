package control

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// page is an answer under way.
type page struct {
	body io.ReadCloser
	err  error
}

// Connections calls show with one page after the other of the connections that the filter lets through. The daemon makes the next
// page while one is read. show must not keep the slice.
func (c *Client) Connections(ctx context.Context, f Filter, show func([]Connection) error) error {
	ctx, cancel := context.WithCancel(ctx)
	next := c.ask(ctx, f, "")
	defer func() {
		cancel()
		if next == nil {
			return
		}
		if p := <-next; p.err == nil {
			p.body.Close()
		}
	}()
	var list []Connection
	for next != nil {
		p := <-next
		next = nil
		if p.err != nil {
			return p.err
		}
		var err error
		list, err = readPage(p.body, list[:0], func(cursor string) { next = c.ask(ctx, f, cursor) })
		p.body.Close()
		if err != nil {
			return fmt.Errorf("%s: reading connections: %w", c.path, err)
		}
		if err := show(list); err != nil {
			return err
		}
	}
	return nil
}

// ask asks for the page at a cursor.
func (c *Client) ask(ctx context.Context, f Filter, cursor string) <-chan page {
	answer := make(chan page, 1)
	go func() {
		body, err := c.Open(ctx, "GET", "/v1/connections?"+f.values(cursor, cmp.Or(f.Page, mostLimit)).Encode(), nil)
		answer <- page{body, err}
	}()
	return answer
}

// readPage adds what is on a page to list, and tells of the next one, if there is one, as soon as it is known.
func readPage(body io.Reader, list []Connection, next func(cursor string)) ([]Connection, error) {
	d := json.NewDecoder(body)
	if _, err := d.Token(); err != nil { // {
		return list, err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return list, err
		}
		switch key {
		case "next":
			var cursor string
			if err := d.Decode(&cursor); err != nil {
				return list, err
			}
			next(cursor)
		case "connections":
			if list, err = readConnections(d, list); err != nil {
				return list, err
			}
		default:
			return list, fmt.Errorf("%v was not expected", key)
		}
	}
	_, err := d.Token() // }
	return list, err
}

func readConnections(d *json.Decoder, list []Connection) ([]Connection, error) {
	if _, err := d.Token(); err != nil { // [
		return list, err
	}
	for d.More() {
		list = append(list, Connection{})
		if err := d.Decode(&list[len(list)-1]); err != nil {
			return list, err
		}
	}
	_, err := d.Token() // ]
	return list, err
}
