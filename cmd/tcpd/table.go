package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// table prints rows in columns that are as wide as what they have had to hold so far. A part of many rows is printed at a time,
// so that a million need no memory.
type table struct {
	out     *bufio.Writer
	columns []column
	rows    [][]string
	header  bool
	color   bool
}

type column struct {
	title       string
	right, glue bool // glue: no space before it
	width       int
	color       func(cell string) string // an escape sequence, or ""
}

func newTable(w io.Writer, silent bool, columns ...column) *table {
	return &table{out: bufio.NewWriter(w), columns: columns, header: !silent, color: colored(w)}
}

// colored reports whether w is a terminal whose user has not asked for no colors (https://no-color.org).
func colored(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// row adds a row; a cell beyond the last column is printed as it is, after it.
func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// flush prints the rows that there are, and first the titles.
func (t *table) flush() error {
	if t.header {
		titles := make([]string, len(t.columns))
		for i := range t.columns {
			titles[i] = t.columns[i].title
		}
		t.rows = append([][]string{titles}, t.rows...)
	}
	for _, cells := range t.rows {
		for i := range t.columns {
			t.columns[i].width = max(t.columns[i].width, len(cells[i]))
		}
	}
	for i, cells := range t.rows {
		t.line(cells, t.color && !(t.header && i == 0))
	}
	t.rows, t.header = t.rows[:0], false
	return t.out.Flush()
}

func (t *table) line(cells []string, color bool) {
	pending := 0 // spaces, if something follows
	put := func(s string) {
		if s != "" {
			t.out.WriteString(strings.Repeat(" ", pending))
			t.out.WriteString(s)
			pending = 0
		}
	}
	for i := range t.columns {
		c := &t.columns[i]
		if i > 0 && !c.glue {
			pending++
		}
		room := c.width - len(cells[i])
		if c.right {
			pending += room
			room = 0
		}
		if code := ""; color && c.color != nil {
			if code = c.color(cells[i]); code != "" {
				put(code + cells[i] + "\x1b[0m")
			} else {
				put(cells[i])
			}
		} else {
			put(cells[i])
		}
		pending += room
	}
	for _, more := range cells[len(t.columns):] {
		pending++
		if strings.HasPrefix(more, "\n") {
			pending = 0
		}
		put(more)
	}
	t.out.WriteByte('\n')
}

// number is so many things, in words: 1 packet, 2 packets.
func number[N int | int64 | uint32 | uint64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
