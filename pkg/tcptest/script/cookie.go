package script

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Scripts about Fast Open's server side know the cookies that Linux makes of the key in tcp_fastopen_key: SipHash-2-4 of
// the client's and the server's address. Such a cookie is their name for the stack's own, which it makes in another way.

// cookieKey is a key of four 32-bit words in hexadecimal, a-b-c-d.
type cookieKey [2]uint64

func parseCookieKey(s string) (k cookieKey, ok bool) {
	words := strings.Split(s, "-")
	if len(words) != 4 {
		return k, false
	}
	for i, w := range words {
		n, err := strconv.ParseUint(w, 16, 32)
		if err != nil {
			return k, false
		}
		k[i/2] |= n << (32 * (i % 2))
	}
	return k, true
}

// cookie is Linux's cookie for a client.
func (k cookieKey) cookie(client, server netip.Addr) []byte {
	c, s := client.As4(), server.As4()
	message := uint64(binary.LittleEndian.Uint32(c[:])) | uint64(binary.LittleEndian.Uint32(s[:]))<<32
	return binary.LittleEndian.AppendUint64(nil, k.sip(message))
}

// sip is SipHash-2-4 (Aumasson and Bernstein, 2012) of the eight bytes of a word.
func (k cookieKey) sip(message uint64) uint64 {
	v := [4]uint64{k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d, k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573}
	rounds := func(n int) {
		for range n {
			v[0] += v[1]
			v[2] += v[3]
			v[1] = bits.RotateLeft64(v[1], 13) ^ v[0]
			v[3] = bits.RotateLeft64(v[3], 16) ^ v[2]
			v[0] = bits.RotateLeft64(v[0], 32)
			v[2] += v[1]
			v[0] += v[3]
			v[1] = bits.RotateLeft64(v[1], 17) ^ v[2]
			v[3] = bits.RotateLeft64(v[3], 21) ^ v[0]
			v[2] = bits.RotateLeft64(v[2], 32)
		}
	}
	const length = 8 << 56 // the last word: how many bytes there were
	for _, m := range [...]uint64{message, length} {
		v[3] ^= m
		rounds(2)
		v[0] ^= m
	}
	v[2] ^= 0xff
	rounds(4)
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}

// nameCookie notes what a script calls the stack's cookie for the peer of a flow.
func (r *runner) nameCookie(f *flow) {
	if r.set.key == nil {
		return
	}
	name := r.set.key.cookie(f.remote.Addr(), f.local.Addr())
	ours := secrets[0].FastOpenCookie(&tcp.Flow{Local: ip.FromNetip(f.local.Addr()), Remote: ip.FromNetip(f.remote.Addr())}, r.now)
	r.cookies[string(name)] = ours.Bytes[:ours.Len]
}

// earlyListener has a listener take cookies that has not asked for it, where the script's settings say that all do.
func (r *runner) earlyListener(fd, backlog int) error {
	const all = fastOpenServer | fastOpenAll
	if r.set.fastOpen&all != all {
		return nil
	}
	if n, err := r.sockets.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN); err != nil || n != 0 {
		return err
	}
	return r.sockets.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, max(backlog, 1))
}
