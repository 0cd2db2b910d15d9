package main

// #include "calls.h"
import "C"

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"github.com/tcpd-project/tcpd/pkg/tcptest/bsd"
)

// pieces are the buffers of a struct msghdr, without the first skip bytes.
func pieces(m *C.struct_msghdr, skip int) (list [][]byte) {
	for _, v := range unsafe.Slice(m.msg_iov, int(m.msg_iovlen)) {
		p := bytesAt(v.iov_base, int(v.iov_len))
		k := min(skip, len(p))
		skip -= k
		if p = p[k:]; len(p) > 0 {
			list = append(list, p)
		}
	}
	return list
}

//export tcpdReceive
func tcpdReceive(fd C.int, m *C.struct_msghdr, flags C.int, skip C.long, n *C.long) C.long {
	k, told, err := sockets.RecvMsg(int(fd), pieces(m, int(skip)), int(flags))
	*n = C.long(k)
	if err == nil {
		m.msg_flags, m.msg_namelen = C.int(told.Flags), 0
		putControl(m, told.Control)
	}
	return code(k, err)
}

// putControl writes control messages, as far as there is room: a header of a length, a level and a type before each, and
// all begin at whole words.
func putControl(m *C.struct_msghdr, list []bsd.Control) {
	const word, header = 8, 16
	room := bytesAt(m.msg_control, int(m.msg_controllen))
	used := 0
	for _, c := range list {
		n := header + len(c.Data)
		if used+n > len(room) {
			break
		}
		b := room[used:]
		binary.NativeEndian.PutUint64(b, uint64(n))
		binary.NativeEndian.PutUint32(b[8:], uint32(c.Level))
		binary.NativeEndian.PutUint32(b[12:], uint32(c.Type))
		copy(b[header:], c.Data)
		used += (n + word - 1) / word * word
	}
	m.msg_controllen = C.size_t(min(used, len(room)))
}

//export tcpdSend
func tcpdSend(fd C.int, m *C.struct_msghdr, flags C.int, skip C.long, n *C.long) C.long {
	var to netip.AddrPort
	if m.msg_name != nil {
		var err error
		if to, err = address(m.msg_name, m.msg_namelen); err != nil {
			return code(0, err)
		}
	}
	k, err := sockets.SendMsg(int(fd), pieces(m, int(skip)), int(flags), to)
	*n = C.long(k)
	return code(k, err)
}
