package main

import (
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/control"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print where the page of a running daemon is, with its token",
		Long: "Print where the page of a running daemon is, with the token that lets a browser see every connection there and use the\n" +
			"buttons. Without it the page shows whoever comes his own connections. The token is drawn at the daemon's start; it stands\n" +
			"behind a #, which browsers do not send.",
		Example: "  tcpd token\n  xdg-open \"$(tcpd token)\"",
	}
	newOperation(cmd, "o", func(cmd *cobra.Command, o *operation, c *control.Client, _ []string) error {
		t, err := c.Token(cmd.Context())
		if err != nil {
			return err
		}
		text := strings.Join(t.Pages, "\n")
		if text == "" {
			text = t.Token // no web server listens
		}
		return o.print(cmd.OutOrStdout(), t, text)
	})
	return cmd
}

// token is where the page is, by the configuration in force, and what it wants to be told.
func (r *reloader) token(token string) control.Token {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := control.Token{Token: token, Pages: []string{}}
	c := &r.loaded.Config
	for i := range c.Services {
		if s := &c.Services[i]; s.Service == "http" {
			for _, a := range c.ListensAt(s) {
				t.Pages = append(t.Pages, "http://"+hostOf(a, s.Port)+"/#"+token)
			}
		}
	}
	return t
}

// hostOf is an address of a prefix and a port as a URL has them.
func hostOf(p config.Prefix, port uint16) string {
	a := p.Addr()
	if !p.IsSingleIP() {
		a = p.Masked().Addr().Next()
	}
	if port == config.PortHTTP {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}
