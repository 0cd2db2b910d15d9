package main_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// What the tests are made with: the shared object, and the tool that loads it, built once.
var object, driver string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if _, err := exec.LookPath("gcc"); err != nil {
		return m.Run() // and need says why it tests nothing
	}
	dir, err := os.MkdirTemp("", "tcpd-packetdrill-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	object, driver = filepath.Join(dir, "tcpd.so"), filepath.Join(dir, "driver")
	for _, build := range []*exec.Cmd{
		exec.Command("go", "build", "-buildmode=c-shared", "-o", object, "."),
		exec.Command("gcc", "-Wall", "-o", driver, "testdata/driver.c", "-lpthread", "-ldl"),
	} {
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %v\n%s", build.Args, err, out)
			return 1
		}
	}
	return m.Run()
}

// need skips the test where nothing could be built.
func need(t *testing.T) {
	t.Helper()
	if object == "" {
		t.Skip("needs gcc: a shared object of Go is made with it")
	}
}

// tool is a process that has loaded the shared object, and makes calls for the test.
type tool struct {
	t     *testing.T
	in    io.Writer
	lines chan string
	later chan string
}

// load starts the tool with the flags that packetdrill would pass on.
func load(t *testing.T, flags string) *tool {
	t.Helper()
	need(t)
	cmd := exec.Command(driver, object, flags)
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+object)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &tool{t: t, in: in, lines: make(chan string, 100), later: make(chan string, 100)}
	read := make(chan struct{})
	go d.read(out, read)
	t.Cleanup(func() {
		in.Close()
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("the tool: %v", err)
		}
	})
	return d
}

// read sorts the answers.
func (d *tool) read(out io.Reader, done chan<- struct{}) {
	defer close(done)
	defer close(d.lines)
	defer close(d.later)
	for s := bufio.NewReaderSize(out, 1<<18); ; {
		line, err := s.ReadString('\n')
		if err != nil {
			return
		}
		if rest, ok := strings.CutPrefix(line, "later "); ok {
			d.later <- strings.TrimSpace(rest)
		} else {
			d.lines <- strings.TrimSpace(line)
		}
	}
}

// answer is what a call has returned.
type answer struct {
	result int
	errno  int
	more   []string
}

func (d *tool) answer(lines <-chan string) answer {
	d.t.Helper()
	line, ok := <-lines
	f := strings.Fields(line)
	if !ok || len(f) < 2 {
		d.t.Fatalf("the tool has ended, or says %q", line)
	}
	return answer{d.int(f[0]), d.int(f[1]), f[2:]}
}

func (d *tool) int(s string) int {
	d.t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// call has a call made, and returns its answer.
func (d *tool) call(format string, args ...any) answer {
	d.t.Helper()
	if _, err := fmt.Fprintf(d.in, format+"\n", args...); err != nil {
		d.t.Fatal(err)
	}
	return d.answer(d.lines)
}

// must is a call that succeeds.
func (d *tool) must(format string, args ...any) answer {
	d.t.Helper()
	a := d.call(format, args...)
	if a.result < 0 {
		d.t.Fatalf(format+": errno %d", append(args, a.errno)...)
	}
	return a
}

// now is the clock, in microseconds.
func (d *tool) now() int { return d.int(d.must("time").more[0]) }

// receive is the next packet that has left the stack, with its time in microseconds; nil if there is none.
func (d *tool) receive() (packet []byte, at int) {
	d.t.Helper()
	a := d.must("receive")
	if len(a.more) < 2 {
		return nil, 0
	}
	packet, err := hex.DecodeString(a.more[1])
	if err != nil {
		d.t.Fatal(err)
	}
	return packet, d.int(a.more[0])
}
