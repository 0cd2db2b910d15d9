package ip

import "encoding/binary"

// Split gives emit the packet b in fragments of at most mtu bytes (RFC 791 section 3.2), or whole when it fits; id
// ties them together. b must have a header without options; DF is cleared. The bytes given to emit are valid until
// it returns.
func Split(b []byte, mtu int, id uint16, emit func([]byte)) {
	if len(b) <= mtu {
		emit(b)
		return
	}
	most := (mtu - HeaderLen) &^ 7
	if len(b) < HeaderLen || most <= 0 {
		return
	}
	binary.BigEndian.PutUint16(b[4:], id)
	// Each fragment's header is written over the end of the one before, which has been sent.
	header := [HeaderLen]byte(b)
	for at := 0; at < len(b)-HeaderLen; at += most {
		n := min(most, len(b)-HeaderLen-at)
		f := b[at : at+HeaderLen+n]
		copy(f, header[:])
		binary.BigEndian.PutUint16(f[2:], uint16(len(f)))
		word := uint16(at / 8)
		if at+n < len(b)-HeaderLen {
			word |= 0x2000
		}
		binary.BigEndian.PutUint16(f[6:], word)
		binary.BigEndian.PutUint16(f[4:], id)
		putHeaderChecksum(f[:HeaderLen])
		emit(f)
	}
}
