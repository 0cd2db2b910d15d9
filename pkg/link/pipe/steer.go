package pipe

import "encoding/binary"

// Flow steers by the addresses and ports of an IPv4 packet, both directions of a flow to the same queue.
// Fragments and protocols without ports go by addresses and protocol alone; what is not IPv4 goes to queue 0.
func Flow(head []byte, queues int) int {
	if len(head) < 20 || head[0]>>4 != 4 {
		return 0
	}
	src, dst := binary.BigEndian.Uint32(head[12:]), binary.BigEndian.Uint32(head[16:])
	h := uint64(src) + uint64(dst) + uint64(head[9])<<40
	const fragment = 0x3fff // more fragments, and the offset
	transport := head[min(int(head[0]&15)*4, len(head)):]
	if ported(head[9]) && binary.BigEndian.Uint16(head[6:])&fragment == 0 && len(transport) >= 4 {
		p, q := binary.BigEndian.Uint16(transport), binary.BigEndian.Uint16(transport[2:])
		h ^= (uint64(p) + uint64(q)) << 16 * 0x9e3779b1
	}
	h *= 0x9e3779b97f4a7c15 // Fibonacci hashing: the upper bits are well mixed
	return int(h >> 32 * uint64(queues) >> 32)
}

// ported says whether a protocol begins with its two ports: TCP and UDP.
func ported(protocol byte) bool { return protocol == 6 || protocol == 17 }
