package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/control"
)

// extcapped reports that it is Wireshark who calls: it runs the programs of its extcap directory with these flags first.
func extcapped(args []string) bool {
	return slices.ContainsFunc(args, func(s string) bool { return strings.HasPrefix(s, "--extcap-") })
}

// extcap is what Wireshark asks (https://www.wireshark.org/docs/wsdg_html_chunked/ChCaptureExtcap.html).
type extcap struct {
	list, types, config, capture   bool
	name, fifo, filter, theVersion string
}

// newExtcap makes daemons interfaces of Wireshark's.
func newExtcap() *cobra.Command {
	var x extcap
	cmd := &cobra.Command{
		Use:   "extcap",
		Short: "Be an interface of Wireshark's: link tcpd into its extcap directory",
		Long: "Be an interface of Wireshark's for each daemon that runs, with what \"tcpd capture\" writes: the packets with what tcpd made of\n" +
			"them. Wireshark calls it; it is enough to link the binary into its extcap directory: that which \"tshark -G folders\"\n" +
			"names, or of one's own ~/.config/wireshark/extcap (~/.local/lib/wireshark/extcap from Wireshark 4.2 on). Its capture filter is a filter of \"tcpd trace\".",
		Example: "  ln -s $(which tcpd) ~/.config/wireshark/extcap/tcpd\n  tshark -i tcpd-tcpd0 -f 'sport = :80' -T fields -e frame.comment",
		RunE:    func(cmd *cobra.Command, _ []string) error { return x.run(cmd) },
	}
	f := cmd.Flags()
	f.BoolVar(&x.list, "extcap-interfaces", false, "list the interfaces")
	f.BoolVar(&x.types, "extcap-dlts", false, "tell the link type of one")
	f.BoolVar(&x.config, "extcap-config", false, "tell what can be set")
	f.BoolVar(&x.capture, "capture", false, "capture")
	f.StringVar(&x.name, "extcap-interface", "", "the `interface`")
	f.StringVar(&x.fifo, "fifo", "", "the `file` to write to")
	f.StringVar(&x.filter, "extcap-capture-filter", "", "a `filter` of \"tcpd trace\"")
	f.StringVar(&x.theVersion, "extcap-version", "", "of Wireshark")
	return cmd
}

// extcapPrefix is what the names of interfaces begin with; the name of the socket follows.
const extcapPrefix = "tcpd-"

func extcapName(path string) string {
	return extcapPrefix + strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

// rawLink is LINKTYPE_RAW: packets begin with the IP header.
const rawLink = 101

func (x *extcap) run(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	switch {
	case x.list:
		fmt.Fprintln(out, "extcap {version=1.0}")
		for _, path := range control.All() {
			fmt.Fprintf(out, "interface {value=%s}{display=%s, with what tcpd made of each packet}\n", extcapName(path), path)
		}
		return nil
	case x.types:
		fmt.Fprintf(out, "dlt {number=%d}{name=RAW}{display=IP}\n", rawLink)
		return nil
	case x.config:
		return nil // nothing but the filter
	case !x.capture && x.filter != "": // is it a good one? Silence says so
		_, err := parseEventFilter(strings.Fields(x.filter))
		return err
	case !x.capture:
		return usageError{errors.New("this is for Wireshark to call: see --help")}
	}
	return x.write(cmd)
}

// write captures into Wireshark's fifo until that has no reader any more.
func (x *extcap) write(cmd *cobra.Command) (err error) {
	filter, err := parseEventFilter(strings.Fields(x.filter))
	if err != nil {
		return usageError{err}
	}
	all := control.All()
	at := slices.IndexFunc(all, func(path string) bool { return extcapName(path) == x.name })
	if at < 0 {
		return fmt.Errorf("there is no daemon for the interface %q", x.name)
	}
	c := control.NewClient(all[at])
	defer c.Close()
	ctx, done := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer done()
	fifo, err := os.OpenFile(x.fifo, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer fifo.Close()
	packets, err := c.Capture(ctx, filter)
	if err != nil {
		return err
	}
	defer packets.Close()
	_, err = io.Copy(fifo, packets)
	return untilStopped(ctx, err)
}

// untilStopped is what is wrong with a capture that has ended with err: nothing, if whoever reads or writes it has had enough.
func untilStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
