package script

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcptest/bsd"
)

// outcome is what a call has returned: bsd.ErrBlocked if it has not.
type outcome struct {
	n   int
	err error
	// got is what it has written that is not what the script expects; "": nothing is.
	got string
}

// waiter is a call that has not returned yet.
type waiter struct {
	event    *Event
	try      func() outcome
	began    mono.Time
	waits    bool
	from, to mono.Time // between which it is to return
	deadline mono.Time // when it gives up by itself, of a poll with a time-out
}

// call is the event of a system call.
func (r *runner) call(e *Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			wrong, ok := p.(*Error)
			if !ok {
				panic(p)
			}
			err = wrong
		}
	}()
	c := e.Call
	w := &waiter{event: e, began: r.now, from: r.now, to: r.now, deadline: mono.Never}
	if c.Blocks {
		until := r.base.Add(c.Until)
		if e.When.Base == Start {
			until = r.start.Add(c.Until)
		}
		w.from, w.to = until.Add(-r.opt.tolerance), until.Add(r.opt.tolerance)
	}
	w.try = calls[c.Name](&arguments{runner: r, waiter: w, call: c})
	out := r.attempt(w)
	switch {
	case out.err != bsd.ErrBlocked:
		return r.returned(w, out)
	case !c.Blocks:
		return fault(e.Line, "expected %s, got a call that does not return: one that returns later has its time, too, as in +0...1", c)
	}
	r.blocked = append(r.blocked, w)
	return nil
}

// attempt makes a call. In the transcript it stands before what the stack sends by it.
func (r *runner) attempt(w *waiter) outcome {
	before := len(r.lines)
	out := w.try()
	if out.err != bsd.ErrBlocked {
		r.lines = slices.Insert(r.lines, before, r.line(w.event.Call.text()+" = "+out.text()))
	} else if !w.waits {
		w.waits = true
		r.lines = slices.Insert(r.lines, before, r.line(w.event.Call.text()+" ..."))
	}
	return out
}

// retry has those calls that wait try again, until none returns any more: what one does may let another go on.
func (r *runner) retry() error {
	for again := true; again; {
		again = false
		for i, w := range r.blocked {
			out := r.attempt(w)
			if out.err == bsd.ErrBlocked {
				continue
			}
			r.blocked = slices.Delete(r.blocked, i, i+1)
			if err := r.returned(w, out); err != nil {
				return err
			}
			again = true
			break
		}
	}
	return nil
}

// returned holds what a call has returned against what the script expects.
func (r *runner) returned(w *waiter, out outcome) error {
	c := w.event.Call
	got := out.text()
	want := c.text() + " = " + c.Result.String() + strings.TrimRight(" "+c.Errno, " ")
	switch {
	case r.now < w.from || r.now > w.to:
		return fault(w.event.Line, "expected %s at %s, got %s at %s", want, r.clock(w.to.Add(-r.opt.tolerance)), got, r.clock(r.now))
	case !c.fits(out):
		return fault(w.event.Line, "expected %s, got %s", want, got)
	case out.got != "":
		return fault(w.event.Line, "expected %s, got %s with %s", want, got, out.got)
	}
	return nil
}

// text is a result as a script has it.
func (o outcome) text() string {
	errno, ok := errors.AsType[syscall.Errno](o.err)
	switch {
	case ok:
		return fmt.Sprintf("-1 %s (%v)", errnoName(errno), errno)
	case o.err != nil:
		return fmt.Sprintf("-1 (%v)", o.err)
	}
	return fmt.Sprint(o.n)
}

func errnoName(e syscall.Errno) string {
	for name, number := range errnos {
		if number == e && name != "EWOULDBLOCK" {
			return name
		}
	}
	return "?"
}

// fits reports that a result is the one expected. Without a name any error fits.
func (c *Call) fits(o outcome) bool {
	if c.Result.Kind == Dots {
		return true
	}
	want, _ := value(c.Result)
	if o.err != nil {
		errno, ok := errors.AsType[syscall.Errno](o.err)
		return ok && want == -1 && (c.Errno == "" || errnos[c.Errno] == errno)
	}
	return c.Errno == "" && int64(o.n) == want
}

// value is the number that an expression stands for.
func value(e Expr) (int64, bool) {
	switch e.Kind {
	case Number:
		return e.Number, true
	case Name:
		n, ok := constants[e.Text]
		return n, ok
	case Or:
		all := int64(0)
		for _, p := range e.Parts {
			n, ok := value(p)
			if !ok {
				return 0, false
			}
			all |= n
		}
		return all, true
	}
	return 0, false
}
