// Package outbound speaks HTTP with servers elsewhere, whose addresses others than the operator chose: it connects to public
// addresses only, shows credentials to the hosts they are meant for, and keeps below what a tunnel lets through.
package outbound

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Guard decides to which addresses a connection may be made. The zero value allows public ones only.
type Guard struct{ allow []netip.Prefix }

// NewGuard reads the networks that are allowed beside the public ones: CIDRs separated by commas, such as
// "10.1.0.0/16,fd00:1::/64"; "" for none.
func NewGuard(allow string) (Guard, error) {
	var g Guard
	for item := range strings.SplitSeq(allow, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		network, err := netip.ParsePrefix(item)
		if err != nil {
			return Guard{}, fmt.Errorf("%q is no network such as 10.1.0.0/16: %w", item, err)
		}
		g.allow = append(g.allow, network.Masked())
	}
	return g, nil
}

// closed are the networks that lead to no public server, beside those that netip.Addr tells itself: the special purposes
// of IANA's registries (RFC 6890), and ways in which IPv6 carries an address of IPv4.
var closed = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23",
	"2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// RefusedError says that an address must not be connected to.
type RefusedError struct {
	Address netip.Addr
	Kind    string // of the address: "a loopback address"
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s is %s, not a public one: a server there has to be allowed by its network (remote.allowCIDRs)", e.Address, e.Kind)
}

// Permit returns a *RefusedError for an address that must not be connected to.
func (g Guard) Permit(address netip.Addr) error {
	address = address.Unmap().WithZone("")
	for _, network := range g.allow {
		if network.Contains(address) {
			return nil
		}
	}
	kind := ""
	switch {
	case !address.IsValid() || address.IsUnspecified():
		kind = "no address"
	case address.IsLoopback():
		kind = "a loopback address"
	case address.IsLinkLocalUnicast(): // 169.254.169.254, where clouds give out a machine's credentials
		kind = "a link-local address"
	case address.IsPrivate():
		kind = "a private address"
	case address.IsMulticast():
		kind = "a multicast address"
	default:
		for _, network := range closed {
			if network.Contains(address) {
				kind = "an address of a special purpose (" + network.String() + ")"
				break
			}
		}
	}
	if kind == "" {
		return nil
	}
	return &RefusedError{address, kind}
}

// control is called by net.Dialer for each address just before it is connected to, when names are resolved: what a name meant
// when it was looked at, and where a redirect leads, make no difference.
func (g Guard) control(_, address string, _ syscall.RawConn) error {
	host, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return g.Permit(host.Addr())
}

// dialer connects to what the guard permits.
func (g Guard) dialer() *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second, Control: g.control}
}
