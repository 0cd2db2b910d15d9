package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/observe"
)

func newWatch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch [FILTER]...",
		Short: "A live screen of a running daemon",
		Long: "A live screen of a running daemon: connections by state, rates, and a table of connections. Of the one that is selected,\n" +
			"enter shows the state diagram with the way that it has come, who owes the next move, round trip and window over time, and\n" +
			"its ladder. FILTER is a filter of \"tcpd ss\"; all states are shown unless it names some.\n\n" +
			"Wide has more columns. \"-o json\" needs no terminal: it prints what the screen would show, an object a second, until Control-C.\n\n" +
			"Keys: up, down, enter, / to filter, s to sort, space to pause, r to reset the connection, ? for help, q to quit.",
		Example: "  tcpd watch\n  tcpd watch state established sport = :80\n  tcpd watch -o json | jq .states",
		Args:    func(_ *cobra.Command, args []string) error { _, err := watchFilter(args); return err },
	}
	newOperation(cmd, "o", func(cmd *cobra.Command, o *operation, c *control.Client, args []string) error {
		q, err := watchFilter(args)
		if err != nil {
			return usageError{err}
		}
		if o.output == outputJSON {
			return newWatcher(cmd.Context(), c).report(cmd.OutOrStdout(), q)
		}
		if !isTerminal(os.Stdin) || !isTerminal(os.Stdout) {
			return usageError{errors.New(`a screen needs a terminal: "tcpd watch -o json" needs none, "tcpd ss" lists connections, "tcpd trace" writes what happens in them`)}
		}
		if _, err := c.Level(cmd.Context()); err != nil { // is anybody there?
			return err
		}
		w := newWatcher(cmd.Context(), c)
		m := newWatchModel(c.Path(), strings.Join(args, " "), q, w)
		m.wide = o.output == outputWide
		p := tea.NewProgram(m, tea.WithContext(cmd.Context()))
		w.send = p.Send
		defer w.follow("")
		_, err = p.Run()
		return err
	})
	return cmd
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// watchFilter reads a filter of ss, which has all states where it names none.
func watchFilter(args []string) (*ssQuery, error) {
	if err := shortForm(args); err != nil {
		return nil, fmt.Errorf("%q: %w", args[0], err)
	}
	return parseSSFilter(&ssOptions{all: true}, args)
}

// watcher asks the daemon for what the screen shows.
type watcher struct {
	ctx    context.Context
	client *control.Client
	send   func(tea.Msg)
	stop   context.CancelFunc // of the events that are followed
}

func newWatcher(ctx context.Context, c *control.Client) *watcher {
	return &watcher{ctx: ctx, client: c, stop: func() {}}
}

// look is what the daemon says at one moment.
type look struct {
	at          time.Time
	states      map[string]int
	counters    observe.Counters
	connections []control.Connection
	more        bool                // than these
	selected    *control.Connection // nil: it is over
	err         error
}

// report prints a look a second as JSON until the user has had enough, or the daemon ends.
func (w *watcher) report(to io.Writer, q *ssQuery) error {
	ctx, done := signal.NotifyContext(w.ctx, os.Interrupt, syscall.SIGTERM)
	defer done()
	w.ctx = ctx
	out, every := json.NewEncoder(to), time.NewTicker(time.Second)
	defer every.Stop()
	for {
		l := w.look(q, "")
		if ctx.Err() != nil {
			return nil
		}
		if l.err != nil {
			return l.err
		}
		if err := out.Encode(map[string]any{"at": l.at, "states": l.states, "counters": l.counters, "connections": l.connections, "more": l.more}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}

// mostRows bounds the connections that are fetched for the table.
const mostRows = 1000

var errRows = errors.New("enough rows")

// ask looks at the daemon in the background.
func (w *watcher) ask(q *ssQuery, selected string) tea.Cmd {
	return func() tea.Msg { return w.look(q, selected) }
}

// look looks at the daemon now.
func (w *watcher) look(q *ssQuery, selected string) look {
	ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
	defer cancel()
	l := look{at: time.Now(), connections: []control.Connection{}}
	if l.states, l.err = w.client.States(ctx); l.err != nil {
		return l
	}
	if l.counters, l.err = w.client.Counters(ctx); l.err != nil {
		return l
	}
	f := q.Filter
	f.Details, f.Page = true, mostRows+1
	err := w.client.Connections(ctx, f, func(page []control.Connection) error {
		l.connections = append(l.connections, page...)
		if len(l.connections) > mostRows {
			return errRows
		}
		return nil
	})
	if err != nil && !errors.Is(err, errRows) {
		l.err = err
		return l
	}
	if l.more = len(l.connections) > mostRows; l.more {
		l.connections = l.connections[:mostRows]
	}
	if selected != "" {
		if v, err := w.client.Connection(ctx, selected); err == nil {
			l.selected = &v
		}
	}
	return l
}

// happened is an event of the connection that is followed.
type happened struct{ *control.Event }

// follow has the events of one connection sent to the screen, and those of none before; "": of none.
func (w *watcher) follow(id string) {
	w.stop()
	w.stop = func() {}
	if id == "" {
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.stop = cancel
	go func() {
		_ = w.client.Events(ctx, control.EventFilter{Connection: id}, nil, func(e *control.Event) error { // that it ends, look tells
			w.send(happened{e})
			return ctx.Err()
		})
	}()
}

// resetDone is what has come of a reset.
type resetDone struct {
	id  string
	err error
}

func (w *watcher) reset(id string) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
		defer cancel()
		return resetDone{id, w.client.Reset(ctx, id)}
	}
}

// tick is when to look again.
type tick struct{}

func nextTick() tea.Cmd { return tea.Tick(time.Second, func(time.Time) tea.Msg { return tick{} }) }

// asker is what the screen needs of a watcher.
type asker interface {
	ask(q *ssQuery, selected string) tea.Cmd
	follow(id string)
	reset(id string) tea.Cmd
}

// watchModel is the screen's state. It does nothing but through its asker.
type watchModel struct {
	asker
	socket        string
	width, height int
	wide          bool
	query         *ssQuery
	filter        string // as it was typed
	typed         string // while it is
	typing        bool
	complaint     string
	now, before   look
	cursor        int
	selected      string // the connection in the details, "" if there are none
	sorted        int    // index into sorts
	paused        bool
	asked         bool   // and not yet answered
	confirm       string // the connection that is to be reset if the answer is yes, "" if nothing is asked
	help          bool
	says          string // about the last command
	ladder        *ladder
	drawn         *bytes.Buffer
	lines         []string // of the ladder
	rtts, cwnds   []float64
}

func newWatchModel(socket, filter string, q *ssQuery, a asker) *watchModel {
	return &watchModel{asker: a, socket: socket, width: 80, height: 24, query: q, filter: filter}
}

// Init implements tea.Model.
func (m *watchModel) Init() tea.Cmd { return tea.Batch(m.ask(m.query, ""), nextTick()) }

// Update implements tea.Model.
func (m *watchModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = max(msg.Width, 40), max(msg.Height, 12)
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case tick:
		if m.paused || m.asked {
			return m, nextTick()
		}
		m.asked = true // a daemon that is slow is not asked a second time meanwhile
		return m, tea.Batch(m.ask(m.query, m.selected), nextTick())
	case look:
		m.asked = false
		m.take(msg)
	case happened:
		m.draw(msg.Event)
	case resetDone:
		m.says = msg.id + " is reset"
		if msg.err != nil {
			m.says = msg.err.Error()
		}
		return m, m.ask(m.query, m.selected)
	}
	return m, nil
}

// take shows what the daemon says now.
func (m *watchModel) take(l look) {
	if l.err != nil {
		m.complaint = silence(l.err)
		return
	}
	if l.selected != nil && l.selected.ID != m.selected { // asked for before another was opened
		l.selected = nil
	}
	on := m.under()
	if m.complaint != "" && m.selected != "" {
		m.follow(m.selected) // the stream has ended with the daemon
	}
	m.complaint = ""
	m.before, m.now = m.now, l
	m.sort(on)
	if v := l.selected; v != nil && v.Info != nil {
		m.rtts = append(m.rtts, v.Info.RTT.Seconds())
		m.cwnds = append(m.cwnds, float64(v.Info.Cwnd))
	}
}

// silence says why there is no answer. Where the socket is stands above.
func silence(err error) string {
	text := "the daemon does not answer: "
	if u, ok := errors.AsType[*control.UnreachableError](err); ok {
		if errno, ok := errors.AsType[syscall.Errno](u.Err); ok {
			return text + errno.Error()
		}
		return text + u.Err.Error()
	}
	return text + err.Error()
}

// sorts are the orders of the table, by the names of its columns.
var sorts = []struct {
	name string
	less func(a, b *control.Connection) int
}{
	{"State", func(a, b *control.Connection) int {
		return strings.Compare(a.State+a.ID, b.State+b.ID)
	}},
	{"Recv-Q", func(a, b *control.Connection) int { return b.Receive - a.Receive }},
	{"Send-Q", func(a, b *control.Connection) int { return b.Send - a.Send }},
	{"RTT", func(a, b *control.Connection) int { return int(b.Info.RTT - a.Info.RTT) }},
	{"In + Out", func(a, b *control.Connection) int {
		return int(b.Info.BytesIn+b.Info.BytesOut) - int(a.Info.BytesIn+a.Info.BytesOut)
	}},
}

// sort puts the table in order; the cursor stays on a connection, or where it is if that is not there any more.
func (m *watchModel) sort(on string) {
	list := m.now.connections
	for i := range list {
		if list[i].Info == nil {
			list[i].Info = &control.Details{}
		}
	}
	slices.SortStableFunc(list, func(a, b control.Connection) int { return sorts[m.sorted].less(&a, &b) })
	if i := slices.IndexFunc(list, func(c control.Connection) bool { return c.ID == on }); i >= 0 {
		m.cursor = i
	}
	m.cursor = max(0, min(m.cursor, len(list)-1))
}

// key does what a key is for.
func (m *watchModel) key(k tea.KeyPressMsg) tea.Cmd {
	switch {
	case k.Keystroke() == "ctrl+c":
		return tea.Quit
	case m.typing:
		return m.typeKey(k)
	case m.confirm != "":
		id := m.confirm
		m.confirm = ""
		if k.String() == "y" {
			return m.reset(id)
		}
		return nil
	}
	m.says = ""
	if m.help {
		m.help = false
		return nil
	}
	switch k.String() {
	case "q":
		return tea.Quit
	case "up", "k":
		m.cursor = max(0, m.cursor-1)
	case "down", "j":
		m.cursor = max(0, min(m.cursor+1, len(m.now.connections)-1))
	case "pgup":
		m.cursor = max(0, m.cursor-m.tableRows())
	case "pgdown":
		m.cursor = max(0, min(m.cursor+m.tableRows(), len(m.now.connections)-1))
	case "enter":
		return m.open()
	case "esc":
		m.leave()
	case "/":
		m.typing, m.typed = true, m.filter
	case "s":
		m.sorted = (m.sorted + 1) % len(sorts)
		m.sort(m.under())
	case "space", "p":
		m.paused = !m.paused
	case "r":
		m.confirm = m.target()
	case "?":
		m.help = true
	}
	return nil
}

// typeKey edits the filter.
func (m *watchModel) typeKey(k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		m.typing, m.says = false, ""
	case "enter":
		q, err := watchFilter(strings.Fields(m.typed))
		if err != nil {
			m.says = err.Error()
			return nil
		}
		m.typing, m.query, m.filter, m.says, m.cursor = false, q, m.typed, "", 0
		return m.ask(m.query, m.selected)
	case "backspace":
		if r := []rune(m.typed); len(r) > 0 {
			m.typed = string(r[:len(r)-1])
		}
	default:
		m.typed += k.Text
	}
	return nil
}

// target is the connection that a command is for, "" if none is shown.
func (m *watchModel) target() string {
	if m.complaint != "" {
		return ""
	}
	if m.selected != "" {
		return m.selected
	}
	return m.under()
}

// under is the connection under the cursor, "" if there are none.
func (m *watchModel) under() string {
	if len(m.now.connections) == 0 {
		return ""
	}
	return m.now.connections[m.cursor].ID
}

// open shows the details of the connection under the cursor.
func (m *watchModel) open() tea.Cmd {
	if m.selected != "" || m.complaint != "" || len(m.now.connections) == 0 {
		return nil
	}
	c := m.now.connections[m.cursor]
	m.selected, m.now.selected, m.lines, m.rtts, m.cwnds = c.ID, nil, nil, nil, nil
	m.drawn = &bytes.Buffer{}
	m.ladder = newLadder(m.drawn, false)
	m.ladder.last = c.ID // it is in the title already
	m.ladder.known = func(string) (ours, theirs uint32, ok bool) { return c.Info.InitialSend, c.Info.InitialReceived, true }
	m.follow(c.ID)
	return m.ask(m.query, m.selected)
}

// leave goes back to the table.
func (m *watchModel) leave() {
	if m.selected != "" {
		m.selected = ""
		m.follow("")
	}
}

// mostLines bounds the lines of the ladder that are kept.
const mostLines = 200

// draw adds an event to the ladder.
func (m *watchModel) draw(e *control.Event) {
	if m.selected == "" || e.Connection != m.selected || m.paused {
		return
	}
	m.ladder.fit(m.width)
	if m.ladder.show(e) != nil {
		return // a buffer takes all
	}
	for line := range strings.Lines(m.drawn.String()) {
		m.lines = append(m.lines, strings.TrimRight(line, "\n"))
	}
	m.drawn.Reset()
	m.lines = m.lines[max(0, len(m.lines)-mostLines):]
}

// View implements tea.Model.
func (m *watchModel) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "tcpd watch"
	return v
}

// rate is how much a counter has grown in a second.
func (m *watchModel) rate(of func(*observe.Counters) uint64) float64 {
	d := m.now.at.Sub(m.before.at).Seconds()
	now, before := of(&m.now.counters), of(&m.before.counters)
	if m.before.at.IsZero() || d <= 0 || now < before { // or it has begun anew
		return 0
	}
	return float64(now-before) / d
}
