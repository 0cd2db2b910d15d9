package stack

import "sync/atomic"

// Task is something that another goroutine wants done on a shard. It is a place in the shard's inbox: posting one
// that waits there already does nothing, so an inbox never holds more than the tasks that there are.
type Task struct {
	run    func()
	next   *Task
	queued atomic.Bool
}

// NewTask returns a task that calls run on the goroutine of the shard to which it is posted.
func NewTask(run func()) *Task { return &Task{run: run} }

// inbox is a stack of tasks that anyone pushes and the shard takes away whole.
type inbox struct {
	head   atomic.Pointer[Task]
	closed atomic.Bool
}

// push reports whether the shard is to be woken.
func (b *inbox) push(t *Task) {
	if t.queued.Swap(true) {
		return
	}
	for {
		t.next = b.head.Load()
		if b.head.CompareAndSwap(t.next, t) {
			return
		}
	}
}

// drain runs the tasks in the order in which they were posted, and reports whether there were any.
func (b *inbox) drain() bool {
	t := b.head.Swap(nil)
	if t == nil {
		return false
	}
	var first *Task
	for t != nil {
		t.next, first, t = first, t, t.next
	}
	for first != nil {
		t := first
		first = t.next
		t.next = nil
		t.queued.Store(false)
		t.run()
	}
	return true
}
