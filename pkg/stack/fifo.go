package stack

// fifo is a queue of connections.
type fifo struct {
	queue []uint32
	head  int
}

func (f *fifo) len() int { return len(f.queue) - f.head }

func (f *fifo) push(i uint32) {
	if f.head > len(f.queue)/2 {
		f.queue, f.head = f.queue[:copy(f.queue, f.queue[f.head:])], 0
	}
	f.queue = append(f.queue, i)
}

// pop takes the first out of a queue that is not empty.
func (f *fifo) pop() uint32 {
	i := f.queue[f.head]
	f.head++
	return i
}
