package stack

// slab holds records of one kind in blocks that never move, named by index from 1 on. Records without pointers cost
// the garbage collector nothing, however many there are.
type slab[T any] struct {
	blocks [][]T
	free   []uint32
	next   uint32 // the first index never used
	live   int
}

const blockLog = 8

func (s *slab[T]) at(i uint32) *T { return &s.blocks[i>>blockLog][i&(1<<blockLog-1)] }

// alloc returns the index of a zero record.
func (s *slab[T]) alloc() uint32 {
	s.live++
	if k := len(s.free); k > 0 {
		i := s.free[k-1]
		s.free = s.free[:k-1]
		return i
	}
	if s.next == 0 {
		s.next = 1 // 0 names none
	}
	if int(s.next>>blockLog) == len(s.blocks) {
		s.blocks = append(s.blocks, make([]T, 1<<blockLog))
	}
	s.next++
	return s.next - 1
}

func (s *slab[T]) release(i uint32) {
	var zero T
	*s.at(i) = zero
	s.free = append(s.free, i)
	s.live--
}
