package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// hooks are where a packet filter sees packets to tcpd or from it, with how a rule there names the device.
var hooks = map[nftables.ChainHook]struct{ name, device string }{
	*nftables.ChainHookPrerouting:  {"prerouting", "iifname"},
	*nftables.ChainHookInput:       {"input", "iifname"},
	*nftables.ChainHookForward:     {"forward", "oifname"},
	*nftables.ChainHookOutput:      {"output", "oifname"},
	*nftables.ChainHookPostrouting: {"postrouting", "oifname"},
}

// firewall looks for packet filters that may drop what is for tcpd or from it. Whether they do depends on the packet: what is found
// are chains that drop some.
func (d *doctor) firewall() {
	const check = "firewall"
	found, err := d.filters()
	switch {
	case errors.Is(err, fs.ErrPermission):
		d.warn(check, "cannot tell: to read the rules takes CAP_NET_ADMIN", "sudo tcpd doctor")
		return
	case err != nil:
		d.warn(check, fmt.Sprintf("cannot tell: %v", err), "sudo nft list ruleset")
		return
	}
	if legacy := legacyTables(); legacy != "" {
		found = true
		d.warn(check, fmt.Sprintf("the old iptables is in use, too (%s), which is not read here", legacy), "sudo iptables-legacy-save")
	}
	if !found {
		d.ok(check, "no rule and no policy of nftables drops anything")
	}
}

// legacyTables are those of the old iptables, which nftables does not show.
func legacyTables() string {
	text, err := os.ReadFile("/proc/net/ip_tables_names")
	if err != nil {
		return "" // the kernel has none, or does not tell, and then has not told of nftables either
	}
	return strings.Join(strings.Fields(string(text)), ", ")
}

// filters warns of each chain of nftables that drops packets, and reports whether there are any.
func (d *doctor) filters() (found bool, err error) {
	conn, err := nftables.New()
	if err != nil {
		return false, err
	}
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyINet} {
		chains, err := conn.ListChainsOfTableFamily(family)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EAFNOSUPPORT) {
			continue // the kernel has no nftables
		}
		if err != nil {
			return found, err
		}
		for _, c := range chains {
			if c.Hooknum == nil {
				continue // who jumps there is asked
			}
			by, err := whyDrops(conn, chains, c, map[string]bool{})
			if err != nil {
				return found, err
			}
			if by != "" {
				found = true
				d.warnOfChain(c, by)
			}
		}
	}
	return found, nil
}

func (d *doctor) warnOfChain(c *nftables.Chain, by string) {
	h, ok := hooks[*c.Hooknum]
	if !ok {
		h.name, h.device = "another hook", "iifname"
	}
	name := strings.Join([]string{familyName(c.Table.Family), c.Table.Name, c.Name}, " ")
	d.warn("firewall", fmt.Sprintf("chain %s (%s) may drop packets of tcpd: %s", name, h.name, by),
		fmt.Sprintf("sudo nft insert rule %s %s %q accept", name, h.device, d.config.Device))
}

func familyName(f nftables.TableFamily) string {
	if f == nftables.TableFamilyINet {
		return "inet"
	}
	return "ip"
}

// whyDrops is what makes a chain drop packets, its policy, or a rule of it or of a chain that it goes to; or "".
func whyDrops(conn *nftables.Conn, all []*nftables.Chain, c *nftables.Chain, seen map[string]bool) (string, error) {
	if c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
		return "what no rule accepts is dropped", nil
	}
	seen[c.Name] = true
	rules, err := conn.GetRules(c.Table, c)
	if err != nil {
		return "", err
	}
	for _, r := range rules {
		for _, e := range r.Exprs {
			drops, to := verdict(e)
			if drops {
				return fmt.Sprintf("a rule of %s drops or rejects", c.Name), nil
			}
			for _, next := range all {
				if next.Name == to && next.Table.Name == c.Table.Name && !seen[to] {
					if by, err := whyDrops(conn, all, next, seen); by != "" || err != nil {
						return by, err
					}
				}
			}
		}
	}
	return "", nil
}

// verdict tells whether a part of a rule drops packets, or to which chain it sends them.
func verdict(e expr.Any) (drops bool, to string) {
	switch e := e.(type) {
	case *expr.Verdict:
		return e.Kind == expr.VerdictDrop, e.Chain
	case *expr.Reject:
		return true, ""
	case *expr.Target: // of iptables
		return e.Name == "REJECT" || e.Name == "DROP", ""
	}
	return false, ""
}
