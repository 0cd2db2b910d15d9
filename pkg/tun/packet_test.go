package tun

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/link"
)

// What one packet costs on its way out and in, and what it costs to look for none.
func BenchmarkPacket(b *testing.B) {
	inNamespace(b)
	dev := mustOpen(b, Config{})
	d := dev.Link().Queues[0]
	batch := link.NewBatch()
	small, large := superframe(0), superframe(60000)
	small.GSOSize = 0
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = d.Write(&small)
		}
	})
	b.Run("write 60000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = d.Write(&large)
		}
	})
	b.Run("read none", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = d.Read(batch)
		}
	})
	b.Run("wake", func(b *testing.B) {
		for b.Loop() {
			d.Wake()
		}
	})
	b.Run("wait woken", func(b *testing.B) {
		for b.Loop() {
			d.Wake()
			_ = d.Wait(0)
		}
	})
}
