package stack

import "github.com/tcpd-project/tcpd/pkg/ip"

// key is a flow as records keep it, in 12 bytes: an IPv4 address stands for itself. It is compared for each packet, and a third
// of a TIME-WAIT would be constant zeros without it. (IPv6 addresses, of which a host knows few beside its connections, are to be
// numbers into a table.)
type key struct {
	local, remote         [4]byte
	localPort, remotePort uint16
}

func keyOf(f *Flow) key {
	return key{f.Local.As4(), f.Remote.As4(), f.LocalPort, f.RemotePort}
}

func (k *key) flow() Flow {
	return Flow{Local: ip.V4(k.local), Remote: ip.V4(k.remote), LocalPort: k.localPort, RemotePort: k.remotePort}
}
