package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/control"
)

func newCapture() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "capture [-w FILE|-] [FILTER]...",
		Short: "Write the packets of a running daemon as pcapng, each with what tcpd made of it",
		Long: "Write the packets of a running daemon as pcapng. Each has a comment: its connection, the states before and after it, and\n" +
			"what became of it, with the reason if it was not taken. Superframes are as they pass the device. Control-C ends it.\n\n" +
			eventFilterHelp,
		Example: "  tcpd capture -w trouble.pcapng sport = :80\n  tcpd capture -w - | wireshark -k -i -\n  tcpd capture -w - | tshark -r - -T fields -e frame.comment",
		Args:    checkEventFilter,
	}
	cmd.Flags().StringVarP(&file, "write", "w", "-", "`file` to write to; - is the standard output")
	o := newOperation(cmd, "o", func(cmd *cobra.Command, o *operation, c *control.Client, args []string) (err error) {
		filter, err := findEventFilter(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		out, err := captureFile(file)
		if err != nil {
			return err
		}
		ctx, done := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer done()
		packets, err := c.Capture(ctx, filter)
		if err != nil {
			return errors.Join(err, out.Close())
		}
		defer packets.Close()
		fmt.Fprintln(cmd.ErrOrStderr(), "tcpd: capturing; Control-C ends")
		var n captured
		err = n.count(io.TeeReader(packets, out))
		if ctx.Err() == nil && (err == nil || errors.Is(err, io.ErrUnexpectedEOF)) { // killed, if it could not write its end
			err = endedError{c.Path()}
		}
		err = errors.Join(untilStopped(ctx, err), out.Close())
		return errors.Join(o.print(cmd.ErrOrStderr(), n, fmt.Sprintf("tcpd: %s, %s", number(n.Packets, "packet"), number(n.Bytes, "byte"))), err)
	})
	cmd.Flags().Lookup("output").Usage = "how to say at the end how much there was: table, wide or json"
	cmd.ValidArgsFunction = completeConnections(o)
	return cmd
}

// captured is how much a capture has brought.
type captured struct {
	Packets int `json:"packets"`
	Bytes   int `json:"bytes"`
}

// count reads pcapng to its end.
func (n *captured) count(r io.Reader) error {
	packets, err := pcapgo.NewNgReader(r, pcapgo.DefaultNgReaderOptions)
	for err == nil {
		var data []byte
		if data, _, err = packets.ZeroCopyReadPacketData(); err == nil {
			n.Packets++
			n.Bytes += len(data)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// captureFile opens the file to write to. A terminal can do nothing with packets.
func captureFile(name string) (*os.File, error) {
	if name != "-" {
		return os.Create(name)
	}
	if _, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS); err == nil {
		return nil, usageError{errors.New("packets are not for a terminal: -w FILE writes them to a file, and \"| tshark -r -\" shows them")}
	}
	return os.Stdout, nil
}
