package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/control"
)

// ssOptions are what iproute2's ss calls so, as far as they have a meaning here.
type ssOptions struct {
	all, listening, tcp, numeric, timers, info, extended, noHeader bool
}

func newSS() *cobra.Command {
	var opt ssOptions
	cmd := &cobra.Command{
		Use:   "ss [OPTIONS] [FILTER]...",
		Short: "List the connections of a running daemon, as ss does the kernel's",
		Long: "List the connections of a running daemon, as ss lists those of the kernel: columns, options and filters are its,\n" +
			"where they have a meaning here. Without -a, -l or a state, half-open connections, those in TIME-WAIT and listeners are\n" +
			"left out. \"--output json\" prints what the control socket answers, wide prints -i, -o and -e in one line.\n\n" +
			"FILTER is one or more of these, all of which must hold, with or without \"and\" between them; states alternate:\n" +
			"  state STATE, exclude STATE   established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, close-wait,\n" +
			"                               last-ack, closing, listening; or all, connected, synchronized, bucket, big\n" +
			"  src ADDRESS, dst ADDRESS     an address or a prefix; :PORT may follow, or stand alone\n" +
			"  sport = :PORT, dport = :PORT a number, or the name of a service\n" +
			"Of ss's language or, not, parentheses and other comparisons than = are not supported.\n\n" +
			"The time of -o is that of the next deadline; which timer it is, is told by what the connection waits for.\n" +
			"In -i windows are in segments, as ss has them, and rates and times are the connection's own.",
		Example: "  tcpd ss -tan\n  tcpd ss -tio state established dst 10.7.0.0/24\n  tcpd ss -tln\n  tcpd ss --output json state time-wait sport = :80",
	}
	f := cmd.Flags()
	f.BoolVarP(&opt.all, "all", "a", false, "connections in all states, and listeners")
	f.BoolVarP(&opt.listening, "listening", "l", false, "listeners alone")
	f.BoolVarP(&opt.tcp, "tcp", "t", false, "TCP alone, which all of it is: leaves the column Netid out")
	f.BoolVarP(&opt.numeric, "numeric", "n", false, "ports as numbers, not as names of services")
	f.BoolVarP(&opt.timers, "options", "o", false, "with timers")
	f.BoolVarP(&opt.info, "info", "i", false, "with what the TCP knows of the connection")
	f.BoolVarP(&opt.extended, "extended", "e", false, "with the shard, and whether anybody holds the connection")
	f.BoolVarP(&opt.noHeader, "no-header", "H", false, "without the titles of the columns")
	var q *ssQuery
	cmd.Args = func(_ *cobra.Command, args []string) (err error) { // the options are known, and no daemon need be
		q, err = parseSSFilter(&opt, args)
		return err
	}
	newOperation(cmd, "", func(cmd *cobra.Command, o *operation, c *control.Client, _ []string) error {
		if o.output == outputWide {
			opt.timers, opt.info, opt.extended = true, true, true
		}
		q.Details = opt.info
		if o.output == outputJSON {
			return ssJSON(cmd, c, q)
		}
		return ssTable(cmd, c, q, &opt, o.output == outputWide)
	})
	return cmd
}

// listenersOf are those that the query is for.
func listenersOf(cmd *cobra.Command, c *control.Client, q *ssQuery) ([]control.Listener, error) {
	if !q.listening {
		return nil, nil
	}
	all, err := c.Listeners(cmd.Context())
	if err != nil {
		return nil, err
	}
	list := []control.Listener{}
	for _, l := range all {
		if q.listener(&l) {
			list = append(list, l)
		}
	}
	return list, nil
}

// ssJSON prints an object with connections and listeners, a page at a time.
func ssJSON(cmd *cobra.Command, c *control.Client, q *ssQuery) error {
	listeners, err := listenersOf(cmd, c, q)
	if err != nil {
		return err
	}
	if listeners == nil {
		listeners = []control.Listener{}
	}
	text, err := json.Marshal(listeners)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(cmd.OutOrStdout())
	fmt.Fprintf(w, `{"listeners":%s,"connections":[`, text)
	before := ""
	if q.connections() {
		err = c.Connections(cmd.Context(), q.Filter, func(page []control.Connection) error {
			for i := range page {
				text, err := json.Marshal(&page[i])
				if err != nil {
					return err
				}
				w.WriteString(before)
				w.Write(text) //nolint:errcheck // Flush tells
				before = ","
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	w.WriteString("]}\n")
	return w.Flush()
}

func ssTable(cmd *cobra.Command, c *control.Client, q *ssQuery, opt *ssOptions, wide bool) error {
	listeners, err := listenersOf(cmd, c, q)
	if err != nil {
		return err
	}
	p := ssPrinter{opt: opt, wide: wide, services: map[string]string{}}
	if !opt.numeric {
		p.services = serviceNames()
	}
	columns := []column{
		{title: "State", color: stateColor}, {title: "Recv-Q"}, {title: "Send-Q"},
		{title: "Local Address", right: true}, {title: ":Port", glue: true}, {title: "Peer Address", right: true}, {title: ":Port", glue: true},
	}
	if !opt.tcp {
		columns = append([]column{{title: "Netid"}}, columns...)
	}
	p.table = newTable(cmd.OutOrStdout(), opt.noHeader, columns...)
	for i := range listeners {
		p.listener(&listeners[i])
	}
	if !q.connections() {
		return p.table.flush()
	}
	err = c.Connections(cmd.Context(), q.Filter, func(page []control.Connection) error {
		for i := range page {
			p.connection(&page[i])
		}
		return p.table.flush()
	})
	return err
}

// ssPrinter writes connections as rows.
type ssPrinter struct {
	table    *table
	opt      *ssOptions
	wide     bool
	services map[string]string // names by port
}

func (p *ssPrinter) row(state string, receive, send int, local, localPort, remote, remotePort, more string) {
	cells := []string{state, strconv.Itoa(receive), strconv.Itoa(send), local, localPort, remote, remotePort}
	if !p.opt.tcp {
		cells = append([]string{"tcp"}, cells...)
	}
	if more != "" {
		cells = append(cells, more)
	}
	p.table.row(cells...)
}

func (p *ssPrinter) port(s string) string {
	if name := p.services[s]; name != "" {
		return ":" + name
	}
	return ":" + s
}

func (p *ssPrinter) connection(c *control.Connection) {
	local, localPort := cut(c.Local)
	remote, remotePort := cut(c.Remote)
	p.row(ssName(c.State), c.Receive, c.Send, local, p.port(localPort), remote, p.port(remotePort), p.details(c))
}

// cut parts an address from its port.
func cut(s string) (address, port string) {
	i := strings.LastIndexByte(s, ':')
	return s[:max(i, 0)], s[i+1:]
}

func (p *ssPrinter) listener(l *control.Listener) {
	port := ":*"
	if l.Port != 0 {
		port = p.port(strconv.Itoa(int(l.Port)))
	}
	address := l.Prefix.String()
	if l.Prefix.IsSingleIP() {
		address = l.Prefix.Addr().String()
	} else if l.Prefix == netip.MustParsePrefix("0.0.0.0/0") {
		address = "0.0.0.0"
	}
	p.row("LISTEN", l.Waiting, l.Backlog, address, port, "0.0.0.0", ":*", "")
}

// details are what -o, -e and -i add.
func (p *ssPrinter) details(c *control.Connection) string {
	var parts []string
	if p.opt.timers && c.Timer != nil {
		parts = append(parts, fmt.Sprintf("timer:(%s,%s,%d)", c.Timer.Name, ssTime(c.Timer.Left), c.Timer.Retries))
	}
	if p.opt.extended {
		parts = append(parts, "shard:"+strconv.Itoa(c.Shard))
		if c.Orphan {
			parts = append(parts, "orphan")
		}
	}
	text := strings.Join(parts, " ")
	if c.Info == nil || !p.opt.info {
		return text
	}
	between := "\n\t "
	if p.wide {
		between = " "
	}
	return strings.TrimPrefix(text+between+ssInfo(c.Info), " ")
}

// serviceNames are the names of TCP's ports on this machine.
func serviceNames() map[string]string {
	names := map[string]string{}
	text, _ := os.ReadFile("/etc/services") // without it ports have no names
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 1 {
			if port, tcp := strings.CutSuffix(f[1], "/tcp"); tcp && names[port] == "" {
				names[port] = f[0]
			}
		}
	}
	return names
}

// stateColor is green for what can carry text, yellow for what opens or closes.
func stateColor(state string) string {
	switch state {
	case "ESTAB", "LISTEN":
		return "\x1b[32m"
	case "State":
		return ""
	}
	return "\x1b[33m"
}
